package tokenrequest_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/ostiary/ostiary/internal/tokenrequest"
)

// codecs are Kubernetes' own.
func codecs(t testing.TB) serializer.CodecFactory {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := authenticationv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return serializer.NewCodecFactory(scheme)
}

// read decodes what goes on to the API server, as the API server does.
func read(t testing.TB, contentType string, body []byte) *authenticationv1.TokenRequest {
	t.Helper()
	info, ok := runtime.SerializerInfoForMediaType(codecs(t).SupportedMediaTypes(), contentType)
	if !ok {
		t.Fatalf("no decoder for %q", contentType)
	}
	kind := authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
	object, _, err := info.Serializer.Decode(body, &kind, nil)
	if err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	request, ok := object.(*authenticationv1.TokenRequest)
	if !ok {
		t.Fatalf("%T", object)
	}
	return request
}

// limit passes a body through a limiter.
func limit(t testing.TB, longest time.Duration, contentType string, body []byte) ([]byte, string, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	warning, err := tokenrequest.New(longest).Limit(r)
	if err != nil {
		return nil, "", err
	}
	sent, readErr := io.ReadAll(r.Body)
	if readErr != nil || r.ContentLength != int64(len(sent)) {
		t.Fatalf("%v, length %d for %d bytes", readErr, r.ContentLength, len(sent))
	}
	return sent, warning, nil
}

const json = "application/json"

func TestLimitG24(t *testing.T) {
	t.Parallel()
	spec := func(text string) string {
		return `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{` + text + `}}`
	}
	for _, tt := range []struct {
		name    string
		longest time.Duration
		body    string
		seconds int64 // 0: the body goes on as it is
	}{
		{"shorter", time.Hour, spec(`"expirationSeconds":600`), 0},
		{"as long", time.Hour, spec(`"expirationSeconds":3600`), 0},
		{"a second longer", time.Hour, spec(`"expirationSeconds":3601`), 3600},
		{"a year", time.Hour, spec(`"expirationSeconds":31536000`), 3600},
		{"beyond all arithmetic", time.Hour, spec(`"expirationSeconds":9223372036854775807`), 3600},
		{"nothing asked for, which means an hour", 30 * time.Minute, spec(`"audiences":["a"]`), 1800},
		{"nothing asked for, an hour is fine", time.Hour, spec(``), 0},
		{"last of two members counts", time.Hour, spec(`"expirationSeconds":600,"expirationSeconds":7200`), 3600},
		{"other case is another member", time.Hour, spec(`"ExpirationSeconds":600,"expirationSeconds":7200`), 3600},
		{"second spec", time.Hour, `{"spec":{"expirationSeconds":600},"spec":{"expirationSeconds":7200}}`, 3600},
		{"TREQ-9 the sign for a year", 2 * time.Hour, spec(`"expirationSeconds":3607,"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"p"}`), 3606},
		{"TREQ-9 without a pod", 2 * time.Hour, spec(`"expirationSeconds":3607`), 0},
		{"no bound", 0, spec(`"expirationSeconds":31536000`), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sent, warning, err := limit(t, tt.longest, json, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if tt.seconds == 0 {
				if string(sent) != tt.body || warning != "" {
					t.Errorf("%q with warning %q, want it as it was", sent, warning)
				}
				return
			}
			got := read(t, json, sent)
			if got.Spec.ExpirationSeconds == nil || *got.Spec.ExpirationSeconds != tt.seconds || !strings.Contains(warning, fmt.Sprint(tt.seconds)) {
				t.Errorf("%q with warning %q, want %d seconds", sent, warning, tt.seconds)
			}
		})
	}
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	year := int64(31536000)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"a"}, ExpirationSeconds: &year}}
	request.SetGroupVersionKind(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"))
	for _, info := range codecs(t).SupportedMediaTypes() {
		var body bytes.Buffer
		if err := info.Serializer.Encode(request, &body); err != nil {
			t.Fatal(err)
		}
		sent, _, err := limit(t, time.Hour, info.MediaType, body.Bytes())
		if err != nil {
			t.Errorf("%s: %v", info.MediaType, err)
			continue
		}
		got := read(t, info.MediaType, sent)
		if *got.Spec.ExpirationSeconds != 3600 || len(got.Spec.Audiences) != 1 {
			t.Errorf("%s: %+v", info.MediaType, got.Spec)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, contentType, encoding, body string
		code                              int
	}{
		{"unknown form", "application/xml", "", "<a/>", http.StatusUnsupportedMediaType},
		{"compressed", json, "gzip", "{}", http.StatusUnsupportedMediaType},
		{"no JSON", json, "", "{", http.StatusBadRequest},
		{"other kind", json, "", `{"apiVersion":"v1","kind":"Pod"}`, http.StatusBadRequest},
		{"too large", json, "", `{"metadata":{"name":"` + strings.Repeat("x", 2<<20) + `"}}`, http.StatusRequestEntityTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.contentType)
			if tt.encoding != "" {
				r.Header.Set("Content-Encoding", tt.encoding)
			}
			_, err := tokenrequest.New(time.Hour).Limit(r)
			status, ok := errors.AsType[*apierrors.StatusError](err)
			if !ok || int(status.Status().Code) != tt.code {
				t.Errorf("%v, want %d", err, tt.code)
			}
		})
	}
}

// answer is what an API server answers with a token of the given claims.
func answer(claims string) *http.Response {
	token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".AA"
	body := `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","status":{"token":"` + token + `"}}`
	return &http.Response{StatusCode: http.StatusCreated, Header: http.Header{"Content-Type": {json}}, Body: io.NopCloser(strings.NewReader(body))}
}

func TestRead(t *testing.T) {
	t.Parallel()
	good := answer(`{"jti":"id","iss":"i","sub":"s","iat":1000,"exp":4600}`)
	issued, err := tokenrequest.New(time.Hour).Read(good)
	if err != nil || issued.ID != "JTI=id" || issued.Issuer != "i" || issued.Subject != "s" || issued.Expires.Unix() != 4600 {
		t.Fatalf("%+v, %v", issued, err)
	}
	if body, _ := io.ReadAll(good.Body); !bytes.Contains(body, []byte("TokenRequest")) {
		t.Errorf("the body is gone: %q", body)
	}
	if _, err := tokenrequest.New(time.Hour).Read(answer(`{"iat":1000,"exp":4601}`)); !errors.Is(err, tokenrequest.ErrTooLong) {
		t.Errorf("%v for a token that lives too long", err)
	}
	if _, err := tokenrequest.New(0).Read(answer(`{"iat":1000,"exp":99999}`)); err != nil {
		t.Errorf("the twin without a bound: %v", err)
	}
	for _, claims := range []string{`{"iat":1000}`, `[]`, `{`} {
		if _, err := tokenrequest.New(time.Hour).Read(answer(claims)); !errors.Is(err, tokenrequest.ErrUnreadable) {
			t.Errorf("%s: %v", claims, err)
		}
	}
	if _, err := tokenrequest.New(time.Hour).Read(answer(`{"exp":4600}`)); !errors.Is(err, tokenrequest.ErrTooLong) {
		t.Errorf("%v for a token that does not say when it was issued", err)
	}
	dry := answer(`{}`)
	dry.Body = io.NopCloser(strings.NewReader(`{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","status":{"token":""}}`))
	if issued, err := tokenrequest.New(time.Hour).Read(dry); issued != nil || err != nil {
		t.Errorf("%+v, %v for a dry run", issued, err)
	}
	refused := &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Body: http.NoBody}
	if issued, err := tokenrequest.New(time.Hour).Read(refused); issued != nil || err != nil {
		t.Errorf("%+v, %v for an answer that issues nothing", issued, err)
	}
}

// FuzzLimit: whatever is sent, what goes on asks for no more than is allowed, as the API server reads it.
func FuzzLimit(f *testing.F) {
	f.Add([]byte(`{"spec":{"expirationSeconds":7200}}`), false)
	f.Add([]byte("spec:\n  expirationSeconds: 7200\n"), true)
	f.Add([]byte(`{"spec":{"expirationSeconds":600},"spec":{"expirationSeconds":7200}}`), false)
	f.Fuzz(func(t *testing.T, body []byte, asYAML bool) {
		contentType := json
		if asYAML {
			contentType = "application/yaml"
		}
		sent, _, err := limit(t, time.Hour, contentType, body)
		if err != nil {
			return
		}
		if got := read(t, contentType, sent).Spec.ExpirationSeconds; got != nil && *got > 3600 {
			t.Fatalf("%q goes on as %q", body, sent)
		}
	})
}

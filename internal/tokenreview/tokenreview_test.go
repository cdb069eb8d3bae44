package tokenreview_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/testca"
	"github.com/ostiary/ostiary/internal/tokenreview"
)

// knows judges tokens of a list; "broken" cannot be judged.
type knows map[string]*identity.Identity

func (k knows) DecideToken(_ context.Context, r *authn.Request, token secret.String) authn.Decision {
	switch id := k[token.Reveal()]; {
	case token.Reveal() == "broken":
		return authn.Decision{Reason: authn.ReasonFailed, Cause: io.ErrUnexpectedEOF}
	case id == nil:
		return authn.Decision{Reason: authn.ReasonRejected, Cause: fmt.Errorf("no such token")}
	default:
		return authn.Decision{Identity: id, Reason: authn.ReasonAccepted, Mechanism: identity.StaticToken, Audiences: r.Audiences}
	}
}

var alice = &identity.Identity{Username: "alice", UID: "u", Groups: []string{"dev", "a<b&\"c"}, Extra: map[string][]string{"example.com/k": {"v", ""}}}

// journal keeps events.
type journal struct {
	mu     sync.Mutex
	events []accesslog.Event
}

func (j *journal) Record(e *accesslog.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, *e)
}

type setup struct {
	server  *tokenreview.Server
	front   *httptest.Server
	journal *journal
	ca      *testca.CA
}

func start(t *testing.T, callers ...tokenreview.Caller) *setup {
	t.Helper()
	s := &setup{journal: &journal{}, ca: testca.New(t, "callers")}
	s.server = tokenreview.New(s.journal)
	if len(callers) == 0 {
		callers = []tokenreview.Caller{{Name: "prod", AllowedNames: []string{"apiserver"}, Decider: knows{"tok-alice": alice, "tok with blanks": alice}, Audiences: []string{"api"}}}
	}
	for i := range callers {
		if callers[i].Roots == nil {
			callers[i].Roots = s.ca.Pool()
		}
	}
	state, err := tokenreview.NewState(callers)
	if err != nil {
		t.Fatal(err)
	}
	s.server.Use(state)
	s.front = httptest.NewUnstartedServer(s.server)
	s.front.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	s.front.Config.ConnContext = authn.ConnContext
	s.front.StartTLS()
	t.Cleanup(s.front.Close)
	return s
}

// client presents a certificate, or none.
func (s *setup) client(t *testing.T, certificate *tls.Certificate) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.front.Certificate())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return new(tls.Certificate), nil
		}
		return certificate, nil
	}}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (s *setup) caller(t *testing.T) *http.Client {
	t.Helper()
	certificate := s.ca.Issue(t, testca.Subject("apiserver"))
	return s.client(t, &certificate)
}

func (s *setup) post(t *testing.T, client *http.Client, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.front.URL+tokenreview.Path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

func review(version, token string, audiences ...string) string {
	body, _ := json.Marshal(&authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{Kind: "TokenReview", APIVersion: "authentication.k8s.io/" + version},
		Spec:     authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
	})
	return string(body)
}

func TestReviews(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := s.caller(t)
	for _, tt := range []struct {
		name, body string
		want       authenticationv1.TokenReviewStatus
	}{
		{"good", review("v1", "tok-alice"), authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"api"}}},
		{"good, v1beta1", review("v1beta1", "tok-alice"), authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"api"}}},
		{"TR-3 blanks in the token", review("v1", "tok with blanks"), authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"api"}}},
		{"AUD-1 audiences asked for", review("v1", "tok-alice", "x", "y"), authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"x", "y"}}},
		{"bad", review("v1", "tok-mallory"), authenticationv1.TokenReviewStatus{}},
		{"TR-3 empty", review("v1", ""), authenticationv1.TokenReviewStatus{}},
		{"CACHE-5 cannot be judged", review("v1", "broken"), authenticationv1.TokenReviewStatus{Error: "the token could not be judged; try again"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, body := s.post(t, client, tt.body)
			var got authenticationv1.TokenReview
			if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK {
				t.Fatalf("%d %v %s", code, err, body)
			}
			if tt.want.Authenticated {
				tt.want.User = authenticationv1.UserInfo{Username: alice.Username, UID: alice.UID, Groups: alice.Groups, Extra: map[string]authenticationv1.ExtraValue{"example.com/k": {"v", ""}}}
			}
			if diff := cmp.Diff(tt.want, got.Status); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !strings.Contains(tt.body, got.APIVersion) || got.Kind != "TokenReview" || strings.Contains(body, "tok-") {
				t.Errorf("%s", body)
			}
		})
	}
}

// TestOnlyCallersAreAnswered is attack 44.
func TestOnlyCallersAreAnswered(t *testing.T) {
	t.Parallel()
	s := start(t)
	other := testca.New(t, "others")
	issue := func(ca *testca.CA, options ...testca.Option) *tls.Certificate {
		certificate := ca.Issue(t, options...)
		return &certificate
	}
	for name, certificate := range map[string]*tls.Certificate{
		"none": nil, "other CA": issue(other, testca.Subject("apiserver")), "other name": issue(s.ca, testca.Subject("kubelet")),
		"for servers": issue(s.ca, testca.Subject("apiserver"), testca.Usage(x509.ExtKeyUsageServerAuth)),
	} {
		if code, body := s.post(t, s.client(t, certificate), review("v1", "tok-alice")); code != http.StatusForbidden || strings.Contains(body, "alice") {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if code, _ := s.post(t, s.caller(t), review("v1", "tok-alice")); code != http.StatusOK {
		t.Errorf("the twin is refused: %d", code)
	}
}

// TestCallersAreApart: each caller is told of its own people only, and a reload counts on open connections.
func TestCallersAreApart(t *testing.T) {
	t.Parallel()
	one := tokenreview.Caller{Name: "one", AllowedNames: []string{"apiserver"}, Decider: knows{"tok-alice": alice}}
	two := tokenreview.Caller{Name: "two", AllowedNames: []string{"apiserver-two"}, Decider: knows{}}
	s := start(t, one, two)
	first := s.caller(t)
	certificate := s.ca.Issue(t, testca.Subject("apiserver-two"))
	second := s.client(t, &certificate)
	if _, body := s.post(t, first, review("v1", "tok-alice")); !strings.Contains(body, `"authenticated":true`) {
		t.Errorf("caller one: %s", body)
	}
	if _, body := s.post(t, second, review("v1", "tok-alice")); !strings.Contains(body, `"authenticated":false`) {
		t.Errorf("caller two: %s", body)
	}
	two.Roots = s.ca.Pool()
	state, err := tokenreview.NewState([]tokenreview.Caller{two})
	if err != nil {
		t.Fatal(err)
	}
	s.server.Use(state)
	if code, _ := s.post(t, first, review("v1", "tok-alice")); code != http.StatusForbidden {
		t.Errorf("a caller that was taken away is answered: %d", code)
	}
	names := []string{}
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	for _, event := range s.journal.events {
		names = append(names, event.Cluster+"/"+string(event.Verdict)+"/"+event.Reason)
	}
	if want := []string{"one/allow/accepted", "two/deny/rejected", "/deny/unknown_caller"}; !slices.Equal(names, want) {
		t.Errorf("recorded %q, want %q", names, want)
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := s.caller(t)
	for name, tt := range map[string]struct {
		body string
		code int
	}{
		"no JSON":      {"{", http.StatusBadRequest},
		"empty":        {"", http.StatusBadRequest},
		"other kind":   {`{"apiVersion":"v1","kind":"Pod"}`, http.StatusBadRequest},
		"v2":           {review("v2", "tok-alice"), http.StatusBadRequest},
		"two tokens":   {`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"a","token":"tok-alice"}}`, http.StatusBadRequest},
		"two objects":  {review("v1", "tok-alice") + "{}", http.StatusBadRequest},
		"token number": {`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":7}}`, http.StatusBadRequest},
		"too large":    {review("v1", strings.Repeat("x", 300<<10)), http.StatusRequestEntityTooLarge},
	} {
		if code, body := s.post(t, client, tt.body); code != tt.code || strings.Contains(body, "alice") {
			t.Errorf("%s: %d %s, want %d", name, code, body, tt.code)
		}
	}
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Method = http.MethodGet },
		func(r *http.Request) { r.URL.Path = "/" },
		func(r *http.Request) { r.URL.Path += "/" },
		func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.front.URL+tokenreview.Path, strings.NewReader(review("v1", "tok-alice")))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		change(request)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode < http.StatusBadRequest {
			t.Errorf("%s %s %s: %d", request.Method, request.URL.Path, request.Header, response.StatusCode)
		}
	}
}

// FuzzReview: whatever a caller sends, it gets an answer, and a yes for the one token that is good alone.
func FuzzReview(f *testing.F) {
	f.Add([]byte(review("v1", "tok-alice", "api")))
	f.Add([]byte(review("v1beta1", "broken")))
	f.Add([]byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"a","Token":"tok-alice"}}`))
	f.Add([]byte("\xef\xbb\xbf{}"))
	ca := testca.New(f, "callers")
	server := tokenreview.New(accesslog.NewWriter(io.Discard))
	state, err := tokenreview.NewState([]tokenreview.Caller{{Name: "prod", Roots: ca.Pool(), AllowedNames: []string{"apiserver"}, Decider: knows{"tok-alice": alice}}})
	if err != nil {
		f.Fatal(err)
	}
	server.Use(state)
	shown := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{ca.Issue(f, testca.Subject("apiserver")).Leaf}}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequestWithContext(authn.ConnContext(t.Context(), nil), http.MethodPost, tokenreview.Path, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.TLS = shown
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		var asked, answered authenticationv1.TokenReview
		if w.Code != http.StatusOK {
			return
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answered); err != nil {
			t.Fatalf("%q is answered by %q", body, w.Body)
		}
		if err := json.Unmarshal(body, &asked); err != nil || answered.Status.Authenticated && !bytes.Contains(body, []byte("alice")) && !bytes.Contains(body, []byte(`\u`)) {
			t.Fatalf("%q is answered by %q", body, w.Body)
		}
	})
}

// BenchmarkReview measures a review of a token seen before, beside a plain handler that decodes, and answers a constant, in
// the same way of the wire.
func BenchmarkReview(b *testing.B) {
	plain := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		review.Spec = authenticationv1.TokenReviewSpec{}
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"api"}, User: authenticationv1.UserInfo{Username: "alice", UID: "u", Groups: []string{"dev", "ops"}}}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	})
	ca := testca.New(b, "callers")
	server := tokenreview.New(accesslog.NewWriter(io.Discard))
	state, err := tokenreview.NewState([]tokenreview.Caller{{Name: "prod", Roots: ca.Pool(), AllowedNames: []string{"apiserver"}, Decider: knows{"tok-alice": alice}, Audiences: []string{"api"}}})
	if err != nil {
		b.Fatal(err)
	}
	server.Use(state)
	leaf := ca.Issue(b, testca.Subject("apiserver")).Leaf
	body := []byte(review("v1", "tok-alice", "api"))
	for _, one := range []struct {
		name    string
		handler http.Handler
	}{{"ostiary", server}, {"plain", plain}} {
		b.Run(one.name, func(b *testing.B) {
			b.ReportAllocs()
			ctx := authn.ConnContext(b.Context(), nil)
			state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
			for b.Loop() {
				r := httptest.NewRequestWithContext(ctx, http.MethodPost, tokenreview.Path, bytes.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				r.TLS = state
				w := httptest.NewRecorder()
				one.handler.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}

// Package tokenrequest bounds the lifetime of ServiceAccount tokens that callers request through the gate, and reads what
// was issued (spec section 19, G-24). Requests and answers are read with Kubernetes' own decoders, so that the gate and
// the API server never see two different requests in one body.
package tokenrequest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

const (
	// maxBytes bounds a request and an answer. A request for a thousand audiences has less.
	maxBytes = 1 << 20
	// usual is the lifetime of a token for which none was asked (TREQ-5).
	usual = time.Hour
	// extended is the lifetime that kube-apiserver takes for a sign to issue a year (TREQ-9), if the token is bound to a
	// pod. A second less is none.
	extended = 3607 * time.Second
)

// Errors of the answer. They mean that the token must not reach the caller where lifetimes are bounded.
var (
	ErrUnreadable = errors.New("the issued token could not be read")
	ErrTooLong    = errors.New("the issued token lives longer than is allowed")
)

// Issued is what became known of an issued token. It holds nothing that lets anybody in.
type Issued struct {
	// ID is the credential id, "JTI=…"; Issuer scopes it.
	ID, Issuer string
	// Subject is the ServiceAccount's user name.
	Subject string
	// IssuedAt is when it was issued, by the cluster's clock; zero where the token does not say. Expires is when it ends.
	IssuedAt, Expires time.Time
}

// Limiter bounds lifetimes. Make one with New. It is immutable.
type Limiter struct {
	longest time.Duration
	codecs  serializer.CodecFactory
}

// New returns a limiter; a longest of 0 bounds nothing, so that issued tokens are read only.
func New(longest time.Duration) *Limiter {
	scheme := runtime.NewScheme()
	if err := authenticationv1.AddToScheme(scheme); err != nil {
		panic("tokenrequest: " + err.Error()) // the types are compiled in
	}
	return &Limiter{longest: longest, codecs: serializer.NewCodecFactory(scheme)}
}

// IsRequest reports whether a resource request asks for a token (TREQ-1).
func IsRequest(verb, group, resource, subresource string) bool {
	return verb == "create" && group == "" && resource == "serviceaccounts" && subresource == "token"
}

// Limit reads the request's body and shortens the lifetime that it asks for, if that is too long. It returns what to warn
// the caller of; empty where nothing was changed, and the body goes on byte for byte then. An error is an
// *apierrors.StatusError for the caller.
func (l *Limiter) Limit(r *http.Request) (warning string, err error) {
	// The answer must be readable here.
	r.Header.Del("Accept-Encoding")
	if l.longest == 0 {
		return "", nil
	}
	if r.Header.Get("Content-Encoding") != "" {
		return "", unsupported("token requests are taken without Content-Encoding only")
	}
	info, err := l.serializer(r.Header.Get("Content-Type"))
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBytes+1))
	if err != nil {
		return "", apierrors.NewBadRequest("the token request could not be read to its end")
	}
	if len(body) > maxBytes {
		return "", apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("a token request has %d bytes at most", maxBytes))
	}
	_ = r.Body.Close()
	if body, warning, err = l.shorten(info.Serializer, body); err != nil {
		return "", err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.TransferEncoding = nil
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return warning, nil
}

// shorten returns the body to send, and the warning if it is another one.
func (l *Limiter) shorten(codec runtime.Serializer, body []byte) ([]byte, string, error) {
	kind := authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
	decoded, actual, err := codec.Decode(body, &kind, nil)
	request, ok := decoded.(*authenticationv1.TokenRequest)
	if err != nil || !ok || *actual != kind {
		return nil, "", apierrors.NewBadRequest("the body is no TokenRequest of authentication.k8s.io/v1")
	}
	asked := usual
	if seconds := request.Spec.ExpirationSeconds; seconds != nil {
		asked = time.Duration(min(*seconds, int64(l.longest/time.Second)+1)) * time.Second // no overflow
		if *seconds == int64(extended/time.Second) && l.longest >= extended && request.Spec.BoundObjectRef != nil {
			return l.replace(codec, request, extended-time.Second, "a lifetime of 3607s would be extended to a year")
		}
	}
	if asked <= l.longest {
		return body, "", nil
	}
	return l.replace(codec, request, l.longest, "tokens live "+l.longest.String()+" at most")
}

// replace encodes the request with another lifetime.
func (l *Limiter) replace(codec runtime.Serializer, request *authenticationv1.TokenRequest, lifetime time.Duration, why string) ([]byte, string, error) {
	asked := "the default"
	if seconds := request.Spec.ExpirationSeconds; seconds != nil {
		asked = strconv.FormatInt(*seconds, 10) + "s"
	}
	seconds := int64(lifetime / time.Second)
	request.Spec.ExpirationSeconds = &seconds
	request.SetGroupVersionKind(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"))
	var body bytes.Buffer
	if err := codec.Encode(request, &body); err != nil {
		return nil, "", apierrors.NewInternalError(errors.New("the token request could not be shortened"))
	}
	return body.Bytes(), fmt.Sprintf("requested expiration of %s shortened to %ds: %s", asked, seconds, why), nil
}

// Read reads the answer, and puts its body back as it was. A nil result without an error is an answer that issues nothing.
// Errors are ErrUnreadable and ErrTooLong.
func (l *Limiter) Read(response *http.Response) (*Issued, error) {
	if response.StatusCode != http.StatusCreated {
		return nil, nil //nolint:nilnil // nothing was issued
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBytes+1))
	if err != nil || len(body) > maxBytes {
		return nil, errors.Join(ErrUnreadable, err)
	}
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	info, err := l.serializer(response.Header.Get("Content-Type"))
	if err != nil || response.Header.Get("Content-Encoding") != "" {
		return nil, ErrUnreadable
	}
	kind := authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
	decoded, _, err := info.Serializer.Decode(body, &kind, nil)
	answer, ok := decoded.(*authenticationv1.TokenRequest)
	if err != nil || !ok {
		return nil, ErrUnreadable
	}
	if answer.Status.Token == "" {
		return nil, nil //nolint:nilnil // a dry run
	}
	return l.issued(answer.Status.Token)
}

// Bounds reports whether lifetimes are bounded: then a token that Read fails on must not reach the caller.
func (l *Limiter) Bounds() bool { return l.longest > 0 }

// issued reads a token's claims. It comes from the cluster over a verified connection, so that nothing is verified here.
func (l *Limiter) issued(token string) (*Issued, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, ErrUnreadable
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, ErrUnreadable
	}
	var claims struct {
		ID       string `json:"jti"`
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Expires  int64  `json:"exp"`
		IssuedAt int64  `json:"iat"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Expires == 0 {
		return nil, ErrUnreadable
	}
	issued := &Issued{ID: "JTI=" + claims.ID, Issuer: claims.Issuer, Subject: claims.Subject, Expires: time.Unix(claims.Expires, 0).UTC()}
	if claims.IssuedAt != 0 {
		issued.IssuedAt = time.Unix(claims.IssuedAt, 0).UTC()
	}
	if l.longest > 0 && (claims.IssuedAt == 0 || time.Duration(claims.Expires-claims.IssuedAt) > l.longest/time.Second) {
		return issued, ErrTooLong
	}
	return issued, nil
}

// serializer finds the one for a content type. None at all means JSON, as to the API server.
func (l *Limiter) serializer(contentType string) (runtime.SerializerInfo, error) {
	media := runtime.ContentTypeJSON
	if contentType != "" {
		var err error
		if media, _, err = mime.ParseMediaType(contentType); err != nil {
			return runtime.SerializerInfo{}, apierrors.NewBadRequest("the Content-Type cannot be read")
		}
	}
	info, ok := runtime.SerializerInfoForMediaType(l.codecs.SupportedMediaTypes(), media)
	if !ok || info.MediaType != media {
		return info, unsupported("token requests are taken as JSON, YAML or Kubernetes' protobuf")
	}
	return info, nil
}

// unsupported is the answer to a body in a form that cannot be judged here.
func unsupported(message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType, Message: message,
	}}
}

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// The API server that asks: the name in its certificate, the file with what signed that, and its audience.
const (
	callerName   = "bench-apiserver"
	callersCA    = "callers-ca"
	callAudience = "https://kubernetes.default.svc.cluster.local"
)

// reviewAnswerBytes is less than any answer has that lets somebody in.
const reviewAnswerBytes = 200

// callerKeys makes the certificate by which an API server asks, of a CA of its own.
func (b *bed) callerKeys() error {
	authority, err := pki.NewAuthority("bench-callers-ca")
	if err != nil {
		return err
	}
	if _, err := authority.Write(b.dir, callersCA); err != nil {
		return err
	}
	pair, err := authority.Issue(pki.Client(callerName))
	if err != nil {
		return err
	}
	b.caller = pair.TLS()
	return nil
}

// reviewConfiguration has Ostiary answer that API server.
func (b *bed) reviewConfiguration() gate.Object {
	return gate.Object{"callers": []any{gate.Object{
		"name": "bench", "caFiles": []string{filepath.Join(b.dir, callersCA+".crt")}, "allowedNames": []string{callerName},
		"mechanisms": []string{"jwt"}, "audiences": []string{callAudience},
	}}}
}

// newReview is a review as kube-apiserver asks for it.
func newReview(ctx context.Context, url, token string) (*http.Request, error) {
	body, err := json.Marshal(&authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{Kind: "TokenReview", APIVersion: "authentication.k8s.io/v1"},
		Spec:     authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{callAudience}},
	})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"?timeout=30s", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json, */*")
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "kube-apiserver-admission")
	return request, nil
}

// serveReviews is the baseline: a handler as anybody would write it, which decodes a review, looks at nothing in it, and
// encodes the same answer for everybody. Its clients are known by their certificates, too.
func serveReviews(ctx context.Context, dir string) error {
	ca, err := os.ReadFile(filepath.Join(dir, callersCA+".crt")) //nolint:gosec // our own folder
	if err != nil {
		return err
	}
	callers, err := pool(ca)
	if err != nil {
		return err
	}
	return serveTLS(ctx, dir, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
			return
		}
		review.Spec = authenticationv1.TokenReviewSpec{}
		review.Status = authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: []string{callAudience},
			User: authenticationv1.UserInfo{
				Username: "oidc:user-1", Groups: []string{"oidc:developers", "oidc:platform", "on-call", "system:authenticated"},
				Extra: map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/credential-id": {"JTI=ABCDEFGHIJKLMNOPQRSTUVWXYZ"}},
			},
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(&review) // whoever asked may be gone
	}), tls.RequireAndVerifyClientCert, callers)
}

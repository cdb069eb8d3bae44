package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// The files in the folder that all roles share.
const (
	serverName = "server"
	caFile     = "ca.crt"
)

const readHeaderTimeout = 30 * time.Second

// streams is how many requests one HTTP/2 connection may carry, alike everywhere: more than any measurement needs.
const streams = 1000

// answerBytes is the size of an ordinary answer: a pod in JSON.
const answerBytes = 4 << 10

// serveBackend is the server behind: it answers gets with a fixed object, and leaves watches open.
func serveBackend(ctx context.Context, dir string) error {
	object := []byte(`{"kind":"Pod","apiVersion":"v1","metadata":{"annotations":{"x":"` + strings.Repeat("x", answerBytes) + `"}}}`)
	return serve(ctx, dir, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/subjectaccessreviews") { // whoever fills the ledger may
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":true}}`)
			return
		}
		if r.URL.Query().Get("watch") == "" {
			_, _ = w.Write(object)
			return
		}
		_, _ = io.WriteString(w, "{}\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
}

// servePlain is the baseline: the standard library's reverse proxy as its documentation shows it, with TLS on both sides
// and enough idle connections not to dial anew.
func servePlain(ctx context.Context, dir, upstream string) error {
	target, err := url.Parse(upstream)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(dir, caFile)) //nolint:gosec // our own folder
	if err != nil {
		return err
	}
	roots, err := pool(ca)
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100,
		},
	}
	return serve(ctx, dir, proxy)
}

// serveReviews is the baseline of a TokenReview server: a handler that decodes, and encodes a constant answer.
func serveReviews(ctx context.Context, dir string) error {
	return serve(ctx, dir, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		review.Spec = authenticationv1.TokenReviewSpec{}
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{
			Username: "oidc:user-1", Groups: []string{"oidc:developers", "oidc:platform", "system:authenticated"},
		}}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
}

// serve answers with handler on a free port, which it prints, until ctx ends.
func serve(ctx context.Context, dir string, handler http.Handler) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, serverName+".crt"), filepath.Join(dir, serverName+".key"))
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert},
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: streams},
	}
	_, _ = fmt.Fprintln(os.Stdout, "https://"+listener.Addr().String())
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// pool holds the certificates of a PEM file.
func pool(pem []byte) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate where the CA should be")
	}
	return roots, nil
}

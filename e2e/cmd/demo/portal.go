package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

const (
	// portalCA signs the certificates of authenticating proxies, portalName is the one that may be.
	portalCA, portalName = "portal-ca", "portal"
	// portalTimeout bounds how long a client of the portal may take for its headers.
	portalTimeout = 10 * time.Second
)

// startPortal starts an authenticating proxy whose certificate the given authority signs: a company's own portal, reduced
// to what the gate sees of it. Whom it has signed in it names in headers. It listens on loopback in plain HTTP, as a
// sidecar does.
func (w *world) startPortal(ctx context.Context, authority *pki.Authority) (string, error) {
	pair, err := authority.Issue(pki.Client(portalName))
	if err != nil {
		return "", err
	}
	target, err := url.Parse(w.gate.URL)
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.gate.CA)
	// The certificate is sent whatever authorities the gate says it knows.
	certificate := pair.TLS()
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: roots, MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil },
	}}
	server := &http.Server{ReadHeaderTimeout: portalTimeout, Handler: &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("X-Remote-User", person)
			r.Out.Header.Set("X-Remote-Group", group)
		},
	}}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	w.stops = append(w.stops, func() error {
		defer transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			return err
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return "http://" + listener.Addr().String(), nil
}

package kubeapi_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ostiary/ostiary/internal/kubeapi"
	"github.com/ostiary/ostiary/internal/testca"
)

// serverTLS asks for client certificates and names its CAs, none of which signed the gate's, as some API servers do.
func serverTLS(certificate tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
}

func TestProtocols(t *testing.T) {
	a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Proto, " ", r.Header.Get("Accept-Encoding"), " ", r.Header.Get("User-Agent"))
	})
	general, upgrade := a.access(t).Transports()
	r := newRequest(t, a.URL)
	r.Header.Set("User-Agent", "kubectl")
	if got := send(t, general, r); got != "HTTP/2.0  kubectl" {
		t.Errorf("general: %q", got)
	}
	r.Header["Connection"] = []string{"Upgrade"}
	if got := send(t, upgrade, r); got != "HTTP/1.1  kubectl" {
		t.Errorf("STR-1 upgrade: %q", got)
	}
}

func TestCallersAuthorizationNeverWins(t *testing.T) {
	a := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.Header.Values("Authorization")) })
	general, _ := a.access(t).Transports()
	r := newRequest(t, a.URL)
	r.Header["Authorization"] = []string{"Bearer callers-own", "Basic x"}
	if got := send(t, general, r); got != "[Bearer gate-token]" {
		t.Errorf("arrived: %q", got)
	}
	if len(r.Header["Authorization"]) != 2 {
		t.Error("the request was changed, which a RoundTripper must not do")
	}
}

// body notices that it was closed.
type body struct {
	*strings.Reader
	closed atomic.Bool
}

func (b *body) Close() error { b.closed.Store(true); return nil }

func TestGuard(t *testing.T) {
	var arrived atomic.Int32
	a := serve(t, func(http.ResponseWriter, *http.Request) { arrived.Add(1) })
	tests := []struct {
		name   string
		change func(*http.Request)
		want   error
	}{
		{name: "attack 22 no user", change: func(r *http.Request) { r.Header.Del("Impersonate-User") }, want: kubeapi.ErrNoIdentity},
		{name: "attack 22 empty user", change: func(r *http.Request) { r.Header.Set("Impersonate-User", "") }, want: kubeapi.ErrNoIdentity},
		{name: "attack 10 two users", change: func(r *http.Request) { r.Header.Add("Impersonate-User", "admin") }, want: kubeapi.ErrNoIdentity},
		{name: "attack 22 group alone", change: func(r *http.Request) { r.Header = http.Header{"Impersonate-Group": {"g"}} }, want: kubeapi.ErrNoIdentity},
		{name: "attack 22 user in another spelling", change: func(r *http.Request) { r.Header = http.Header{"impersonate-user": {"a"}} }, want: kubeapi.ErrNoIdentity},
		{name: "attack 22 no headers", change: func(r *http.Request) { r.Header = nil }, want: kubeapi.ErrNoIdentity},
		{name: "attack 1 named by Connection", change: func(r *http.Request) { r.Header.Set("Connection", "Impersonate-User") }, want: kubeapi.ErrNoIdentity},
		{name: "attack 1 named beside Upgrade", change: func(r *http.Request) { r.Header.Set("Connection", "Upgrade, Impersonate-User") }, want: kubeapi.ErrNoIdentity},
		{name: "attack 3 two Connection headers", change: func(r *http.Request) { r.Header["Connection"] = []string{"Upgrade", "Impersonate-User"} }, want: kubeapi.ErrNoIdentity},
		{name: "another host", change: func(r *http.Request) { r.URL.Host = "192.0.2.1:443" }, want: kubeapi.ErrForeignServer},
		{name: "another port", change: func(r *http.Request) { r.URL.Host += "0" }, want: kubeapi.ErrForeignServer},
		{name: "another Host header", change: func(r *http.Request) { r.Host = "metadata.internal" }, want: kubeapi.ErrForeignServer},
		{name: "plain HTTP", change: func(r *http.Request) { r.URL.Scheme = "http" }, want: kubeapi.ErrForeignServer},
		{name: "no URL", change: func(r *http.Request) { r.URL = nil }, want: kubeapi.ErrForeignServer},
	}
	general, upgrade := a.access(t).Transports()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, transport := range []http.RoundTripper{general, upgrade} {
				r := newRequest(t, a.URL)
				sent := &body{Reader: strings.NewReader("x")}
				r.Body = sent
				test.change(r)
				response, err := transport.RoundTrip(r)
				if err == nil {
					_ = response.Body.Close()
				}
				if !errors.Is(err, test.want) || !sent.closed.Load() {
					t.Errorf("error = %v, body closed: %t", err, sent.closed.Load())
				}
			}
		})
	}
	if arrived.Load() != 0 {
		t.Errorf("%d requests arrived", arrived.Load())
	}
}

func TestServerIsVerified(t *testing.T) {
	a := serve(t, func(http.ResponseWriter, *http.Request) {})
	tests := []struct {
		name   string
		change func(*kubeapi.Config)
	}{
		{name: "another CA", change: func(c *kubeapi.Config) { c.CertificateAuthority = testca.New(t, "other").PEM() }},
		{name: "another name", change: func(c *kubeapi.Config) { c.TLSServerName = "kubernetes.example" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := a.config(t, "{token: gate-token}")
			test.change(&config)
			access := newAccess(t, config)
			general, upgrade := access.Transports()
			for _, transport := range []http.RoundTripper{general, upgrade} {
				response, err := transport.RoundTrip(newRequest(t, a.URL))
				if err == nil {
					_ = response.Body.Close()
					t.Error("the server was trusted")
				}
			}
			if err := access.Probe(t.Context()); !errors.Is(err, kubeapi.ErrUnreachable) {
				t.Errorf("Probe = %v", err)
			}
		})
	}
	config := a.config(t, "{token: gate-token}")
	config.TLSServerName = "localhost"
	general, _ := newAccess(t, config).Transports()
	send(t, general, newRequest(t, a.URL))
}

func TestOldTLSIsRefused(t *testing.T) {
	ca := testca.New(t, "api")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, testca.Usage(x509.ExtKeyUsageServerAuth))}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	server.StartTLS()
	t.Cleanup(server.Close)
	a := &api{server, ca}
	if err := a.access(t).Probe(t.Context()); !errors.Is(err, kubeapi.ErrUnreachable) || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("G-30: %v", err)
	}
}

package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/issuer"
)

// TestAClusterThatTrustsTheRoot is an alarm, and one that does not is none.
func TestAClusterThatTrustsTheRoot(t *testing.T) {
	t.Parallel()
	text, err := issuer.NewRoot(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	root, err := issuer.ParseRoot(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, trusted := range map[string]bool{"trusting": true, "strange": false} {
		api := httptest.NewUnstartedServer(http.NotFoundHandler())
		pool := x509.NewCertPool()
		if trusted {
			pool.AddCert(root.Certificate)
		}
		api.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
		api.StartTLS()
		t.Cleanup(api.Close)
		server, err := url.Parse(api.URL)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		e := new(exposed)
		e.look(t.Context(), &config.Checked{
			Issuer:   &config.CheckedIssuer{Root: root},
			Clusters: []config.CheckedCluster{{Name: name, Server: server, TLSServerName: "example.com", Authorities: config.Bundle{Certificates: []*x509.Certificate{api.Certificate()}}}},
		}, slog.New(slog.NewTextHandler(&log, nil)))
		if got := strings.Contains(log.String(), "alarm: "); got != trusted || (e.notice() != "") != trusted {
			t.Errorf("%s: an alarm: %t, notice %q", name, got, e.notice())
		}
	}
	new(exposed).look(t.Context(), &config.Checked{}, slog.New(slog.DiscardHandler)) // without an issuer there is nothing to look for
}

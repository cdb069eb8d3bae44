package decisions_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

const (
	// shortLife is how long the credentials live that are to expire under the eyes of a test.
	shortLife = 3 * time.Second
	// expiryMargin is how far past its end a credential is shown again: times in tokens are whole seconds.
	expiryMargin = 1500 * time.Millisecond
	// cacheHolds is less than how long kube-apiserver remembers a token (CACHE-2: 10 seconds).
	cacheHolds = 9 * time.Second
	// cacheAttempts is how often a machine may be too slow for that.
	cacheAttempts = 5
	// closeDeadline bounds how long a connection that ends may take to.
	closeDeadline = time.Minute
)

// kept is a client that keeps its connections.
type kept struct {
	client *http.Client
	server server

	mu     sync.Mutex
	opened int
	closed chan struct{} // of the connection opened last
}

// watched is a connection that says when it is closed.
type watched struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

// Close implements net.Conn.
func (w *watched) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

// keep makes a client of the given protocol, "h2" or "http/1.1", and certificate, which may be nil.
func keep(t *testing.T, server server, protocol string, certificate *tls.Certificate) *kept {
	t.Helper()
	k := &kept{server: server}
	var protocols http.Protocols
	protocols.SetHTTP1(protocol != "h2")
	protocols.SetHTTP2(protocol == "h2")
	transport := &http.Transport{
		Protocols: &protocols,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, RootCAs: server.roots,
			GetClientCertificate: show(certificate),
		},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			k.opened++
			k.closed = make(chan struct{})
			return &watched{Conn: conn, closed: k.closed}, nil
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	k.client = &http.Client{Transport: transport, Timeout: callTimeout}
	return k
}

// ask asks who the caller is and returns the status.
func (k *kept) ask(t *testing.T, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+k.server.address+reviews, strings.NewReader(reviewBody))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := k.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

// connections is how many connections were opened so far, and when the last one is closed.
func (k *kept) connections() (opened int, closed <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.opened, k.closed
}

// TestConnection is about what becomes of the connection after an answer (RESP-7).
func TestConnection(t *testing.T) {
	for _, tt := range []struct {
		name, protocol, token string
		status                int
		ends                  bool
	}{
		{"RESP-7 anonymous over HTTP2", "h2", "", created, true},
		{"RESP-7 refused over HTTP2", "h2", "wrong", unauthorized, true},
		{"RESP-7 among the unauthenticated over HTTP2", "h2", "tok-unauthenticated", created, true},
		{"RESP-7 authenticated over HTTP2", "h2", tokenAlice, created, false},
		{"RESP-7 anonymous over HTTP1", "http/1.1", "", created, false},
		{"RESP-7 refused over HTTP1", "http/1.1", "wrong", unauthorized, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, server := range shared.open.all() {
				client := keep(t, server, tt.protocol, nil)
				if status := client.ask(t, tt.token); status != tt.status {
					t.Errorf("%s answers %d, want %d", server.name, status, tt.status)
				}
				_, closed := client.connections()
				if tt.ends {
					select {
					case <-closed:
					case <-time.After(closeDeadline):
						t.Errorf("%s keeps the connection, want it to end", server.name)
					}
					continue
				}
				client.ask(t, tt.token)
				if opened, _ := client.connections(); opened != 1 {
					t.Errorf("%s: %d connections for two requests, want 1", server.name, opened)
				}
			}
		})
	}
}

// untilTime waits for a moment.
func untilTime(t *testing.T, moment time.Time) {
	t.Helper()
	select {
	case <-time.After(time.Until(moment)):
	case <-t.Context().Done():
		t.Fatal(context.Cause(t.Context()))
	}
}

// TestCertificateExpiresOnOpenConnection shows that X509-3 holds for each request, not for each connection.
func TestCertificateExpiresOnOpenConnection(t *testing.T) {
	for _, protocol := range []string{"h2", "http/1.1"} {
		t.Run("X509-3 "+protocol, func(t *testing.T) {
			ends := time.Now().Add(shortLife)
			shown := issue(t, clientAuthority(), pki.Leaf{CommonName: "jane", NotAfter: ends})
			var clients []*kept
			for _, server := range shared.open.all() {
				client := keep(t, server, protocol, shown.certificate)
				if status := client.ask(t, ""); status != created {
					t.Errorf("%s answers %d to a good certificate, want 201", server.name, status)
				}
				clients = append(clients, client)
			}
			untilTime(t, ends.Add(expiryMargin))
			for _, client := range clients {
				if status := client.ask(t, ""); status != unauthorized {
					t.Errorf("%s answers %d to an expired certificate, want 401", client.server.name, status)
				}
				if opened, _ := client.connections(); opened != 1 {
					t.Errorf("%s: %d connections, want 1: another one shows nothing", client.server.name, opened)
				}
			}
		})
	}
}

// TestTokenExpiresWhileRemembered shows the documented difference from CACHE-2.
func TestTokenExpiresWhileRemembered(t *testing.T) {
	const differs = "A remembered token ends at its `exp`"
	if !differences(t)[differs] {
		t.Errorf("docs/differences.md has no row %q", differs)
	}
	for range cacheAttempts {
		begin := time.Now()
		ends := begin.Add(shortLife).Truncate(time.Second)
		shown := shared.issuers.mapped.token(t, with{"exp": ends.Unix()})
		for _, server := range shared.open.all() {
			if got := mustReview(t, server, shown); got.Status != created {
				t.Fatalf("%s answers %d to a good token, want 201", server.name, got.Status)
			}
		}
		untilTime(t, ends.Add(expiryMargin))
		reference := mustReview(t, shared.open.reference, shown)
		inTime := time.Since(begin) < cacheHolds
		for _, gate := range shared.open.gates {
			if got := mustReview(t, gate, shown); got.Status != unauthorized {
				t.Errorf("CACHE-2: %s answers %d to an expired token, want 401", gate.name, got.Status)
			}
		}
		if !inTime {
			continue // kube-apiserver may have forgotten the token by then
		}
		if reference.Status != created {
			t.Errorf("CACHE-2: kube-apiserver answers %d to a token that it remembers: there is no difference to document", reference.Status)
		}
		return
	}
	t.Fatalf("CACHE-2: in %d attempts this machine was too slow to ask within %s", cacheAttempts, cacheHolds)
}

package gateway_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/testca"
)

// laneDoor is a TLS server behind a lane. hello is called in each handshake, where its computing is done.
func laneDoor(t *testing.T, known func(netip.Addr) bool, hello func(), change ...func(*http.Server)) (address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	certificate := testca.New(t, "serving").Issue(t, testca.Subject("gate"))
	server := &http.Server{
		ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			hello()
			return &certificate, nil
		}},
	}
	for _, one := range change {
		one(server)
	}
	go func() { _ = server.ServeTLS(gateway.NewLane(known).Wrap(listener), "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// shake makes a connection and asks once.
func shake(t *testing.T, address string, config *tls.Config) {
	t.Helper()
	config = config.Clone()
	config.InsecureSkipVerify = true
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	// Of a request with a body that nobody reads net/http reads nothing more while it is handled.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address, strings.NewReader("body"))
	if err != nil {
		t.Error(err)
		return
	}
	response, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Do(request)
	if err != nil {
		t.Error(err)
		return
	}
	_ = response.Body.Close()
}

// TestLaneBoundsStrangersHandshakes: as many of strangers' handshakes compute at a time as half of the processors do, and
// all come to their end; those of known sources are not among them. The twin, where everybody is known, has no bound.
func TestLaneBoundsStrangersHandshakes(t *testing.T) {
	t.Parallel()
	const clients = 40
	bound := int64(max(1, runtime.GOMAXPROCS(0)/2))
	for _, tt := range []struct {
		name  string
		known bool
		// only are the groups that the server takes: others make clients try again.
		only []tls.CurveID
	}{{name: "strangers"}, {name: "strangers who try again", only: []tls.CurveID{tls.CurveP384}}, {name: "known", known: true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var inside, most, done atomic.Int64
			address := laneDoor(t, func(netip.Addr) bool { return tt.known }, func() {
				now := inside.Add(1)
				for before := most.Load(); now > before; before = most.Load() {
					if most.CompareAndSwap(before, now) {
						break
					}
				}
				<-time.After(5 * time.Millisecond) // computing
				inside.Add(-1)
			}, func(server *http.Server) { server.TLSConfig.CurvePreferences = tt.only })
			over := make(chan struct{})
			for i := range clients {
				go func() {
					config := &tls.Config{MaxVersion: tls.VersionTLS13 - uint16(i%2)}
					if i%4 == 0 { // a client that has to try again
						config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384}
					}
					shake(t, address, config)
					if done.Add(1) == clients {
						close(over)
					}
				}()
			}
			<-over
			if got := most.Load(); !tt.known && got > bound || tt.known && got <= bound {
				t.Errorf("%d handshakes computed at a time; the bound is %d", got, bound)
			}
		})
	}
}

// TestNobodyHoldsTheLane: who connects and says nothing, says half a word or goes away keeps nobody out.
func TestNobodyHoldsTheLane(t *testing.T) {
	t.Parallel()
	address := laneDoor(t, func(netip.Addr) bool { return false }, func() {})
	for i := range 30 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc")[:i%9]); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			_ = conn.Close()
		}
	}
	shake(t, address, &tls.Config{MinVersion: tls.VersionTLS13})
}

// TestARequestHoldsNoLane: a stranger whose request takes long, in whichever form the handshake was, keeps nobody out.
func TestARequestHoldsNoLane(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		client *tls.Config
		server func(*tls.Config)
	}{
		{name: "TLS 1.3", client: &tls.Config{MinVersion: tls.VersionTLS13}},
		{name: "TLS 1.3, without tickets", client: &tls.Config{MinVersion: tls.VersionTLS13}, server: func(c *tls.Config) { c.SessionTicketsDisabled = true }},
		{
			name: "TLS 1.3, tried again", client: &tls.Config{MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP384}},
			server: func(c *tls.Config) { c.CurvePreferences, c.SessionTicketsDisabled = []tls.CurveID{tls.CurveP384}, true },
		},
		{name: "TLS 1.2", client: &tls.Config{MaxVersion: tls.VersionTLS12}},
		{name: "TLS 1.2, resumed", client: &tls.Config{MaxVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(8)}},
		{name: "TLS 1.3, resumed", client: &tls.Config{MinVersion: tls.VersionTLS13, ClientSessionCache: tls.NewLRUClientSessionCache(8)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			slow, over := make(chan struct{}, 2*runtime.GOMAXPROCS(0)), make(chan struct{})
			address := laneDoor(t, func(netip.Addr) bool { return false }, func() {}, func(server *http.Server) {
				if tt.server != nil {
					tt.server(server.TLSConfig)
				}
				server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/slow" {
						slow <- struct{}{}
						<-over
					}
					w.WriteHeader(http.StatusNoContent)
				})
			})
			shake(t, address, tt.client) // for a ticket
			var all sync.WaitGroup
			for range 2 * runtime.GOMAXPROCS(0) {
				all.Go(func() { shake(t, address+"/slow", tt.client) })
			}
			for range 2 * runtime.GOMAXPROCS(0) {
				select {
				case <-slow:
				case <-time.After(2 * time.Minute):
					t.Fatal("requests that take long keep others out")
				}
			}
			shake(t, address, tt.client)
			close(over)
			all.Wait()
		})
	}
}

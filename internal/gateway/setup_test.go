package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/frontproxy"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/identityheader"
)

// byToken lets in whoever shows "Bearer <user>" for a user it knows, and nobody else.
type byToken struct {
	users   map[string]*identity.Identity
	readmit func(*authn.Request, *authn.Credential) (*identity.Identity, error) // nil: as before
}

func (b byToken) Decide(_ context.Context, r *authn.Request) authn.Decision {
	name := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if id, ok := b.users[name]; ok {
		cred := &authn.Credential{ID: identity.CredentialID{Value: "STATIC=1"}, Mechanism: identity.StaticToken, Identity: *id}
		return authn.Decision{Identity: id, Credential: cred, Mechanism: cred.Mechanism, Reason: authn.ReasonAccepted, Warnings: []string{`say "hi"`}}
	}
	return authn.Decision{Reason: authn.ReasonRejected, Cause: errors.New("unknown " + name)}
}

// journal keeps events.
type journal struct {
	mu     sync.Mutex
	events []accesslog.Event
	added  chan struct{}
}

func (j *journal) Record(e *accesslog.Event) {
	j.mu.Lock()
	j.events = append(j.events, *e)
	j.mu.Unlock()
	select {
	case j.added <- struct{}{}:
	default:
	}
}

// await returns the first event that matches.
func (j *journal) await(t *testing.T, matches func(accesslog.Event) bool) accesslog.Event {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		j.mu.Lock()
		for _, e := range j.events {
			if matches(e) {
				j.mu.Unlock()
				return e
			}
		}
		j.mu.Unlock()
		select {
		case <-j.added:
		case <-deadline:
			t.Fatalf("no such event in %+v", j.events)
		}
	}
}

// setup is a gate over TLS in front of a server over TLS.
type setup struct {
	gate    *gateway.Gate
	front   *httptest.Server
	journal *journal
}

func newSetup(t *testing.T, api http.Handler, change ...func(*gateway.State)) *setup {
	t.Helper()
	return newSetupWithFront(t, api, nil, change...)
}

// newSetupWithFront is the same with something in front of authentication; nil for nothing.
func newSetupWithFront(t *testing.T, api http.Handler, front gateway.Front, change ...func(*gateway.State)) *setup {
	t.Helper()
	upstream := httptest.NewUnstartedServer(api)
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	server, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(upstream.Certificate())
	plain := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	upgrade := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}}
	t.Cleanup(plain.CloseIdleConnections)
	t.Cleanup(upgrade.CloseIdleConnections)
	cluster := func(name string) *gateway.Cluster {
		return &gateway.Cluster{
			Name: name, Server: server, Mode: "requestHeader", HTTP2: plain, HTTP1: upgrade, Assert: identityheader.Asserter(frontproxy.Encode, frontproxy.Strip),
			Authenticator: byToken{users: map[string]*identity.Identity{
				"alice":  {Username: "alice", Groups: []string{"dev", "system:authenticated"}},
				"nobody": {Username: identity.Anonymous, Groups: []string{identity.GroupUnauthenticated}},
				"empty":  {},
			}},
		}
	}
	state := &gateway.State{Clusters: []*gateway.Cluster{cluster("prod"), cluster("stage")}}
	for _, one := range change {
		one(state)
	}
	s := &setup{journal: &journal{added: make(chan struct{}, 1)}}
	s.gate, err = gateway.New(gateway.Config{State: state, Sink: s.journal, Front: front, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.front = httptest.NewUnstartedServer(s.gate)
	s.front.EnableHTTP2 = true
	s.front.Config.ConnContext = authn.ConnContext
	s.front.Config.DisableGeneralOptionsHandler = true
	s.front.StartTLS()
	t.Cleanup(s.front.Close)
	return s
}

// raw sends bytes over a TLS connection that speaks HTTP/1.1, and reads one answer.
func (s *setup) raw(t *testing.T, text string) (*http.Response, string) {
	t.Helper()
	conn := s.dial(t)
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(content)
}

func (s *setup) dial(t *testing.T) *tls.Conn {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.front.Certificate())
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(t.Context(), "tcp", s.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute)) // bounds what hangs
	tlsConn, ok := conn.(*tls.Conn)
	if !ok {
		t.Fatalf("not TLS: %T", conn)
	}
	return tlsConn
}

// echo answers with what reached it.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"uri": r.RequestURI, "headers": r.Header, "proto": r.Proto, "trailer": r.Trailer})
}

type echoed struct {
	URI     string
	Headers http.Header
	Proto   string
}

func decode(t *testing.T, content string) echoed {
	t.Helper()
	var e echoed
	if err := json.Unmarshal([]byte(content), &e); err != nil {
		t.Fatalf("%v in %q", err, content)
	}
	return e
}

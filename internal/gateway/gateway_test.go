package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/gateway"
)

// TestForgedHeadersNeverReachTheCluster sends what attackers send; the cluster must see alice and nothing else.
func TestForgedHeadersNeverReachTheCluster(t *testing.T) {
	t.Parallel()
	s := newSetup(t, http.HandlerFunc(echo))
	for _, tt := range []struct{ name, headers string }{
		{name: "attack 1 connection names the identity headers", headers: "Connection: close, X-Remote-User, X-Remote-Group\r\n"},
		{name: "attack 2 connection names audit id", headers: "Connection: Audit-Id\r\n"},
		{name: "attack 3 two connection headers, first empty", headers: "Connection:\r\nConnection: X-Remote-User\r\n"},
		{name: "attack 5 remote headers", headers: "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\nX-Remote-Extra-Scopes: all\r\n"},
		{name: "attack 6 remote uid alone", headers: "X-Remote-Uid: 0\r\n"},
		{name: "attack 8 case", headers: "x-remote-user: admin\r\nX-REMOTE-GROUP: system:masters\r\n"},
		{name: "attack 8 underscores", headers: "X_Remote_User: admin\r\nX-Remote_User: admin\r\nx_remote-group: system:masters\r\n"},
		{name: "attack 18 forwarding headers", headers: "X-Forwarded-For: 8.8.8.8\r\nForwarded: for=8.8.8.8\r\nX-Real-Ip: 8.8.8.8\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Uri: /\r\n"},
		{name: "client chooses the audit id", headers: "Audit-Id: 00000000-0000-0000-0000-000000000000\r\n"},
		{name: "attack 17 token subprotocol beside a bearer token", headers: "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.YWRtaW4\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			response, content := s.raw(t, "GET /api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n"+tt.headers+"\r\n")
			if response.StatusCode != http.StatusOK {
				t.Fatalf("status %d: %s", response.StatusCode, content)
			}
			got := decode(t, content)
			for name, values := range got.Headers {
				switch name {
				case "X-Remote-User", "X-Remote-Group", "X-Forwarded-For", "Audit-Id":
				case "Accept-Encoding", "User-Agent", "Accept":
				default:
					t.Errorf("the cluster saw %s: %q", name, values)
				}
			}
			want := http.Header{"X-Remote-User": {"alice"}, "X-Remote-Group": {"dev", "system:authenticated"}, "X-Forwarded-For": {"127.0.0.1"}}
			for name, values := range want {
				if diff := cmp.Diff(values, got.Headers[name]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			if id := got.Headers.Get("Audit-Id"); id == "" || strings.HasPrefix(id, "00000000") {
				t.Errorf("audit id %q", id)
			}
		})
	}
}

// TestAmbiguousRequestsAreRefused covers what two parsers could read differently. The twin of each passes.
func TestAmbiguousRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSetup(t, http.HandlerFunc(echo))
	request := func(line, headers string) string {
		return line + " HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n" + headers + "\r\n"
	}
	for _, tt := range []struct {
		name, bad, twin string
		status          int
	}{
		{name: "attack 15 two authorization headers", bad: request("GET /api", "Authorization: Bearer alice\r\n"), twin: request("GET /api", ""), status: 400},
		{name: "attack 75 h2c", bad: request("GET /api", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), twin: request("GET /api", ""), status: 400},
		{name: "attack 75 unknown upgrade", bad: request("GET /api", "Connection: upgrade\r\nUpgrade: tcp\r\n"), twin: request("GET /api", "Upgrade: tcp\r\n"), status: 400},
		{name: "attack 75 two upgrades", bad: request("GET /api", "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: tcp\r\n"), twin: request("GET /api", ""), status: 400},
		{name: "attack 75 upgrade without a name", bad: request("GET /api", "Connection: upgrade\r\n"), twin: request("GET /api", ""), status: 400},
		{name: "attack 78 absolute form", bad: request("GET https://10.0.0.1/api", ""), twin: request("GET /api", ""), status: 400},
		{name: "attack 78 asterisk", bad: request("OPTIONS *", ""), twin: request("OPTIONS /", ""), status: 400},
		{name: "attack 80 both lengths", bad: request("POST /api", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n", twin: request("POST /api", "Content-Length: 5\r\n") + "hello", status: 0},
		{name: "attack 80 space before colon", bad: request("GET /api", "X-Remote-User : admin\r\n"), twin: request("GET /api", ""), status: 400},
		{name: "attack 80 NUL in a header", bad: request("GET /api", "X-A: a\x00b\r\n"), twin: request("GET /api", "X-A: ab\r\n"), status: 400},
		{name: "wrong token", bad: strings.Replace(request("GET /api", ""), "alice", "mallory", 1), twin: request("GET /api", ""), status: 401},
		{name: "unknown cluster", bad: request("GET /clusters/none/api", ""), twin: request("GET /clusters/stage/api", ""), status: 404},
		{name: "unknown cluster without a credential", bad: strings.Replace(request("GET /clusters/none/api", ""), "alice", "mallory", 1), twin: request("GET /clusters/stage/api", ""), status: 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			response, content := s.raw(t, tt.bad)
			if tt.status == 0 { // Go settles it: chunked wins and the length is dropped, so one reading is left
				if length := decode(t, content).Headers["Content-Length"]; len(length) > 0 {
					t.Errorf("both lengths went on: %q", length)
				}
			} else if response.StatusCode != tt.status {
				t.Errorf("status %d, want %d: %s", response.StatusCode, tt.status, content)
			}
			if response, content := s.raw(t, tt.twin); response.StatusCode != http.StatusOK {
				t.Errorf("twin: status %d: %s", response.StatusCode, content)
			}
		})
	}
}

// TestConnectionsEndAfterDoubtfulBodies is attack 80: what follows a body of two lengths is never a request of its own.
func TestConnectionsEndAfterDoubtfulBodies(t *testing.T) {
	t.Parallel()
	s := newSetup(t, http.HandlerFunc(echo))
	post := func(token, headers, body string) string {
		return "POST /api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer " + token + "\r\n" + headers + "\r\n" + body
	}
	const chunked = "Transfer-Encoding: chunked\r\n"
	for _, tt := range []struct {
		name, raw string
		ends      bool
	}{
		{name: "both lengths", raw: post("alice", chunked+"Content-Length: 500\r\n", "0\r\n\r\n"), ends: true},
		{name: "both lengths, refused", raw: post("mallory", chunked+"Content-Length: 500\r\n", "0\r\n\r\n"), ends: true},
		{name: "chunks alone, which look alike by then", raw: post("alice", chunked, "0\r\n\r\n"), ends: true},
		{name: "twin: a length", raw: post("alice", "Content-Length: 5\r\n", "hello")},
		{name: "twin: no body", raw: post("alice", "", "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn := s.dial(t)
			if _, err := io.WriteString(conn, tt.raw+post("alice", "", "")); err != nil {
				t.Fatal(err)
			}
			reader := bufio.NewReader(conn)
			first, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, first.Body); err != nil {
				t.Fatal(err)
			}
			_ = first.Body.Close()
			second, err := http.ReadResponse(reader, nil)
			if err == nil {
				_ = second.Body.Close()
			}
			if ended := err != nil; ended != tt.ends {
				t.Errorf("connection ended: %t, want %t", ended, tt.ends)
			}
		})
	}
}

// TestPathsGoOnByteForByte is attack 78's other half, and the routing of several clusters.
func TestPathsGoOnByteForByte(t *testing.T) {
	t.Parallel()
	s := newSetup(t, http.HandlerFunc(echo))
	for _, path := range []string{
		"/", "/api", "/api/v1/namespaces/a/services/b:80/proxy/x//y/../z", "//livez", "/a/%2e%2e/b", "/a%2fb", "/a%5cb", "/a;b=c",
		"/a?b=c;d=e&f=%zz&watch", "/a?", "/%6civez", "/a\"b<c>|^`", "/\u00e9\u4e16", "/a:b@c!$&'()*+,=", "/clustersx", "/%63lusters/prod/api",
		"/clusters", "/a%00b", "/?", "/a??b",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			for _, prefix := range []string{"", "/clusters/stage"} {
				response, content := s.raw(t, "GET "+prefix+path+" HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n\r\n")
				if response.StatusCode != http.StatusOK {
					t.Fatalf("status %d: %s", response.StatusCode, content)
				}
				if got := decode(t, content).URI; got != path {
					t.Errorf("%q arrived as %q", prefix+path, got)
				}
			}
		})
	}
	for sent, want := range map[string]string{"/clusters/stage": "/", "/clusters/stage/": "/", "/clusters/stage?a": "/?a", "/clusters/prod/clusters/stage/x": "/clusters/stage/x"} {
		if _, content := s.raw(t, "GET "+sent+" HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n\r\n"); decode(t, content).URI != want {
			t.Errorf("%q arrived as %s, want %q", sent, content, want)
		}
	}
}

// TestNobodyIsNeverForwarded is attack 22: an identity without a name must not reach the wire.
func TestNobodyIsNeverForwarded(t *testing.T) {
	t.Parallel()
	var reached bool
	s := newSetup(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	response, content := s.raw(t, "GET /api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer empty\r\n\r\n")
	if response.StatusCode != http.StatusForbidden || reached {
		t.Errorf("status %d, reached %v: %s", response.StatusCode, reached, content)
	}
	if got := response.Header.Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("RESP-6: X-Content-Type-Options is %q, want nosniff", got)
	}
}

func TestRefusalsAreStatusObjects(t *testing.T) {
	t.Parallel()
	s := newSetup(t, http.HandlerFunc(echo))
	response, content := s.raw(t, "GET /api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer s3cr3t\r\n\r\n")
	var status metav1.Status
	if err := json.Unmarshal([]byte(content), &status); err != nil {
		t.Fatal(err)
	}
	want := metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Message: "Unauthorized", Reason: "Unauthorized", Code: 401}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("RESP-1 (-want +got):\n%s", diff)
	}
	h := response.Header
	if h.Get("Www-Authenticate") != "" || h.Get("Audit-Id") == "" || h.Get("Cache-Control") != "no-cache, private" || h.Get("X-Content-Type-Options") != "" {
		t.Errorf("RESP-3: %q", h)
	}
	if strings.Contains(content, "s3cr3t") {
		t.Error("attack 84: the body echoes the token")
	}
	event := s.journal.await(t, func(e accesslog.Event) bool { return e.Verdict == accesslog.Deny })
	if event.RequestID != h.Get("Audit-Id") || event.Status != 401 || event.Path != "/api" {
		t.Errorf("event %+v", event)
	}
	response, _ = s.raw(t, "GET /api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n\r\n")
	if got := response.Header.Get("Warning"); got != `299 - "say \"hi\""` {
		t.Errorf("RESP-5: warning %q", got)
	}
}

// TestHTTP2ConnectionsOfNobodyEnd is attack 81 (RESP-7): after a refusal the connection is closed; its twin's is kept.
func TestHTTP2ConnectionsOfNobodyEnd(t *testing.T) {
	t.Parallel()
	s := newSetup(t, http.HandlerFunc(echo))
	for _, tt := range []struct {
		name, token string
		twice       bool // the Authorization header
		dials       int
	}{
		{name: "malformed", token: "alice", twice: true, dials: 3},
		{name: "refused", token: "mallory", dials: 3},
		{name: "anonymous", token: "nobody", dials: 3},
		{name: "twin: authenticated", token: "alice", dials: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			transport := s.front.Client().Transport.(*http.Transport).Clone() //nolint:forcetypeassert // httptest's own
			var mu sync.Mutex
			dials := 0
			transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				dials++
				return new(net.Dialer).DialContext(ctx, network, address)
			}
			defer transport.CloseIdleConnections()
			for range 3 {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.front.URL+"/api", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Authorization", "Bearer "+tt.token)
				if tt.twice {
					request.Header.Add("Authorization", "Bearer "+tt.token)
				}
				response, err := transport.RoundTrip(request)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, response.Body); err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				if response.ProtoMajor != 2 {
					t.Fatalf("spoke %s", response.Proto)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if dials != tt.dials {
				t.Errorf("%d connections for 3 requests, want %d", dials, tt.dials)
			}
		})
	}
}

func TestUnreachableCluster(t *testing.T) {
	t.Parallel()
	s := newSetup(t, http.HandlerFunc(echo), func(state *gateway.State) {
		down := *state.Clusters[0]
		refused := roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("dial tcp 10.1.2.3: refused") })
		down.HTTP1, down.HTTP2 = refused, refused
		state.Clusters[0] = &down
	})
	response, content := s.raw(t, "GET /api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n\r\n")
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || !strings.Contains(content, "cluster prod") || strings.Contains(content, "10.1.2.3") {
		t.Errorf("status %d, headers %q: %s", response.StatusCode, response.Header, content)
	}
	event := s.journal.await(t, func(e accesslog.Event) bool { return e.Verdict == accesslog.Fault })
	if event.Reason != "cluster_unreachable" || event.Cause == nil || event.Status != 503 {
		t.Errorf("event %+v", event)
	}
	if response, _ := s.raw(t, "GET /clusters/stage/api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n\r\n"); response.StatusCode != http.StatusOK {
		t.Errorf("twin: the other cluster answers %d", response.StatusCode)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRedirectsAreNotFollowed is attack 77.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	hits := 0
	s := newSetup(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits++
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	if response, _ := s.raw(t, "GET /api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n\r\n"); response.StatusCode != http.StatusTemporaryRedirect || hits != 1 {
		t.Errorf("status %d after %d hits", response.StatusCode, hits)
	}
}

// TestDrainTellsStreams shows what clients of each kind of stream see when the gate goes away.
func TestDrainTellsStreams(t *testing.T) {
	t.Parallel()
	started := make(chan struct{}, 1)
	s := newSetup(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n\x82\x01a", r.Header.Get("Upgrade"))
			_ = buffered.Flush()
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{\"type\":\"ADDED\"}\n")
		_ = http.NewResponseController(w).Flush()
		started <- struct{}{}
		<-r.Context().Done()
	}))

	watch := s.dial(t)
	_, _ = io.WriteString(watch, "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(watch), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	<-started

	exec := s.dial(t)
	_, _ = io.WriteString(exec, "GET /api/v1/namespaces/a/pods/b/exec HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	execReader := bufio.NewReader(exec)
	upgraded, err := http.ReadResponse(execReader, nil)
	if err != nil || upgraded.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v %v", upgraded, err)
	}
	defer func() { _ = upgraded.Body.Close() }()
	frame := make([]byte, 3)
	if _, err := io.ReadFull(execReader, frame); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no time for those that want to go on
	drained := make(chan struct{})
	go func() { s.gate.Drain(ctx); close(drained) }()

	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("the watch did not end cleanly: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	var event struct {
		Type   string
		Object metav1.Status
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &event); err != nil || event.Type != "ERROR" || event.Object.Message != gateway.DrainReason {
		t.Errorf("last event %q: %v", lines[len(lines)-1], err)
	}
	rest, err := io.ReadAll(execReader)
	if err != nil {
		t.Fatalf("the exec did not end cleanly: %v", err)
	}
	if want := append([]byte{0x88, byte(2 + len(gateway.DrainReason)), 0x03, 0xe9}, gateway.DrainReason...); string(rest) != string(want) {
		t.Errorf("close frame %q, want %q", rest, want)
	}
	<-drained
	for _, kind := range []accesslog.Kind{accesslog.StreamStart, accesslog.StreamEnd} {
		for _, verb := range []string{"watch", "get"} {
			event := s.journal.await(t, func(e accesslog.Event) bool { return e.Kind == kind && e.Verb == verb })
			if kind == accesslog.StreamEnd && event.Reason != "cut" {
				t.Errorf("event %+v", event)
			}
		}
	}
}

// TestHalfClosedClientsAreNotToldOK: a client that closes its sending side counts as gone to net/http, and still reads
// what it is answered.
func TestHalfClosedClientsAreNotToldOK(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{})
	s := newSetup(t, http.HandlerFunc(echo), func(state *gateway.State) {
		slow := *state.Clusters[0]
		slow.HTTP1 = roundTrip(func(r *http.Request) (*http.Response, error) {
			close(reached)
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		state.Clusters[0] = &slow
	})
	conn := s.dial(t)
	_, _ = io.WriteString(conn, "GET /api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n\r\n")
	<-reached
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		_ = response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a request that was not answered by the cluster: %s", response.Status)
		}
	}
	event := s.journal.await(t, func(e accesslog.Event) bool { return e.Verdict == accesslog.Fault })
	if event.Reason != "client_gone" {
		t.Errorf("event %+v", event)
	}
}

package gateway_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/ostiary/ostiary/internal/gateway"
)

// gone is the API server's side of a tunnel whose sender closed it: the rest of what it sent can be read, and nothing can be
// written. The rest is there only when something was written.
type gone struct {
	first, rest io.Reader
	failure     error // after the rest
	once        sync.Once
	written     chan struct{}
}

func (g *gone) Read(p []byte) (int, error) {
	if n, err := g.first.Read(p); err == nil {
		return n, nil
	}
	<-g.written
	if n, err := g.rest.Read(p); err == nil {
		return n, nil
	}
	return 0, g.failure
}

func (g *gone) Write([]byte) (int, error) {
	g.once.Do(func() { close(g.written) })
	return 0, errors.New("broken pipe")
}

func (g *gone) Close() error { return nil }

func (g *gone) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusSwitchingProtocols, ProtoMajor: 1, ProtoMinor: 1, Request: r, Body: g,
		Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {r.Header.Get("Upgrade")}},
	}, nil
}

// TestTunnelEndsWithAllThatWasSent: a client that pings, while the end of a file is on its way and the API server has closed its side, gets
// the whole file.
func TestTunnelEndsWithAllThatWasSent(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"closed": io.EOF, "reset": errors.New("connection reset by peer")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rest := strings.Repeat("the end of a file ", 1<<16)
			far := &gone{first: strings.NewReader("begun "), rest: strings.NewReader(rest), failure: failure, written: make(chan struct{})}
			s := newSetup(t, http.NotFoundHandler(), func(state *gateway.State) { state.Clusters[0].HTTP1 = far })
			conn := s.dial(t)
			if _, err := io.WriteString(conn, "GET /api/v1/namespaces/a/pods/b/exec HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			reader := bufio.NewReader(conn)
			response, err := http.ReadResponse(reader, nil)
			if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%+v, %v", response, err)
			}
			_ = response.Body.Close()
			for range 2 {
				if _, err := io.WriteString(conn, "ping"); err != nil {
					t.Fatal(err)
				}
			}
			got, err := io.ReadAll(reader)
			if err != nil || !strings.HasPrefix(string(got), "begun "+rest) {
				t.Errorf("%d bytes and %v, want %d or more", len(got), err, len("begun "+rest))
			}
		})
	}
}

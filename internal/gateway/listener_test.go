package gateway_test

import (
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/gateway"
)

// TestConnectionsPerSource: one source cannot take more than its share, and gets a place back for each it gives up.
func TestConnectionsPerSource(t *testing.T) {
	t.Parallel()
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	listener := gateway.NewListener(inner, 2, func(source netip.Addr) {
		if source != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("refused %v", source)
		}
		refused.Add(1)
	})
	defer func() { _ = listener.Close() }()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		return conn
	}
	dial()
	dial()
	first := <-accepted
	<-accepted
	if _, err := dial().Read(make([]byte, 1)); err != io.EOF && refused.Load() == 0 { //nolint:errorlint // net returns io.EOF itself
		t.Errorf("the third connection: %v, %d refused", err, refused.Load())
	}
	if refused.Load() != 1 {
		t.Errorf("%d refused, want 1", refused.Load())
	}
	_ = first.Close()
	_ = first.Close() // closing twice gives one place back, not two
	dial()
	<-accepted
	if _, err := dial().Read(make([]byte, 1)); err == nil || refused.Load() != 2 {
		t.Errorf("after giving one back: %v, %d refused, want 2", err, refused.Load())
	}
	listener.SetLimit(3)
	dial()
	<-accepted
}

// fromMany is a listener whose connections claim to come from the given addresses, one after the other.
type fromMany struct {
	net.Listener
	sources []string
}

func (l *fromMany) Accept() (net.Conn, error) {
	if len(l.sources) == 0 {
		return nil, net.ErrClosed
	}
	near, far := net.Pipe()
	_ = far.Close()
	source := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(l.sources[0]), 1234))
	l.sources = l.sources[1:]
	return &claimed{Conn: near, source: source}, nil
}

// claimed is a connection from a source of the test's choice.
type claimed struct {
	net.Conn
	source net.Addr
}

func (c *claimed) RemoteAddr() net.Addr { return c.source }

// TestConnectionsPerSite: whoever has an IPv6 network has 2^64 addresses, and still one share.
func TestConnectionsPerSite(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		sources []string
		refused []string
	}{
		{name: "addresses of one IPv6 site", sources: []string{"2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"}, refused: []string{"2001:db8::2", "2001:db8::ffff:1"}},
		{name: "zones of one link-local site", sources: []string{"fe80::1%a", "fe80::1%b"}, refused: []string{"fe80::1%b"}},
		{name: "IPv4 in two forms", sources: []string{"192.0.2.1", "::ffff:192.0.2.1"}, refused: []string{"192.0.2.1"}},
		{name: "two IPv6 sites", sources: []string{"2001:db8::1", "2001:db8:0:1::1"}},
		{name: "IPv4 neighbours", sources: []string{"192.0.2.1", "192.0.2.2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var refused []string
			listener := gateway.NewListener(&fromMany{sources: tt.sources}, 1, func(source netip.Addr) {
				refused = append(refused, source.String())
			})
			for {
				conn, err := listener.Accept()
				if err != nil {
					break
				}
				defer func() { _ = conn.Close() }()
			}
			if diff := cmp.Diff(tt.refused, refused); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
		})
	}
}

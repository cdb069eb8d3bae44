package gateway_test

import (
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/ostiary/ostiary/internal/gateway"
)

// relaySetup is a listener whose loopback clients are balancers, or are not.
func relaySetup(t *testing.T, limit int, from ...netip.Prefix) (listener *gateway.Listener, dial func(header []byte) net.Conn, refused *atomic.Int32) {
	t.Helper()
	raw, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused = new(atomic.Int32)
	listener = gateway.NewListener(raw, limit, func(netip.Addr) { refused.Add(1) })
	listener.SetRelays(from)
	t.Cleanup(func() { _ = listener.Close() })
	return listener, func(header []byte) net.Conn {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := conn.Write(header); err != nil {
			t.Fatal(err)
		}
		return conn
	}, refused
}

// header is a PROXY header of a version, for a client at the given address.
func header(t *testing.T, version byte, client string, command proxyproto.ProtocolVersionAndCommand) []byte {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(version, &net.TCPAddr{IP: net.ParseIP(client), Port: 1000}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
	h.Command = command
	content, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// accepted is what the gate sees of the next connection: the address, and its first bytes.
func accepted(t *testing.T, listener net.Listener) (conn net.Conn, address, bytes string, err error) {
	t.Helper()
	if conn, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	address = conn.RemoteAddr().(*net.TCPAddr).IP.String()
	buffer := make([]byte, 5)
	_, err = io.ReadFull(conn, buffer)
	return conn, address, string(buffer), err
}

// TestProxyProtocolG10 is attack 19: a named balancer must send a header of version 2, and nobody else is believed.
func TestProxyProtocolG10(t *testing.T) {
	t.Parallel()
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	for _, tt := range []struct {
		name    string
		from    []netip.Prefix
		header  []byte
		address string
		bytes   string
		fails   bool
	}{
		{name: "version 2", from: []netip.Prefix{loopback}, header: header(t, 2, "203.0.113.9", proxyproto.PROXY), address: "203.0.113.9", bytes: "hello"},
		{name: "the balancer itself", from: []netip.Prefix{loopback}, header: header(t, 2, "203.0.113.9", proxyproto.LOCAL), address: "127.0.0.1", bytes: "hello"},
		{name: "version 1", from: []netip.Prefix{loopback}, header: header(t, 1, "203.0.113.9", proxyproto.PROXY), address: "127.0.0.1", fails: true},
		{name: "no header", from: []netip.Prefix{loopback}, address: "127.0.0.1", fails: true},
		{name: "stranger without a header", address: "127.0.0.1", bytes: "hello"},
		{name: "stranger with a header", header: header(t, 2, "203.0.113.9", proxyproto.PROXY), address: "127.0.0.1", bytes: "\r\n\r\n\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			listener, dial, _ := relaySetup(t, 10, tt.from...)
			dial(append(tt.header, "hello there, long enough"...))
			_, address, bytes, err := accepted(t, listener)
			if address != tt.address || (err != nil) != tt.fails || err == nil && bytes != tt.bytes {
				t.Errorf("%s %q %v, want %s %q fails %v", address, bytes, err, tt.address, tt.bytes, tt.fails)
			}
		})
	}
}

// TestRelayedClientsAreCounted: the bound is the client's, not the balancer's, and one that says nothing holds up nobody.
func TestRelayedClientsAreCounted(t *testing.T) {
	t.Parallel()
	listener, dial, refused := relaySetup(t, 1, netip.MustParsePrefix("127.0.0.0/8"))
	dial(nil) // a balancer's connection that says nothing
	silent, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	hello := func(client string) []byte { return append(header(t, 2, client, proxyproto.PROXY), "hello"...) }
	dial(hello("203.0.113.1"))
	first, _, _, err := accepted(t, listener)
	if err != nil {
		t.Fatalf("the first connection of a client: %v", err)
	}
	dial(hello("203.0.113.2"))
	if _, _, _, err := accepted(t, listener); err != nil {
		t.Errorf("another client: %v", err)
	}
	dial(hello("203.0.113.1"))
	if _, _, _, err := accepted(t, listener); err == nil || refused.Load() != 1 {
		t.Errorf("a second connection of a client is let in: %v, %d refused", err, refused.Load())
	}
	_ = first.Close()
	dial(hello("203.0.113.1"))
	if _, _, _, err := accepted(t, listener); err != nil {
		t.Errorf("after the first was closed: %v", err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = silent.SetReadDeadline(time.Now())
		_, _ = silent.Read(make([]byte, 1))
	}()
	<-closed
}

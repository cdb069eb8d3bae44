package gateway_test

import (
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

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

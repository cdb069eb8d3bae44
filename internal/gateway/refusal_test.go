package gateway_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ostiary/ostiary/internal/frontproxy"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identityheader"
)

// oneConn is a listener with a single connection.
type oneConn struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// TestUnreadRefusalsEnd: an HTTP/2 client that is not let in and takes no byte of the answer does not keep its stream and
// connection, though it answers pings and looks alive.
func TestUnreadRefusalsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		nothing := roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.EOF })
		gate, err := gateway.New(gateway.Config{
			State: &gateway.State{Clusters: []*gateway.Cluster{{
				Name: "prod", Authenticator: byToken{}, Server: &url.URL{Scheme: "https", Host: "api"}, HTTP1: nothing, HTTP2: nothing, Assert: identityheader.Asserter(frontproxy.Encode, frontproxy.Strip),
			}}},
			Sink: &journal{added: make(chan struct{}, 1)}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: gate, Protocols: new(http.Protocols)}
		server.Protocols.SetUnencryptedHTTP2(true)
		near, far := net.Pipe()
		listener := &oneConn{conns: make(chan net.Conn, 1), done: make(chan struct{})}
		listener.conns <- far
		go func() { _ = server.Serve(listener) }()
		defer func() { _ = server.Close() }()
		defer func() { _ = near.Close() }()

		framer := http2.NewFramer(near, near)
		go func() {
			_, _ = io.WriteString(near, http2.ClientPreface)
			_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "gate"}, {":path", "/api"}} {
				_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
			}
			_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
		}()
		reset := make(chan struct{})
		go func() {
			defer close(reset)
			for {
				frame, err := framer.ReadFrame()
				if err != nil {
					return
				}
				if _, ok := frame.(*http2.RSTStreamFrame); ok {
					return
				}
			}
		}()
		<-reset // the bubble deadlocks, and the test fails, where the stream stays
	})
}

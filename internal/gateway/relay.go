package gateway

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// relayHeaderTimeout bounds how long a balancer may take for its PROXY header, which it sends before anything else.
const relayHeaderTimeout = 10 * time.Second

// Errors of a balancer's connection, for net/http's log.
var (
	errRelayVersion = errors.New("gateway: a balancer's PROXY header is not of version 2")
	errRelayBound   = errors.New("gateway: the client behind a balancer has too many connections open")
)

// relayed reads the PROXY header of a connection from a named balancer, which must send one: without it, or with one of
// another version, nothing is read. The client that it tells of is counted when it is known, which is in the
// connection's own goroutine: Accept waits for nobody.
type relayed struct {
	net.Conn
	listener *Listener

	once    sync.Once
	err     error
	release func()
}

func (l *Listener) newRelayed(conn net.Conn) *relayed {
	return &relayed{listener: l, release: func() {}, Conn: proxyproto.NewConn(conn,
		proxyproto.WithPolicy(proxyproto.REQUIRE), proxyproto.SetReadHeaderTimeout(relayHeaderTimeout),
		proxyproto.ValidateHeader(func(header *proxyproto.Header) error {
			if header.Version != 2 { //nolint:mnd // as the error says
				return errRelayVersion
			}
			return nil
		}),
	)}
}

// admit counts the client in, once.
func (c *relayed) admit() error {
	c.once.Do(func() {
		source := addressOf(c.Conn) // reads the header
		shared := shareOf(source)
		if !c.listener.take(shared) {
			c.err = errRelayBound
			c.listener.refused(source)
			return
		}
		c.release = sync.OnceFunc(func() { c.listener.give(shared) })
	})
	return c.err
}

// Read implements net.Conn. Errors about the header are the library's own.
func (c *relayed) Read(p []byte) (int, error) {
	if err := c.admit(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write implements net.Conn.
func (c *relayed) Write(p []byte) (int, error) {
	if err := c.admit(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// RemoteAddr is the client's address.
func (c *relayed) RemoteAddr() net.Addr {
	_ = c.admit() // Read tells of it
	return c.Conn.RemoteAddr()
}

// Close implements net.Conn. It waits for a header that is being read, whose reader the close of the connection ends.
func (c *relayed) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.err = net.ErrClosed })
	c.release()
	return err
}

// SetRelays names the balancers that send PROXY headers. Others are clients like any, and a PROXY header of theirs is no
// TLS.
func (l *Listener) SetRelays(from []netip.Prefix) { l.relays.Store(&from) }

// isRelay reports whether a connection comes from a named balancer.
func (l *Listener) isRelay(source netip.Addr) bool {
	relays := l.relays.Load()
	if relays == nil {
		return false
	}
	for _, network := range *relays {
		if network.Contains(source) {
			return true
		}
	}
	return false
}

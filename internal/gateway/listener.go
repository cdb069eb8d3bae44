package gateway

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Listener bounds the open connections of each source, so that one client cannot use up what all share. A source is an
// IPv4 address or an IPv6 /64. A connection beyond the bound is closed before any byte of it is read. It is safe for
// concurrent use.
type Listener struct {
	net.Listener
	limit   atomic.Int64
	relays  atomic.Pointer[[]netip.Prefix]
	refused func(source netip.Addr)

	mu   sync.Mutex
	open map[netip.Addr]int
}

// NewListener wraps next. limit is the most connections a source may have open, and refused is told of each one
// that was turned away; it must not block.
func NewListener(next net.Listener, limit int, refused func(source netip.Addr)) *Listener {
	l := &Listener{Listener: next, refused: refused, open: make(map[netip.Addr]int)}
	l.limit.Store(int64(limit))
	return l
}

// SetLimit changes the bound; connections that are open already stay.
func (l *Listener) SetLimit(limit int) { l.limit.Store(int64(limit)) }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		source := addressOf(conn)
		if l.isRelay(source) {
			return l.newRelayed(conn), nil
		}
		shared := shareOf(source)
		if l.take(shared) {
			return &countedConn{Conn: conn, release: sync.OnceFunc(func() { l.give(shared) })}, nil
		}
		_ = conn.Close()
		l.refused(source)
	}
}

// take counts a connection in, if the source may have one more.
func (l *Listener) take(source netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int64(l.open[source]) >= l.limit.Load() {
		return false
	}
	l.open[source]++
	return true
}

// give counts a connection out.
func (l *Listener) give(source netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[source]--; l.open[source] <= 0 {
		delete(l.open, source)
	}
}

// siteBits is the length of the IPv6 prefix that one site is given at the least (RFC 6177): all 2^64 addresses in it may
// be one machine's, which would have that many shares.
const siteBits = 64

// shareOf is what a source's connections are counted under: its address, or its site's prefix for IPv6.
func shareOf(source netip.Addr) netip.Addr {
	if !source.Is6() {
		return source
	}
	site, err := source.WithZone("").Prefix(siteBits)
	if err != nil { // an IPv6 address has that many bits
		return source
	}
	return site.Addr()
}

// countedConn gives its place back when it is closed.
type countedConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// addressOf is the address of a connection's other end; the zero address for anything but TCP, which then shares one
// bound.
func addressOf(conn net.Conn) netip.Addr {
	address, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap()
}

package gateway

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
)

// Lane keeps strangers' TLS handshakes from using up all processors: half of them at the most compute for clients of whom
// nothing good is known, so that whoever is known is served while thousands connect. Nobody holds a place in it while
// they are waited for. It is safe for concurrent use.
type Lane struct {
	places chan struct{}
	known  func(source netip.Addr) bool
}

// retryAt is where the random of a ServerHello stands in the first record of a server's flight, and retryRandom is that of one which
// asks the client to try again (RFC 8446 section 4.1.3).
const (
	retryAt     = 5 + 4 + 2
	retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"
)

// cipherChange is the type of the record that follows such a request, and means nothing there (RFC 8446 section D.4).
const cipherChange = 20

// asksAgain reports whether what a server writes asks the client to try again: what costs is still to come.
func asksAgain(flight []byte) bool {
	return len(flight) > 0 && flight[0] == cipherChange ||
		len(flight) >= retryAt+len(retryRandom) && string(flight[retryAt:retryAt+len(retryRandom)]) == retryRandom
}

// NewLane returns a lane. known says of whom something good is known; it must be quick.
func NewLane(known func(source netip.Addr) bool) *Lane {
	const share = 2
	return &Lane{places: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/share)), known: known}
}

// Wrap returns a listener whose connections' handshakes go by the lane.
func (l *Lane) Wrap(next net.Listener) net.Listener { return &laneListener{next, l} }

type laneListener struct {
	net.Listener
	lane *Lane
}

// Accept implements net.Listener.
func (l *laneListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &laned{Conn: conn, lane: l.lane}, nil
}

// laned is a connection in whose handshake what is between a read and the server's flight after it is done in the lane. After
// that flight it needs no place any more: whatever waits for a cluster must not hold one.
type laned struct {
	net.Conn
	lane *Lane
	past atomic.Bool // it is free and holds nothing: reads and writes cost no lock any more

	mu     sync.Mutex
	asked  bool // whether the source is known
	free   bool // it needs no place, or none any more
	inside bool
	closed bool
}

// Read implements net.Conn.
func (c *laned) Read(p []byte) (int, error) {
	if c.past.Load() {
		return c.Conn.Read(p)
	}
	c.leave(false)
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.enter()
	}
	return n, err
}

// Write implements net.Conn.
func (c *laned) Write(p []byte) (int, error) {
	if c.past.Load() {
		return c.Conn.Write(p)
	}
	c.leave(!asksAgain(p))
	return c.Conn.Write(p)
}

// Close implements net.Conn.
func (c *laned) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.leave(true)
	return c.Conn.Close()
}

// enter waits for a place, if the connection needs one. Those who have one only compute.
func (c *laned) enter() {
	c.mu.Lock()
	if !c.asked {
		// Not before something was read: behind a balancer nobody knows sooner.
		c.asked, c.free = true, c.lane.known(addressOf(c.Conn))
	}
	needs := !c.free && !c.inside
	c.past.Store(c.free && !c.inside)
	c.mu.Unlock()
	if !needs {
		return
	}
	c.lane.places <- struct{}{}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed { // meanwhile
		<-c.lane.places
		return
	}
	c.inside = true
}

// leave gives the place back, for good if it is free from now on.
func (c *laned) leave(free bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside {
		c.inside = false
		<-c.lane.places
	}
	c.free = c.free || free
	c.past.Store(c.free)
}

package authn

import (
	"net/netip"
	"sync"
)

// Room bounds the expensive work that strangers cause at a time, in all and from each source: signatures that are checked,
// keys that are waited for, questions to others. Who is known to be good is not held up by it. It is safe for concurrent
// use; a nil Room bounds nothing.
type Room struct {
	strangers, each int
	name            string

	mu     sync.Mutex
	inside int
	from   map[netip.Prefix]int
}

// eachOf is what part of a Room one source may take: it takes four to fill one.
const eachOf = 4

// siteBits is the length of the IPv6 prefix that counts as one source: whoever has it has every address in it.
const siteBits = 64

// NewRoom returns a room for so many strangers at a time; name says what for, in the log.
func NewRoom(name string, strangers int) *Room {
	return &Room{name: name, strangers: max(1, strangers), each: max(1, strangers/eachOf), from: make(map[netip.Prefix]int)}
}

// Enter reports whether a mechanism may do the work for a request. If so, leave must be called when it is done. If not the
// request fails, and asking again in a second may help: the error is a *LockedError.
func (m *Room) Enter(r *Request) (leave func(), err error) {
	if m == nil || !r.Stranger {
		return func() {}, nil
	}
	source := sourceOf(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inside >= m.strangers || source.IsValid() && m.from[source] >= m.each {
		return nil, &LockedError{Detail: "too many strangers' tokens are under way: " + m.name}
	}
	m.inside++
	m.from[source]++
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.inside--
		if m.from[source]--; m.from[source] == 0 {
			delete(m.from, source)
		}
	}, nil
}

// sourceOf is where a request comes from: an IPv4 address or an IPv6 /64; the zero value where nobody knows.
func sourceOf(r *Request) netip.Prefix {
	source := r.Source.Unmap().WithZone("")
	bits := source.BitLen()
	if source.Is6() {
		bits = siteBits
	}
	prefix, _ := source.Prefix(bits) // the zero value of no address
	return prefix
}

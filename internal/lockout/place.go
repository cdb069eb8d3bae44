package lockout

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
)

// level says what a place is. The tables stand in this order.
type level uint8

const (
	atAddress level = iota // an IPv4 address, an IPv6 /64, or an API server that asks
	atSite                 // an IPv6 /56: what a household is given (RFC 6177)
	atNetwork              // an IPv6 /48: what a company is given
	atPair                 // a claimed id from one of the above
	levels
)

// The lengths of the IPv6 prefixes. One who has a prefix has every address in it.
const (
	addressBits, siteBits, networkBits = 64, 56, 48
	// childBits is by how much a prefix is shorter than those that it holds.
	childBits = 8
)

// What the low half of a place says of it.
const (
	family4  = 4
	family6  = 6
	asker    = 9
	nowhere  = 1 // a source without an address: all share one place
	pairMark = 1 << 63
)

// place is where guesses are counted.
type place struct {
	level level
	hi    uint64
	lo    uint64
}

// placeOf is the place of a request. shared says that a place stands for many who cannot be told apart, as behind an API
// server that asks: it is counted, and its rate bounded, but it is never locked.
func (e *Engine) placeOf(r *authn.Request) (at place, shared bool) {
	if r.Source.IsValid() {
		at = placeOfAddress(r.Source)
		return at, e.crowd.is(at)
	}
	return place{lo: nowhere}, true
}

// Knows reports whether a good token came from a source, as far as is remembered: room that is short is not strangers'.
func (e *Engine) Knows(source netip.Addr) bool {
	if !source.IsValid() {
		return false
	}
	s, b := e.at(placeOfAddress(source), time.Now().UnixNano(), false)
	defer s.mu.Unlock()
	return b != nil && b.flags&proven != 0
}

// askerOf is the place of what an API server asks about: each has one for each shape of tokens.
func (e *Engine) askerOf(r *authn.Request, shape Shape) place {
	return place{hi: maphash.String(e.seed, string(shape)+"/"+r.Cluster), lo: asker}
}

func placeOfAddress(source netip.Addr) place {
	source = source.Unmap()
	if source.Is4() {
		four := source.As4()
		return place{hi: uint64(binary.BigEndian.Uint32(four[:])), lo: family4}
	}
	sixteen := source.As16()
	return place{hi: binary.BigEndian.Uint64(sixteen[:8]), lo: family6}
}

// parent is the place that holds p; ok is false where there is none.
func (p place) parent() (up place, child byte, ok bool) {
	switch {
	case p.lo != family6 || p.level >= atNetwork:
		return place{}, 0, false
	case p.level == atAddress:
		return place{level: atSite, hi: p.hi &^ 0xff, lo: family6}, byte(p.hi), true //nolint:gosec // its last bits
	default:
		return place{level: atNetwork, hi: p.hi &^ 0xffff, lo: family6}, byte(p.hi >> childBits), true //nolint:gosec // the ones before
	}
}

// prefix is the network that a place stands for; the zero value for one that stands for none.
func (p place) prefix() netip.Prefix {
	switch {
	case p.level == atPair:
		return netip.Prefix{}
	case p.lo == family4:
		var four [4]byte
		binary.BigEndian.PutUint32(four[:], uint32(p.hi)) //nolint:gosec // it was made from 32 bits
		return netip.PrefixFrom(netip.AddrFrom4(four), len(four)*8)
	case p.lo == family6:
		var sixteen [16]byte
		binary.BigEndian.PutUint64(sixteen[:], p.hi)
		return netip.PrefixFrom(netip.AddrFrom16(sixteen), [...]int{addressBits, siteBits, networkBits}[p.level])
	default:
		return netip.Prefix{}
	}
}

// placeOfPrefix is the reverse of prefix; ok is false for one that no place has.
func placeOfPrefix(prefix netip.Prefix) (at place, ok bool) {
	if !prefix.IsValid() {
		return place{}, false
	}
	at = placeOfAddress(prefix.Addr())
	for i, bits := range [...]int{addressBits, siteBits, networkBits} {
		if prefix.Addr().Is6() && prefix.Bits() == bits {
			at.level = [...]level{atAddress, atSite, atNetwork}[i]
			return at, at.prefix() == prefix
		}
	}
	return at, at.prefix() == prefix
}

// pairOf is the place of an id at a place. Its key is secret, so that nobody can make two pairs meet.
func (e *Engine) pairOf(id string, at place) place {
	var hash maphash.Hash
	hash.SetSeed(e.seed)
	_, _ = hash.WriteString(id)
	maphash.WriteComparable(&hash, at)
	hi := hash.Sum64()
	_ = hash.WriteByte(0)
	return place{level: atPair, hi: hi, lo: hash.Sum64() | pairMark}
}

// String names a place for the log.
func (p place) String() string {
	switch {
	case p.level != atPair && (p.lo == family4 || p.lo == family6):
		return "prefix " + p.prefix().String()
	case p.lo == asker:
		return "a cluster that asks"
	default:
		return "no address"
	}
}

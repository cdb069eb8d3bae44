// Package memo remembers results by the address of what they were made from, in a fixed amount of memory. It imports the
// standard library only.
package memo

import (
	"hash/maphash"
	"sync/atomic"
)

// The size of a Memo. It must hold what is in use at one time; what finds no place is worked out anew, which takes a few
// microseconds.
const (
	sets = 1024
	// ways is how many results of one set there is room for, so that two busy keys which fall into the same set do not
	// push each other out.
	ways = 4
)

// Memo maps keys to results. Make one with New. It is safe for concurrent use, and readers never wait.
//
// Keys usually hold a pointer, and are known by its address. That is safe because an entry holds on to its key: as long
// as the entry exists, nothing else can have the same address. It is bounded because a new entry takes an old one's
// place, so that at most sets * ways keys are held on to, none longer than the Memo. What a pointer points to must not
// change.
type Memo[K comparable, V any] struct {
	seed maphash.Seed
	sets [sets]set[K, V]
}

type set[K comparable, V any] struct {
	next atomic.Uint32 // whose place is taken next
	ways [ways]atomic.Pointer[entry[K, V]]
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// New returns an empty Memo.
func New[K comparable, V any]() *Memo[K, V] { return &Memo[K, V]{seed: maphash.MakeSeed()} }

func (m *Memo[K, V]) set(key K) *set[K, V] { return &m.sets[maphash.Comparable(m.seed, key)%sets] }

// Get gives the result that was put under key, if it is still there. It does not allocate.
func (m *Memo[K, V]) Get(key K) (value V, ok bool) {
	s := m.set(key)
	for i := range s.ways {
		if e := s.ways[i].Load(); e != nil && e.key == key {
			return e.value, true
		}
	}
	return value, false
}

// Put remembers a result in place of an older one.
func (m *Memo[K, V]) Put(key K, value V) {
	s := m.set(key)
	s.ways[s.next.Add(1)%ways].Store(&entry[K, V]{key: key, value: value})
}

package policy

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/ostiary/ostiary/internal/authn"
)

// The size of a memo. It must hold the credentials that are in use at one time; a credential that finds no place is
// judged anew, which takes about a microsecond.
const (
	memoSets = 1024
	// memoWays is how many verdicts of one set there is room for, so that two busy credentials which fall into the same
	// set do not push each other out.
	memoWays = 4
)

// memo remembers the verdicts of one Policy. It is safe for concurrent use, and readers never wait.
//
// A credential is known by its address. That is safe because an entry holds on to its credential: as long as the entry
// exists, no other credential can have the same address. It is bounded because a new entry takes an old one's place, so
// that at most memoSets * memoWays credentials are held on to, none longer than the Policy.
type memo struct {
	seed maphash.Seed
	sets [memoSets]memoSet
}

type memoSet struct {
	next atomic.Uint32 // whose place is taken next
	ways [memoWays]atomic.Pointer[memoEntry]
}

type memoKey struct {
	credential *authn.Credential
	cluster    string // empty where verdicts do not depend on it
}

type memoEntry struct {
	key     memoKey
	verdict verdict
}

func newMemo() *memo { return &memo{seed: maphash.MakeSeed()} }

func (m *memo) set(key memoKey) *memoSet {
	return &m.sets[maphash.Comparable(m.seed, key)%memoSets]
}

// get gives the verdict that was put under key, if it is still there.
func (m *memo) get(key memoKey) (verdict, bool) {
	set := m.set(key)
	for i := range set.ways {
		if entry := set.ways[i].Load(); entry != nil && entry.key == key {
			return entry.verdict, true
		}
	}
	return verdict{}, false
}

// put remembers a verdict in place of an older one.
func (m *memo) put(key memoKey, v verdict) {
	set := m.set(key)
	set.ways[set.next.Add(1)%memoWays].Store(&memoEntry{key: key, verdict: v})
}

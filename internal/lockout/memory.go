package lockout

import (
	"hash/maphash"
	"sync/atomic"
)

const (
	// memorySets times memoryWays is how many tokens are remembered: more than use a gate at a time. What is pushed out is
	// judged as if it were new.
	memorySets = 4096
	memoryWays = 4
)

// memory is a set of tokens, by a digest whose key no one knows. A wrong match takes 2^50 guesses, and what it wins is one
// guess that is not counted. Readers and writers never wait.
type memory struct {
	seed maphash.Seed
	sets [memorySets][memoryWays]atomic.Uint64
}

func newMemory() *memory { return &memory{seed: maphash.MakeSeed()} }

// digest is a token's, never 0.
func (m *memory) digest(token string) uint64 {
	sum := maphash.String(m.seed, token)
	return max(sum, 1)
}

// tailBytes is the end of a token that tells it from others: of a signed one, its signature.
const tailBytes = 128

// tail is the digest of a token's end, which costs the same for tokens of any length. Only tokens of 128 bits are remembered
// by it. Who has one of them can make others of the same end, and have them judged without a reservation, until the first
// is wrong: that is no way to guess, and such a token is charged for after the fact.
func (m *memory) tail(token string) uint64 {
	return max(1, maphash.String(m.seed, token[max(0, len(token)-tailBytes):])+uint64(len(token)))
}

func (m *memory) has(digest uint64) bool {
	set := &m.sets[digest%memorySets]
	for i := range set {
		if set[i].Load() == digest {
			return true
		}
	}
	return false
}

// put remembers a token in place of another.
func (m *memory) put(digest uint64) {
	if m.has(digest) {
		return
	}
	set := &m.sets[digest%memorySets]
	for i := range set {
		if set[i].CompareAndSwap(0, digest) {
			return
		}
	}
	set[(digest>>32)%memoryWays].Store(digest) // which one is as good as any: the digest is beyond anyone's choice
}

// drop forgets a token.
func (m *memory) drop(digest uint64) {
	set := &m.sets[digest%memorySets]
	for i := range set {
		set[i].CompareAndSwap(digest, 0)
	}
}

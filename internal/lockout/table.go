package lockout

import (
	"hash/maphash"
	"sync"
)

// The size of a table: 65,536 buckets in shards, so that those who come at one time rarely wait for each other, of sets in
// which a place can stand anywhere. Four tables hold 14.7 MB, from the start and for ever.
const (
	shards = 256
	sets   = 32
	ways   = 8
)

// table holds the buckets of one level.
type table struct {
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu sync.Mutex
	// news is closed when an attempt ends that somebody waits for; nil while nobody does.
	news chan struct{}
	sets [sets][ways]bucket
}

// at locks the shard of a place, and returns its bucket; nil if there is none, and none could be made.
func (t *table) at(p place, now int64, touched uint32, create bool) (*shard, *bucket) {
	hash := maphash.Comparable(t.seed, p)
	s := &t.shards[hash%shards]
	s.mu.Lock()
	set := &s.sets[(hash>>32)%sets] //nolint:mnd // other bits than the shard's
	var victim *bucket
	for i := range set {
		b := &set[i]
		if b.hi == p.hi && b.lo == p.lo {
			b.touched = max(b.touched, touched)
			return s, b
		}
		if b.free() || b.pending == 0 && (victim == nil || !victim.free() && rather(b, victim, now)) {
			victim = b
		}
	}
	if !create || victim == nil {
		return s, nil
	}
	*victim = bucket{hi: p.hi, lo: p.lo, touched: touched}
	return s, victim
}

// rather reports whether a should make room rather than b: the unlocked one, and the one that was left alone for longer.
func rather(a, b *bucket, now int64) bool {
	if a.locked(now) != b.locked(now) {
		return b.locked(now)
	}
	if a.isRolled(now) != b.isRolled(now) {
		return b.isRolled(now)
	}
	return a.touched < b.touched
}

// wait returns what is closed when an attempt in the shard ends. The shard must be locked.
func (s *shard) wait() <-chan struct{} {
	if s.news == nil {
		s.news = make(chan struct{})
	}
	return s.news
}

// wake tells those who wait. The shard must be locked.
func (s *shard) wake() {
	if s.news != nil {
		close(s.news)
		s.news = nil
	}
}

// each hands on every bucket in use. It locks one shard at a time.
func (t *table) each(visit func(b *bucket)) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for j := range s.sets {
			for k := range s.sets[j] {
				if b := &s.sets[j][k]; !b.free() {
					visit(b)
				}
			}
		}
		s.mu.Unlock()
	}
}

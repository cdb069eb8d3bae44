package lockout

import (
	"sync/atomic"
)

// counts is one count for each shape.
type counts struct{ bootstrap, jws, strong, weak atomic.Uint64 }

func (c *counts) of(shape Shape) *atomic.Uint64 {
	switch shape {
	case Bootstrap:
		return &c.bootstrap
	case JWS:
		return &c.jws
	case Strong:
		return &c.strong
	case Weak:
		return &c.weak
	default:
		return &c.weak
	}
}

// stats are what metrics show.
type stats struct {
	guesses, refusals                   counts
	prefixLocks, pairLocks, writes, off atomic.Uint64
	lost, elsewhere                     atomic.Uint64
}

func (s *stats) wrong(shape Shape)   { s.guesses.of(shape).Add(1) }
func (s *stats) refused(shape Shape) { s.refusals.of(shape).Add(1) }
func (s *stats) locks() int          { return int(s.prefixLocks.Load() + s.pairLocks.Load()) } //nolint:gosec // a count of years

// Stats are counts since the start, for metrics.
type Stats struct {
	// Wrong are tokens that were judged and were wrong, Refused those that were not looked at, by shape.
	Wrong, Refused map[string]uint64
	// PrefixLocks and PairLocks were put on here, Unlocks taken off by people anywhere.
	PrefixLocks, PairLocks, Unlocks uint64
	// Writes are records that this process wrote to the store, Unshared the locks that it had no room for there.
	Writes, Unshared uint64
	// Elsewhere are wrong tokens that other replicas told of, and that count here, too.
	Elsewhere uint64
}

// Stats returns the counts.
func (e *Engine) Stats() Stats {
	s := Stats{
		Wrong: make(map[string]uint64), Refused: make(map[string]uint64),
		PrefixLocks: e.stats.prefixLocks.Load(), PairLocks: e.stats.pairLocks.Load(), Unlocks: e.stats.off.Load(),
		Writes: e.stats.writes.Load(), Unshared: e.stats.lost.Load(), Elsewhere: e.stats.elsewhere.Load(),
	}
	for _, shape := range shapes() {
		s.Wrong[string(shape)] = e.stats.guesses.of(shape).Load()
		s.Refused[string(shape)] = e.stats.refusals.of(shape).Load()
	}
	return s
}

package lockout

import (
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
)

const (
	// crowdWindow is over how many users it is looked where they come from, and crowdFrom from how many on that says
	// anything.
	crowdWindow, crowdFrom = 256, 32
)

// crowd finds the one address behind which more than half of all users are: a balancer that does not tell who comes through
// it, most likely. A lock on it would shut out most of them.
//
// Who was let in counts, each user once, not who asks: otherwise whoever asks the most would be free to guess.
type crowd struct {
	at atomic.Pointer[place] // nil: there is none

	mu    sync.Mutex
	next  int
	count int
	users [crowdWindow]uint64
	from  [crowdWindow]place
	seed  maphash.Seed
	made  bool
}

// is reports whether p is that address.
func (c *crowd) is(p place) bool {
	at := c.at.Load()
	return at != nil && *at == p
}

// prefix is that address; the zero value where there is none.
func (c *crowd) prefix() netip.Prefix {
	if at := c.at.Load(); at != nil {
		return at.prefix()
	}
	return netip.Prefix{}
}

// note takes in where a user came from with a token that was new.
func (c *crowd) note(from place, user string, logger *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.made {
		c.seed, c.made = maphash.MakeSeed(), true
	}
	digest := maphash.String(c.seed, user)
	for i := range c.count {
		if c.users[i] == digest {
			c.from[i] = from
			c.judge(logger)
			return
		}
	}
	c.users[c.next], c.from[c.next] = digest, from
	c.next = (c.next + 1) % crowdWindow
	c.count = min(c.count+1, crowdWindow)
	c.judge(logger)
}

// judge looks for a majority, by the vote of Boyer and Moore.
func (c *crowd) judge(logger *slog.Logger) {
	var candidate place
	votes := 0
	for _, from := range c.from[:c.count] {
		switch {
		case votes == 0:
			candidate, votes = from, 1
		case candidate == from:
			votes++
		default:
			votes--
		}
	}
	share := 0
	for _, from := range c.from[:c.count] {
		if from == candidate {
			share++
		}
	}
	before := c.at.Load()
	if c.count < crowdFrom || share*2 <= c.count {
		if before != nil {
			c.at.Store(nil)
			logger.Info("no source is shared by most users any more; sources are locked again", slog.String("source", before.prefix().String()))
		}
		return
	}
	if before == nil || *before != candidate {
		c.at.Store(&candidate)
		logger.Warn("more than half of all users come from one source, which is not locked therefore; if it is a balancer, name it under listen",
			slog.String("source", candidate.prefix().String()), slog.Int("users", share), slog.Int("of", c.count))
	}
}

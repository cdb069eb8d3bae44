package lockout

import (
	"errors"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind says what a lock is on.
type Kind string

// The kinds.
const (
	OnPrefix Kind = "prefix"
	OnPair   Kind = "pair"
)

// Lock says who is not looked at until when.
type Lock struct {
	// Name is the same at every replica.
	Name string
	Kind Kind
	// Prefix is where the guesses come from.
	Prefix netip.Prefix
	// ID is the one that they claim; empty for a lock on a prefix. It is their word, and says nothing about whether there is
	// such a credential.
	ID string
	// Since and Until are the lock's bounds.
	Since, Until time.Time
	// Strikes is which lock of the pair it is; 0 for a prefix.
	Strikes int
}

// maxNames bounds the pairs whose names are kept for people. A lock whose name is not known holds all the same.
const maxNames = 2048

// sweepEvery is how often the names of locks that have ended make room, where there is none.
const sweepEvery = time.Second

// names are those of locked pairs.
type names struct {
	mu    sync.Mutex
	of    map[place]Lock
	swept time.Time
}

func (n *names) init() { n.of = make(map[place]Lock) }

// put keeps a lock's names, in place of one that has ended.
func (n *names) put(p place, lock Lock, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	// Not for each lock anew: an attacker would choose how often all are gone through.
	if len(n.of) >= maxNames && now.Sub(n.swept) >= sweepEvery {
		n.swept = now
		for other, one := range n.of {
			if !one.Until.After(now) {
				delete(n.of, other)
			}
		}
	}
	if len(n.of) < maxNames {
		n.of[p] = lock
	}
}

func (n *names) get(p place) (Lock, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	lock, ok := n.of[p]
	return lock, ok
}

func (n *names) drop(p place) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.of, p)
}

// lockedPrefix tells of a prefix that was locked, and counts it against the prefix that holds it.
func (e *Engine) lockedPrefix(p place, now int64) {
	s, b := e.at(p, now, false)
	until := int64(0)
	if b != nil {
		until = b.until
	}
	s.mu.Unlock()
	e.stats.prefixLocks.Add(1)
	e.tell(Lock{Kind: OnPrefix, Prefix: p.prefix(), Since: time.Unix(0, now), Until: time.Unix(0, until)})
	e.blame(p, until, now)
}

// blame counts a bad prefix against the one that holds it, which is counted as one from the eighth on: whoever has it
// gains nothing by going round in it.
func (e *Engine) blame(p place, until, now int64) {
	if up, child, ok := p.parent(); ok {
		e.roll(up, until, now, func(b *bucket) bool { return b.bad(child, now) })
	}
}

// spread counts n failures against all prefixes that hold p.
func (e *Engine) spread(p place, n int, now int64, settings *Settings) {
	most, whole := settings.PrefixBurst, settings.PrefixRefill*time.Duration(settings.PrefixBurst)
	for up, _, ok := p.parent(); ok; up, _, ok = up.parent() {
		most, whole = most*enoughChildren, whole*enoughChildren
		e.roll(up, 0, now, func(b *bucket) bool { return b.spread(now, n, min(most, math.MaxUint16), whole) })
	}
}

// roll locks a prefix as one if due says so: its parts have used up more than its budget.
func (e *Engine) roll(up place, until, now int64, due func(*bucket) bool) {
	settings := e.settings.Load()
	s, b := e.at(up, now, true)
	roll := b != nil && due(b)
	if roll {
		b.whole = now + int64(settings.PrefixRefill)*int64(settings.PrefixBurst)
		b.until = max(until, b.whole)
	}
	s.mu.Unlock()
	if roll {
		e.lockedPrefix(up, now)
	}
}

// lockedPair tells of a pair that was locked.
func (e *Engine) lockedPair(h *held, until int64, strikes int, now int64) {
	lock := h.lock(until, strikes, now)
	e.stats.pairLocks.Add(1)
	e.names.put(h.pair, lock, time.Unix(0, now))
	e.tell(lock)
}

// lock is that of the pair.
func (h *held) lock(until int64, strikes int, now int64) Lock {
	return Lock{Kind: OnPair, Prefix: h.at.prefix(), ID: h.id, Since: time.Unix(0, now), Until: time.Unix(0, until), Strikes: strikes}
}

// named is a lock with its name.
func (e *Engine) named(lock Lock) Lock {
	lock.Name = e.nameOf(lock)
	return lock
}

// tell hands a lock on: to the log, and to the other replicas.
func (e *Engine) tell(lock Lock) {
	lock = e.named(lock)
	e.share.add(e, lock)
	if e.config.Changed != nil {
		e.config.Changed(Change{Lock: lock})
	}
}

// Locks lists the locks that hold here, those that end last first. most bounds them; total is how many there are.
func (e *Engine) Locks(now time.Time, most int, wanted func(*Lock) bool) (locks []Lock, total int) {
	at := now.UnixNano()
	for level := range e.tables {
		var found []Lock
		e.tables[level].each(func(b *bucket) {
			if !b.locked(at) {
				return
			}
			p := placeAt(level, b)
			lock := Lock{Kind: OnPrefix, Prefix: p.prefix(), Until: time.Unix(0, b.until)}
			if p.level == atPair {
				named, _ := e.names.get(p)
				lock = Lock{Kind: OnPair, Prefix: named.Prefix, ID: named.ID, Since: named.Since, Until: lock.Until, Strikes: int(b.strikes)}
			}
			found = append(found, lock)
		})
		for i := range found {
			if found[i].Prefix.IsValid() && wanted(&found[i]) {
				locks = append(locks, found[i])
			}
		}
	}
	total = len(locks)
	slices.SortFunc(locks, func(a, b Lock) int {
		if c := b.Until.Compare(a.Until); c != 0 {
			return c
		}
		return strings.Compare(a.Prefix.String()+a.ID, b.Prefix.String()+b.ID)
	})
	locks = locks[:min(len(locks), most)]
	for i := range locks {
		locks[i].Name = e.nameOf(locks[i])
	}
	return locks, total
}

// placeAt is the place of a bucket in the table of a level.
func placeAt(n int, b *bucket) place {
	return place{level: [...]level{atAddress, atSite, atNetwork, atPair}[n], hi: b.hi, lo: b.lo}
}

// ErrNotFound says that no lock of that name holds here.
var ErrNotFound = errors.New("there is no such lock, or it has ended")

// Find returns a lock by name.
func (e *Engine) Find(name string, now time.Time) (Lock, error) {
	locks, _ := e.Locks(now, len(e.tables)*shards*sets*ways, func(*Lock) bool { return true })
	for i := range locks {
		if locks[i].Name == name {
			return locks[i], nil
		}
	}
	return Lock{}, ErrNotFound
}

// Crowded is the source that is not locked because most users come from it; the zero value where there is none.
func (e *Engine) Crowded() netip.Prefix { return e.crowd.prefix() }

// placeOfLock is where a lock is.
func (e *Engine) placeOfLock(lock *Lock) (place, bool) {
	at, ok := placeOfPrefix(lock.Prefix)
	if ok && lock.Kind == OnPair {
		return e.pairOf(lock.ID, at), lock.ID != ""
	}
	return at, ok && lock.Kind == OnPrefix
}

// apply puts on a lock that another replica, or this one before it was started, has put on. It reports whether there is one.
func (e *Engine) apply(lock *Lock) bool {
	p, ok := e.placeOfLock(lock)
	now := time.Now().UnixNano()
	if !ok || lock.Until.UnixNano() <= now {
		return false
	}
	if p.level == atPair {
		e.names.put(p, *lock, time.Unix(0, now))
	}
	s, b := e.at(p, now, true)
	defer s.mu.Unlock()
	if b == nil {
		return false
	}
	until := lock.Until.UnixNano()
	b.until = max(b.until, until)
	if p.level == atPair {
		if strikes := uint8(min(lock.Strikes, math.MaxUint8)); strikes > b.strikes { //nolint:gosec // bounded
			b.strikes, b.fails = strikes, 0
			b.flags |= foreign
		}
		return true
	}
	// What led to it is told of by sums.
	if p.level != atAddress && !b.isRolled(now) {
		b.roll(now)
	}
	return true
}

// release takes a lock off, with all that led to it.
func (e *Engine) release(lock *Lock) {
	p, ok := e.placeOfLock(lock)
	if !ok {
		return
	}
	e.names.drop(p)
	e.sums.drop(p)
	s, b := e.at(p, time.Now().UnixNano(), false)
	defer s.mu.Unlock()
	if b == nil {
		return
	}
	// What is being judged stays counted.
	b.whole, b.until, b.family, b.strikes, b.fails = 0, 0, 0, 0, 0
	b.flags &^= rolled | foreign
	s.wake()
}

package lockout

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxSums bounds the places whose failures wait to be told to the other replicas. What finds no room counts here alone.
	maxSums = 4096
	// maxSumBytes bounds what one replica tells of them at a time, which the store keeps until it is compacted.
	maxSumBytes = 32 << 10
	// maxDigests bounds the tokens of one place that are told by name, so to say; of more there is only a number.
	maxDigests = 32
	// maxTold bounds the failures at one place that are taken over at a time, far above what one may be allowed at once.
	maxTold = 100_000
	// sumsLast is how long after it was written a record is taken in, and kept: who comes later has the locks.
	sumsLast = time.Minute
	// sumPrefix starts the names of such records; locks have others.
	sumPrefix = "s-"
	// entryBytes is how long an entry is without what its id and its digests take, digestBytes how long one of them is.
	entryBytes, digestBytes = 64, 11
)

// sumsRecord is what one replica tells of the failures since it told last. It is written anew each time, under one name.
type sumsRecord struct {
	// Number rises each time: who lists the store anew takes no record in twice.
	Number uint64    `json:"number"`
	At     time.Time `json:"at"`
	Sums   []sum     `json:"sums"`
}

// sum is the failures at one place, and at one id that was claimed there if any was.
type sum struct {
	Prefix netip.Prefix `json:"prefix"`
	ID     string       `json:"id,omitempty"`
	// Tokens are digests of the wrong tokens: what is presented to several replicas counts once.
	Tokens []uint32 `json:"tokens,omitempty"`
	// More is how many further ones there were.
	More int `json:"more,omitempty"`
	// Locked and PairLocked say that there is a lock already, which was told of by itself.
	Locked     bool `json:"locked,omitempty"`
	PairLocked bool `json:"pairLocked,omitempty"`

	at, pair place
}

func (s *sum) bytes() int { return entryBytes + len(s.ID) + len(s.Tokens)*digestBytes }

// sums are the failures that the other replicas are not told of yet, and what is known of theirs.
type sums struct {
	// on says that there are others.
	on   atomic.Bool
	name string
	// seen are the wrong tokens that any replica counted, by where they came from.
	seen *memory

	mu      sync.Mutex
	number  uint64
	waiting []*sum // in the order in which they came
	by      map[place]*sum
	// last is the number of the last record of each other replica, as long as it is kept.
	last map[string]uint64
}

func (s *sums) init() {
	var name [nameLength / 2]byte
	_, _ = rand.Read(name[:]) // never fails: crypto/rand ends the process instead
	s.name, s.seen = sumPrefix+hex.EncodeToString(name[:]), newMemory()
	s.by, s.last = make(map[place]*sum), make(map[string]uint64)
}

// mark is a wrong token's digest for all replicas, with where it came from; ok is false where there is none.
func (e *Engine) mark(raw string, at place) (digest uint32, ok bool) {
	if !e.sums.on.Load() || !at.prefix().IsValid() {
		return 0, false
	}
	hidden := e.hide("guess", at.prefix().String(), raw)
	if hidden == "" {
		return 0, false
	}
	sum := sha256.Sum256([]byte(hidden))
	return binary.BigEndian.Uint32(sum[:]), true
}

// markKey is a digest's in memory, which only those of one place share.
func markKey(digest uint32, at place) uint64 {
	return max(1, uint64(digest)<<32^at.hi*0x9e3779b97f4a7c15^at.lo) //nolint:mnd // spreads the bits
}

// countedElsewhere reports whether another replica counted a wrong token, which is no further guess then; if not it is
// one from now on.
func (e *Engine) countedElsewhere(digest uint32, at place) bool {
	key := markKey(digest, at)
	if e.sums.seen.has(key) {
		return true
	}
	e.sums.seen.put(key)
	return false
}

// note keeps a failure for the others.
func (s *sums) note(at, pair place, id string, digest uint32, marked bool) {
	if !s.on.Load() {
		return
	}
	key := at
	if pair.lo != 0 {
		key = pair
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.by[key]
	if one == nil {
		if len(s.waiting) >= maxSums {
			return
		}
		prefix := at.prefix()
		if !prefix.IsValid() {
			return // an API server that asks: it is known by that name here alone
		}
		one = &sum{Prefix: prefix, ID: id, at: at, pair: pair}
		s.by[key] = one
		s.waiting = append(s.waiting, one)
	}
	if marked && len(one.Tokens) < maxDigests {
		one.Tokens = append(one.Tokens, digest)
		return
	}
	one.More++
}

// drop forgets what waits of a place that was unlocked.
func (s *sums) drop(p place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.waiting[:0]
	for _, one := range s.waiting {
		if one.at == p || one.pair == p {
			delete(s.by, keyOf(one))
			continue
		}
		kept = append(kept, one)
	}
	clear(s.waiting[len(kept):])
	s.waiting = kept
}

func keyOf(one *sum) place {
	if one.pair.lo != 0 {
		return one.pair
	}
	return one.at
}

// take takes out what is told now, those that came first; nil if there is nothing.
func (s *sums) take() []*sum {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes, n := 0, 0
	for ; n < len(s.waiting); n++ {
		if bytes += s.waiting[n].bytes(); bytes > maxSumBytes {
			break
		}
		delete(s.by, keyOf(s.waiting[n]))
	}
	taken := append([]*sum(nil), s.waiting[:n]...)
	s.waiting = append([]*sum(nil), s.waiting[n:]...)
	return taken
}

// again puts back what could not be written. What came meanwhile stands by itself.
func (s *sums) again(taken []*sum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(taken, s.waiting...)
	s.waiting = s.waiting[:min(len(s.waiting), maxSums)]
	clear(s.by)
	for _, one := range s.waiting {
		s.by[keyOf(one)] = one
	}
}

// sumsNow is the record of what is told now, and what is in it; an empty name says that there is nothing to tell.
func (e *Engine) sumsNow(now time.Time) (name string, value []byte, taken []*sum, err error) {
	if taken = e.sums.take(); len(taken) == 0 {
		return "", nil, nil, nil
	}
	e.sums.mu.Lock()
	e.sums.number++
	record := sumsRecord{Number: e.sums.number, At: now.UTC()}
	e.sums.mu.Unlock()
	for _, one := range taken {
		one.Locked = e.isLocked(one.at, now.UnixNano())
		one.PairLocked = one.pair.lo != 0 && e.isLocked(one.pair, now.UnixNano())
		record.Sums = append(record.Sums, *one)
	}
	if value, err = json.Marshal(record); err != nil {
		return "", nil, nil, fmt.Errorf("lockout: %w", err)
	}
	return e.sums.name, value, taken, nil
}

// isLocked reports whether a place is locked here.
func (e *Engine) isLocked(p place, now int64) bool {
	s, b := e.at(p, now, false)
	defer s.mu.Unlock()
	return b != nil && b.locked(now)
}

// takeSums takes in what another replica tells.
func (e *Engine) takeSums(name string, value []byte) error {
	if value == nil {
		e.sums.mu.Lock()
		delete(e.sums.last, name)
		e.sums.mu.Unlock()
		return nil
	}
	var written sumsRecord
	decoder := json.NewDecoder(strings.NewReader(string(value)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&written); err != nil {
		return fmt.Errorf("%w: %s: %w", errRecord, name, err)
	}
	places := make([]place, len(written.Sums))
	for i := range written.Sums {
		at, ok := placeOfPrefix(written.Sums[i].Prefix)
		if more := written.Sums[i].More; !ok || more < 0 || more > maxTold {
			return fmt.Errorf("%w: %s: it is about nothing that could be counted", errRecord, name)
		}
		places[i] = at
	}
	e.sums.mu.Lock()
	again := e.sums.last[name] >= written.Number || name == e.sums.name
	if !again {
		e.sums.last[name] = written.Number
	}
	e.sums.mu.Unlock()
	if again || time.Since(written.At) > sumsLast {
		return nil
	}
	now := time.Now().UnixNano()
	for i := range written.Sums {
		e.takeSum(places[i], &written.Sums[i], now)
	}
	return nil
}

// takeSum counts what failed at another replica as if it had failed here. Whoever spreads guesses over replicas has one
// budget for all of them; what they got beyond it before the others heard of it is owed, and lengthens the lock.
func (e *Engine) takeSum(at place, told *sum, now int64) {
	n := told.More
	for _, digest := range told.Tokens {
		if !e.countedElsewhere(digest, at) {
			n++
		}
	}
	if n == 0 {
		return
	}
	e.stats.elsewhere.Add(uint64(n)) //nolint:gosec // positive
	at = e.counted(at, now)
	settings := e.settings.Load()
	shared := e.crowd.is(at)
	s, b := e.at(at, now, true)
	locked, owes := false, false
	if b != nil {
		if at.level != atAddress && !b.isRolled(now) { // as it is there
			b.whole = 0
			b.roll(now)
		}
		for range n {
			b.charge(now, settings.PrefixRefill)
		}
		if !shared && b.used(now, settings.PrefixRefill) >= settings.PrefixBurst {
			locked, owes = !b.locked(now), b.locked(now)
			b.until = max(b.until, b.whole)
		}
	}
	s.mu.Unlock()
	switch {
	case locked && !told.Locked:
		e.lockedPrefix(at, now)
	case locked, owes:
		e.lengthened(at, now)
	}
	if shared {
		return
	}
	e.spread(at, n, now, settings)
	if told.ID != "" {
		e.takePair(&held{at: at, pair: e.pairOf(told.ID, at), id: told.ID}, told.PairLocked, n, now, settings)
	}
}

// takePair is takeSum for the pair. told says that a lock was put on there.
func (e *Engine) takePair(h *held, told bool, n int, now int64, settings *Settings) {
	s, b := e.at(h.pair, now, true)
	lock := false
	var until int64
	var strikes int
	// A lock that came from there stands for what led to it.
	if b != nil && (!told || !b.locked(now) || b.flags&foreign == 0) {
		b.forget(now)
		b.whole = now
		total := int(b.fails) + n
		for ; total >= settings.PairBurst; total -= settings.PairBurst {
			b.strike(now, settings.PairLock, settings.PairLongest)
			lock = true
		}
		b.fails = uint16(total) //nolint:gosec // less than PairBurst
		until, strikes = b.until, int(b.strikes)
	}
	s.mu.Unlock()
	switch {
	case lock && told:
		e.names.put(h.pair, h.lock(until, strikes, now), time.Unix(0, now))
		e.share.add(e, e.named(h.lock(until, strikes, now)))
	case lock:
		e.lockedPair(h, until, strikes, now)
	}
}

// lengthened has the end of a lock on record that is known already.
func (e *Engine) lengthened(p place, now int64) {
	s, b := e.at(p, now, false)
	until := int64(0)
	if b != nil {
		until = b.until
	}
	s.mu.Unlock()
	e.share.add(e, e.named(Lock{Kind: OnPrefix, Prefix: p.prefix(), Since: time.Unix(0, now), Until: time.Unix(0, until)}))
}

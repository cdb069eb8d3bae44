package lockout

import (
	"context"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/secret"
)

var _ authn.Guard = (*Engine)(nil)

// held is an attempt under way.
type held struct {
	at     place
	pair   place // hi and lo are 0 where there is none
	id     string
	form   Shape // plainForm as long as nobody needed to know more
	digest uint64
	// reserved: one of the place's budget, and of the pair's, is set aside.
	reserved bool
	// shared: the place stands for many.
	shared bool
	// slot is what it holds a place in.
	slot chan struct{}
	// mark is the token's digest for all replicas, if it is marked.
	mark   uint32
	marked bool
}

// Enter implements authn.Guard. A token that is known to be good passes at the price of a digest; only tokens of 128 bits
// are ever known, so that nobody can guess against that memory.
func (e *Engine) Enter(ctx context.Context, r *authn.Request, token secret.String) (authn.Attempt, error) {
	raw := token.Reveal()
	if e.good.has(e.good.tail(raw)) {
		return authn.Attempt{}, nil
	}
	return e.enter(ctx, r, raw)
}

// enter sets aside what a wrong guess would cost, before the token is judged.
func (e *Engine) enter(ctx context.Context, r *authn.Request, raw string) (authn.Attempt, error) {
	h := &held{digest: e.bad.digest(raw), form: formOf(raw)}
	h.at, h.shared = e.placeOf(r)
	if h.shared && !r.Source.IsValid() {
		h.at = e.askerOf(r, h.shape(raw))
	}
	now := time.Now().UnixNano()
	h.at = e.counted(h.at, now)
	strange, err := e.admit(ctx, h, raw, now)
	if err == nil {
		err = e.begin(ctx, h, strange)
	}
	if err != nil {
		e.giveBack(h)
		e.stats.refused(h.form)
		return authn.Attempt{}, err
	}
	return authn.Attempt{Stranger: strange, Held: h}, nil
}

// counted is the place that a source is counted at: the widest prefix that holds it and is counted as one.
func (e *Engine) counted(p place, now int64) place {
	at := p
	for up, _, ok := p.parent(); ok; up, _, ok = up.parent() {
		s, b := e.at(up, now, false)
		if b != nil && b.isRolled(now) {
			at = up
		}
		s.mu.Unlock()
	}
	return at
}

// admit reserves for an attempt, or lets it pass without where that is safe.
func (e *Engine) admit(ctx context.Context, h *held, raw string, now int64) (strange bool, err error) {
	settings := e.settings.Load()
	known := e.bad.has(h.key())
	if h.shared {
		_ = h.shape(raw) // it decides
	}
	strange, until, err := e.reserve(ctx, h.at, settings.PrefixBurst, func(b *bucket, now int64) (bool, time.Time) {
		switch {
		case h.shared:
			// Nobody is locked here: beyond the budget the rate is bounded, and not even that for what nobody guesses.
			if known || h.form.Strong() || b.used(now, settings.PrefixRefill)+int(b.pending) < settings.PrefixBurst {
				return true, time.Time{}
			}
			return b.rush(e.touch(now), settings.StrongPerSecond), time.Time{}
		case b.locked(now):
			return false, time.Unix(0, b.until)
		default:
			// The same wrong token again is no further guess.
			return known || b.used(now, settings.PrefixRefill)+int(b.pending) < settings.PrefixBurst, time.Time{}
		}
	})
	if err != nil || !until.IsZero() {
		return true, e.inSpite(h, raw, now, until, h.at.String())
	}
	h.reserved = true
	if h.id = claimOf(raw, h.form); h.id == "" || h.shared {
		return strange, nil
	}
	h.pair = e.pairOf(h.id, h.at)
	_, until, err = e.reserve(ctx, h.pair, settings.PairBurst, func(b *bucket, now int64) (bool, time.Time) {
		b.forget(now)
		if b.locked(now) {
			return false, time.Unix(0, b.until)
		}
		return known || int(b.fails)+int(b.pending) < settings.PairBurst, time.Time{}
	})
	if err == nil && until.IsZero() {
		return strange, nil
	}
	h.pair = place{} // nothing is set aside there
	e.giveBack(h)
	return true, e.inSpite(h, raw, now, until, h.id+" from "+h.at.String())
}

// shape is the token's, worked out once.
func (h *held) shape(raw string) Shape {
	if h.form == plainForm {
		h.form = shapeOf(raw)
	}
	return h.form
}

// key is a wrong token's in memory, with where it came from: what one tried is no excuse for another.
func (h *held) key() uint64 { return max(1, h.digest^h.at.hi*0x9e3779b97f4a7c15^h.at.lo) } //nolint:mnd // spreads the bits

// reserve counts an attempt in at a place, as soon as may allows it. An error or a time says that it does not.
func (e *Engine) reserve(ctx context.Context, p place, most int, may func(b *bucket, now int64) (ok bool, until time.Time)) (strange bool, until time.Time, err error) {
	var timer *time.Timer
	for {
		now := time.Now().UnixNano()
		s, b := e.at(p, now, true)
		if b == nil {
			s.mu.Unlock()
			return true, time.Time{}, errCrowded
		}
		strange = b.flags&proven == 0
		ok, until := may(b, now)
		switch {
		case ok && int(b.pending) < max(most, maxStrange+maxKept):
			b.pending++
			s.mu.Unlock()
			return strange, time.Time{}, nil
		case !until.IsZero():
			s.mu.Unlock()
			return strange, until, nil
		case b.pending == 0:
			s.mu.Unlock()
			return strange, time.Time{}, errCrowded
		}
		// Others are being judged, and may give back what they hold.
		news := s.wait()
		s.mu.Unlock()
		if e.waiting.Add(1) > maxWaiting {
			e.waiting.Add(-1)
			return strange, time.Time{}, errCrowded
		}
		if timer == nil {
			timer = time.NewTimer(longestWait)
			defer timer.Stop()
		}
		select {
		case <-news:
			e.waiting.Add(-1)
		case <-timer.C:
			e.waiting.Add(-1)
			return strange, time.Time{}, errCrowded
		case <-ctx.Done():
			e.waiting.Add(-1)
			return strange, time.Time{}, errCrowded
		}
	}
}

// errCrowded says that too many are there at a time.
var errCrowded = &authn.LockedError{Detail: "too many from one place"}

// inSpite lets a strong token pass a closed door, at a bounded rate; all others are refused.
func (e *Engine) inSpite(h *held, raw string, now int64, until time.Time, what string) error {
	second := e.touch(now)
	// Beyond what a flood may cost, nobody looks whether a token is strong.
	if h.form == plainForm && !e.looks.take(second, maxLooks) {
		h.form = Weak
	}
	if !h.shape(raw).Strong() {
		return &authn.LockedError{Until: until, Detail: what}
	}
	s, b := e.at(h.at, now, true)
	ok := b != nil && b.rush(second, e.settings.Load().StrongPerSecond)
	s.mu.Unlock()
	if !ok || !e.rush.take(second, maxRushed) {
		// Not until when: one who asks again in a second may be among those who are judged then.
		return &authn.LockedError{Detail: what + " is locked, and too many strong tokens come from there"}
	}
	return nil
}

// begin takes one of the places that there are for tokens which are not known. Some are kept for those who come from where
// good ones came from.
func (e *Engine) begin(ctx context.Context, h *held, strange bool) error {
	// What passes a lock was counted there.
	if strange && h.reserved && !h.shared && h.form == JWS && !e.rush.take(e.touch(time.Now().UnixNano()), maxRushed) {
		return &authn.LockedError{Detail: "too many signed tokens of strangers are judged in this second"}
	}
	kept := e.kept
	if strange {
		kept = nil
	}
	select {
	case e.open <- struct{}{}:
		h.slot = e.open
		return nil
	default:
	}
	timer := time.NewTimer(longestWait)
	defer timer.Stop()
	select {
	case e.open <- struct{}{}:
		h.slot = e.open
		return nil
	case kept <- struct{}{}:
		h.slot = kept
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return &authn.LockedError{Detail: "too many tokens that are not known are being judged"}
}

// giveBack undoes a reservation.
func (e *Engine) giveBack(h *held) {
	if !h.reserved {
		return
	}
	h.reserved = false
	now := time.Now().UnixNano()
	for _, p := range [...]place{h.at, h.pair} {
		if p.lo != 0 {
			s, b := e.at(p, now, true)
			e.settle(s, b)
			s.mu.Unlock()
		}
	}
}

// settle ends one attempt in a bucket. The shard must be locked.
func (e *Engine) settle(s *shard, b *bucket) {
	if b != nil && b.pending > 0 {
		b.pending--
	}
	s.wake()
}

// Leave implements authn.Guard.
func (e *Engine) Leave(r *authn.Request, token secret.String, attempt authn.Attempt, ended authn.Ending) {
	h, _ := attempt.Held.(*held)
	right := ended.Credential != nil || ended.Known
	if h == nil {
		if !right && !ended.Unjudged {
			e.late(r, token.Reveal())
		}
		return
	}
	<-h.slot
	now := time.Now().UnixNano()
	if right {
		e.right(r, token, h, ended.Credential, now)
		return
	}
	// Where nobody could say, a strong token was no guess. A weak one counts: else an outage of one mechanism, which whoever
	// guesses may have caused, would be a licence to guess at the others.
	if ended.Unjudged && h.shape(token.Reveal()).Strong() {
		e.giveBack(h)
		return
	}
	again := e.again(h, token.Reveal(), now)
	if !h.reserved {
		return
	}
	e.charge(h, again, now)
}

// again reports whether a wrong token was counted before, here or at another replica; if not it is on the books from now on.
func (e *Engine) again(h *held, raw string, now int64) bool {
	if e.bad.has(h.key()) {
		return true
	}
	e.bad.put(h.key())
	if h.mark, h.marked = e.mark(raw, h.at); h.marked && e.countedElsewhere(h.mark, h.at) {
		return true
	}
	e.count(h.shape(raw), now)
	return false
}

// late charges for a token that passed as known and was wrong: it ended or was taken away, and is new from now on; or it only
// ended like a good one.
func (e *Engine) late(r *authn.Request, raw string) {
	e.good.drop(e.good.tail(raw))
	now := time.Now().UnixNano()
	h := &held{digest: e.bad.digest(raw), form: formOf(raw)}
	h.at, h.shared = e.placeOf(r)
	h.at = e.counted(h.at, now)
	if h.shared || e.again(h, raw, now) {
		return
	}
	e.charge(h, false, now)
}

// right gives back what was set aside for a token that turned out good, and nothing more.
func (e *Engine) right(r *authn.Request, token secret.String, h *held, cred *authn.Credential, now int64) {
	if h.shape(token.Reveal()).Strong() {
		e.good.put(e.good.tail(token.Reveal()))
		if cred != nil && r.Source.IsValid() {
			e.crowd.note(placeOfAddress(r.Source), cred.Identity.Username, e.config.Logger)
		}
	}
	e.giveBack(h)
	s, b := e.at(h.at, now, true)
	if b != nil {
		b.flags |= proven
	}
	s.mu.Unlock()
}

// charge keeps what was set aside for a guess that was wrong; one that was counted before costs nothing.
func (e *Engine) charge(h *held, again bool, now int64) {
	if again {
		e.giveBack(h)
		return
	}
	settings := e.settings.Load()
	s, b := e.at(h.at, now, true)
	e.settle(s, b)
	lock := false
	if b != nil {
		b.charge(now, settings.PrefixRefill)
		if !h.shared && !b.locked(now) && b.used(now, settings.PrefixRefill) >= settings.PrefixBurst {
			b.until, lock = b.whole, true
		}
	}
	s.mu.Unlock()
	if lock {
		e.lockedPrefix(h.at, now)
	}
	if !h.shared {
		e.spread(h.at, 1, now, settings)
	}
	if h.pair.lo != 0 {
		e.chargePair(h, now, settings)
	}
	e.sums.note(h.at, h.pair, h.id, h.mark, h.marked)
}

// chargePair is charge for the pair.
func (e *Engine) chargePair(h *held, now int64, settings *Settings) {
	s, b := e.at(h.pair, now, true)
	e.settle(s, b)
	lock := false
	var until int64
	var strikes int
	if b != nil {
		b.forget(now)
		b.whole = now
		if b.fails++; int(b.fails) >= settings.PairBurst {
			b.strike(now, settings.PairLock, settings.PairLongest)
			lock = true
		}
		until, strikes = b.until, int(b.strikes)
	}
	s.mu.Unlock()
	if lock {
		e.lockedPair(h, until, strikes, now)
	}
}

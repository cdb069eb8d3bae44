package lockout

import (
	"math"
	"time"
)

// bucket is what is known of one place: 56 bytes, whoever fills it. Times are Unix nanoseconds. The zero value is free.
type bucket struct {
	hi, lo uint64
	// whole is when the place's budget is whole again; of a pair, when it last failed.
	whole int64
	// until is when its lock ends.
	until int64
	// family is, of a prefix that holds others, which of them are bad, a byte each; once there were enough, until when the
	// prefix is counted as one.
	family int64
	// touched is when it was last looked at, in seconds since the engine was made.
	touched uint32
	// second and rushed count the strong tokens that were judged in spite of the lock, in that second.
	second uint32
	// pending is how many attempts are being judged.
	pending uint16
	// fails is how often a pair failed since it was locked last; of a prefix that holds others, how often all of them did.
	fails uint16
	// strikes is how often a pair was locked; of a prefix that holds others, how many of them are bad.
	strikes uint8
	flags   uint8
	rushed  uint8
}

// Flags of a bucket.
const (
	rolled  uint8 = 1 << iota // family is a time
	proven                    // a good token came from there
	foreign                   // a pair's lock was put on by another replica
)

func (b *bucket) free() bool { return b.lo == 0 }

func (b *bucket) locked(now int64) bool { return b.until > now }

// used is how much of a prefix' budget is gone.
func (b *bucket) used(now int64, refill time.Duration) int {
	if b.whole <= now {
		return 0
	}
	return int((b.whole - now + int64(refill) - 1) / int64(refill))
}

// charge takes one from a prefix' budget.
func (b *bucket) charge(now int64, refill time.Duration) {
	b.whole = max(b.whole, now) + int64(refill)
}

// forget lets a pair's old failures go.
func (b *bucket) forget(now int64) {
	if b.fails > 0 && now-b.whole > int64(strikesLast) {
		b.fails = 0
	}
	if b.strikes > 0 && now-max(b.until, b.whole) > int64(strikesLast) {
		b.strikes = 0
	}
}

// strike locks a pair for longer than the last time.
func (b *bucket) strike(now int64, first, longest time.Duration) {
	lock := longest
	if b.strikes < 16 { //nolint:mnd // far more doublings than lead from a minute to a month
		lock = min(longest, first<<b.strikes)
	}
	b.fails, b.until = 0, now+int64(lock)
	b.flags &^= foreign
	if b.strikes < math.MaxUint8 {
		b.strikes++
	}
}

// rush reports whether one more strong token may be judged in this second in spite of the lock.
func (b *bucket) rush(second uint32, most int) bool {
	if b.second != second {
		b.second, b.rushed = second, 0
	}
	if int(b.rushed) >= most {
		return false
	}
	b.rushed++
	return true
}

// enoughChildren is from how many bad ones on a prefix is counted as one. They are remembered in a byte each.
const enoughChildren = 8

// bad notes that a prefix which this one holds was locked, and reports whether this one is to be counted as one from now
// on.
func (b *bucket) bad(child byte, now int64) bool {
	if b.isRolled(now) {
		return false
	}
	if b.flags&rolled != 0 || b.strikes > 0 && now-b.whole > int64(strikesLast) {
		b.flags, b.family, b.strikes = b.flags&^rolled, 0, 0
	}
	b.whole = now // of the last bad one, as long as nothing is charged here
	for i := range b.strikes {
		if byte(b.family>>(8*i)) == child { //nolint:gosec,mnd // the bits of a byte
			return false
		}
	}
	b.family |= int64(uint64(child) << (8 * b.strikes)) //nolint:gosec,mnd // bits, not a number
	if b.strikes++; b.strikes < enoughChildren {
		return false
	}
	b.roll(now)
	return true
}

// spread notes n failures in a prefix which this one holds, and reports whether there were so many, in one go, that this one
// is to be counted as one: whoever goes round in it would else have the budget of each.
func (b *bucket) spread(now int64, n, most int, gap time.Duration) bool {
	if b.isRolled(now) {
		return false
	}
	if now-b.whole > int64(gap) {
		b.fails = 0
	}
	b.whole = now
	b.fails = uint16(min(int(b.fails)+n, math.MaxUint16)) //nolint:gosec // bounded
	if int(b.fails) < most {
		return false
	}
	b.roll(now)
	return true
}

// roll makes a prefix count as one.
func (b *bucket) roll(now int64) {
	b.flags, b.family, b.fails = b.flags|rolled, now+int64(strikesLast), 0
}

func (b *bucket) isRolled(now int64) bool { return b.flags&rolled != 0 && b.family > now }

package config

import (
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ostiary/ostiary/internal/lockout"
)

// Lockout holds back who guesses tokens (G-15, G-18). It is on with its defaults where nothing is written: a gate without it
// would be laxer than one whose operator had thought of it. docs/lockout.md says how it works.
type Lockout struct {
	// Count nothing, and lock nobody out. The other fields must be left out then.
	Disabled bool `json:"disabled,omitempty"`
	// Guesses from one IPv4 address or IPv6 /64.
	Prefix LockoutPrefix `json:"prefix,omitzero"`
	// Guesses at the secret of one id, from one address.
	Pair LockoutPair `json:"pair,omitzero"`
	// How many tokens that hold at least 128 bits of chance are judged in a second in spite of a lock, from each source, 1 to
	// 255. Default 20.
	StrongPerSecond int `json:"strongPerSecond,omitempty" jsonschema:"minimum=1,maximum=255,default=20"`
	// From how many wrong tokens in a minute, from everywhere, the log warns, 1 to 1000000. Default 600.
	WarnPerMinute int `json:"warnPerMinute,omitempty" jsonschema:"minimum=1,maximum=1000000,default=600"`
}

// LockoutPrefix is how many wrong tokens may come from one source.
type LockoutPrefix struct {
	// At once, 1 to 10000; then the source is locked until all of them are given back. Default 20.
	Burst int `json:"burst,omitempty" jsonschema:"minimum=1,maximum=10000,default=20"`
	// After how long one is given back, 100ms to 1h. Default 10s.
	Refill Duration `json:"refill,omitzero" jsonschema:"default=10s"`
}

// LockoutPair is how many wrong secrets may come for one id from one source.
type LockoutPair struct {
	// Until the pair is locked, 1 to 255. Default 5.
	Burst int `json:"burst,omitempty" jsonschema:"minimum=1,maximum=255,default=5"`
	// For how long it is locked the first time, 1s to 720h; each further time for twice as long. Default 15m.
	Lock Duration `json:"lock,omitzero" jsonschema:"default=15m"`
	// For how long at most, up to 720h. Default 24h.
	LongestLock Duration `json:"longestLock,omitzero" jsonschema:"default=24h"`
}

const (
	maxPrefixBurst       = 10_000
	minRefill, maxRefill = 100 * time.Millisecond, time.Hour
	maxPairBurst         = 255
	minLock, maxLock     = time.Second, 30 * 24 * time.Hour
	maxStrongPerSecond   = 255
	maxWarnPerMinute     = 1_000_000
)

// CheckedLockout is how guessing is held back.
type CheckedLockout struct {
	// Disabled says that it is not.
	Disabled bool
	// Settings are complete, and good, unless Disabled is set.
	Settings lockout.Settings
}

func (l *Lockout) setDefaults() {
	if l.Disabled {
		return
	}
	setDefault(&l.Prefix.Burst, lockout.DefaultPrefixBurst)
	setDefault(&l.Prefix.Refill, Duration(lockout.DefaultPrefixRefill))
	setDefault(&l.Pair.Burst, lockout.DefaultPairBurst)
	setDefault(&l.Pair.Lock, Duration(lockout.DefaultPairLock))
	setDefault(&l.Pair.LongestLock, Duration(max(lockout.DefaultPairLongest, time.Duration(l.Pair.Lock))))
	setDefault(&l.StrongPerSecond, lockout.DefaultStrongPerSecond)
	setDefault(&l.WarnPerMinute, lockout.DefaultWarnPerMinute)
}

func (c *checker) lockout(p *field.Path, written *Lockout) CheckedLockout {
	if written.Disabled {
		if *written != (Lockout{Disabled: true}) {
			c.invalid(p.Child("disabled"), true, "the other fields have no effect then; remove them, or disabled")
		}
		c.warn(p.Child("disabled"), "nobody who guesses tokens is held back")
		return CheckedLockout{Disabled: true}
	}
	prefix, pair := p.Child("prefix"), p.Child("pair")
	c.inRange(prefix.Child("burst"), written.Prefix.Burst, 1, maxPrefixBurst)
	c.inRange(pair.Child("burst"), written.Pair.Burst, 1, maxPairBurst)
	c.inRange(p.Child("strongPerSecond"), written.StrongPerSecond, 1, maxStrongPerSecond)
	c.inRange(p.Child("warnPerMinute"), written.WarnPerMinute, 1, maxWarnPerMinute)
	c.durationInRange(prefix.Child("refill"), written.Prefix.Refill, minRefill, maxRefill)
	c.durationInRange(pair.Child("lock"), written.Pair.Lock, minLock, maxLock)
	c.durationInRange(pair.Child("longestLock"), written.Pair.LongestLock, minLock, maxLock)
	full := *written
	full.setDefaults()
	if full.Pair.LongestLock < full.Pair.Lock {
		c.invalid(pair.Child("longestLock"), written.Pair.LongestLock.String(), "must not be shorter than lock")
	}
	return CheckedLockout{Settings: lockout.Settings{
		PrefixBurst: full.Prefix.Burst, PrefixRefill: time.Duration(full.Prefix.Refill),
		PairBurst: full.Pair.Burst, PairLock: time.Duration(full.Pair.Lock), PairLongest: time.Duration(full.Pair.LongestLock),
		StrongPerSecond: full.StrongPerSecond, WarnPerMinute: full.WarnPerMinute,
	}}
}

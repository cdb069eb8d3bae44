package lockout

import (
	"errors"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// The defaults. Config has what an operator may write instead.
const (
	// DefaultPrefixBurst is how many wrong tokens a source may try at once: a person who pastes the wrong one a few times, or
	// a dozen machines whose tokens ended together.
	DefaultPrefixBurst = 20
	// DefaultPrefixRefill is after how long it may try one more.
	DefaultPrefixRefill = 10 * time.Second
	// DefaultPairBurst is how many wrong secrets a source may try for one id.
	DefaultPairBurst = 5
	// DefaultPairLock is how long the pair is locked then, for the first time; it doubles each time, up to
	// DefaultPairLongest.
	DefaultPairLock    = 15 * time.Minute
	DefaultPairLongest = 24 * time.Hour
	// DefaultStrongPerSecond is how many tokens of 128 bits are judged in a second from a prefix that is locked.
	DefaultStrongPerSecond = 20
	// DefaultWarnPerMinute is from how many wrong tokens in a minute, from everywhere, operators are told.
	DefaultWarnPerMinute = 600
)

const (
	// strikesLast is how long it is remembered that a pair was locked or failed, and that a prefix' parts were bad.
	strikesLast = 24 * time.Hour
	// maxRushed bounds the signatures that are checked in a second for strangers, and the strong tokens that are judged in it from
	// locked places, all together: what half a core does.
	maxRushed = 2000
	// maxLooks bounds the tokens from locked places that are looked at in a second whether they are strong.
	maxLooks = 10_000
	// maxStrange bounds the attempts under way of tokens that are not known to be good; maxKept are as many more for places
	// that brought a good one before.
	maxStrange, maxKept = 384, 128
	// maxWaiting bounds the attempts that wait until others from their place have ended, and longestWait how long each may.
	maxWaiting  = 8192
	longestWait = 5 * time.Second
)

// Settings are what an operator may change while the engine runs. The zero value locks nobody out and is refused.
type Settings struct {
	PrefixBurst  int
	PrefixRefill time.Duration
	PairBurst    int
	PairLock     time.Duration
	PairLongest  time.Duration
	// StrongPerSecond is at most 255.
	StrongPerSecond int
	WarnPerMinute   int
}

// Defaults returns the settings where nothing else is written.
func Defaults() Settings {
	return Settings{
		PrefixBurst: DefaultPrefixBurst, PrefixRefill: DefaultPrefixRefill,
		PairBurst: DefaultPairBurst, PairLock: DefaultPairLock, PairLongest: DefaultPairLongest,
		StrongPerSecond: DefaultStrongPerSecond, WarnPerMinute: DefaultWarnPerMinute,
	}
}

// errSettings refuses settings that would lock everybody out, or nobody.
var errSettings = errors.New("lockout: settings must be positive, and a pair's longest lock no shorter than its first")

func (s *Settings) check() error {
	if s.PrefixBurst < 1 || s.PrefixRefill <= 0 || s.PairBurst < 1 || s.PairBurst > 255 || s.PairLock <= 0 || s.PairLongest < s.PairLock ||
		s.StrongPerSecond < 1 || s.StrongPerSecond > 255 || s.WarnPerMinute < 1 {
		return errSettings
	}
	return nil
}

// Config is what an Engine is made of.
type Config struct {
	Settings Settings
	// Logger takes what operators should know. Required.
	Logger *slog.Logger
	// Changed is told of every lock, and of every unlock by a person. It must not block, and is called concurrently. May be
	// nil.
	Changed func(Change)
}

// Change is a lock that was put on or taken off here.
type Change struct {
	Lock Lock
	// Actor is who took it off; empty where a lock was put on.
	Actor string
}

// Engine counts guesses and locks out who guesses too much. It is an authn.Guard, and safe for concurrent use. Make one
// with New.
type Engine struct {
	config   Config
	settings atomic.Pointer[Settings]
	began    time.Time
	seed     maphash.Seed
	// good are tokens of 128 bits that were proven; bad are those that were not, with where they came from.
	good, bad *memory
	tables    [levels]*table
	crowd     crowd
	names     names
	share     share
	sums      sums
	stats     stats

	// open and kept hold the attempts under way of tokens that are not known to be good.
	open, kept chan struct{}
	waiting    atomic.Int64
	// rush counts the strangers' signed tokens and the strong ones that are judged in spite of a lock, looks those that are looked at whether they are.
	rush, looks perSecond

	warn struct {
		sync.Mutex
		minute int64
		wrong  int
		said   bool
	}
}

// New returns an engine that knows nothing of anybody.
func New(config Config) (*Engine, error) {
	if config.Logger == nil {
		return nil, errors.New("lockout: a logger is required")
	}
	e := &Engine{config: config, began: time.Now(), seed: maphash.MakeSeed(), good: newMemory(), bad: newMemory()}
	for i := range e.tables {
		e.tables[i] = &table{seed: maphash.MakeSeed()}
	}
	e.open, e.kept = make(chan struct{}, maxStrange), make(chan struct{}, maxKept)
	e.names.init()
	e.share.init()
	e.sums.init()
	return e, e.Use(config.Settings)
}

// Use changes the settings from the next attempt on.
func (e *Engine) Use(settings Settings) error {
	if err := settings.check(); err != nil {
		return err
	}
	e.settings.Store(&settings)
	return nil
}

// touch is a moment in seconds since the engine was made.
func (e *Engine) touch(now int64) uint32 {
	return uint32(max(0, (now-e.began.UnixNano())/int64(time.Second))) //nolint:gosec // a century has fewer
}

// at locks and returns the bucket of a place.
func (e *Engine) at(p place, now int64, create bool) (*shard, *bucket) {
	return e.tables[p.level].at(p, now, e.touch(now), create)
}

// perSecond is a bound on how often something happens in a second. The zero value is ready for use.
type perSecond struct{ state atomic.Uint64 } // the second, and the count in it

// take reports whether it may happen once more in that second.
func (p *perSecond) take(second uint32, most uint64) bool {
	const countBits = 32
	for {
		old := p.state.Load()
		count := old & (1<<countBits - 1)
		if uint32(old>>countBits) != second {
			count = 0
		}
		if count >= most {
			return false
		}
		if p.state.CompareAndSwap(old, uint64(second)<<countBits|(count+1)) {
			return true
		}
	}
}

// count notes a wrong guess, and tells operators when there are many.
func (e *Engine) count(shape Shape, now int64) {
	e.stats.wrong(shape)
	minute := now / int64(time.Minute)
	e.warn.Lock()
	defer e.warn.Unlock()
	if e.warn.minute != minute {
		e.warn.minute, e.warn.wrong, e.warn.said = minute, 0, false
	}
	if e.warn.wrong++; e.warn.wrong >= e.settings.Load().WarnPerMinute && !e.warn.said {
		e.warn.said = true
		e.config.Logger.Warn("tokens are being guessed at; who guesses is locked out",
			slog.Int("wrong_this_minute", e.warn.wrong), slog.Int("locks", e.stats.locks()))
	}
}

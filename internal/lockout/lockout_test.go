package lockout_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/lockout"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/tokenstrength"
)

// attacker and clean are two sources; the wrong tokens of a source differ, as guesses do.
const (
	attacker = "203.0.113.7"
	clean    = "198.51.100.1"
	victim   = "abcdef"
)

func newEngine(t testing.TB, change ...func(*lockout.Config)) *lockout.Engine {
	t.Helper()
	config := lockout.Config{Settings: lockout.Defaults(), Logger: slog.New(slog.DiscardHandler)}
	for _, one := range change {
		one(&config)
	}
	e, err := lockout.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// from is a request of a source.
func from(source string) *authn.Request {
	return &authn.Request{Source: netip.MustParseAddr(source), Cluster: "prod"}
}

// strong is a token that holds more than 128 bits; each call gives another.
func strong() string {
	for { // by chance, one in some ten thousand looks as if somebody had thought it up
		if token := rand.Text() + rand.Text(); tokenstrength.Bits(token) >= 128 {
			return token
		}
	}
}

// bootstrap is a token of an id; each call gives another secret.
func bootstrap(id string) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	var part [16]byte
	_, _ = rand.Read(part[:])
	for i, c := range part {
		part[i] = alphabet[int(c)%len(alphabet)]
	}
	return id + "." + string(part[:])
}

// weak is a password; each call gives another.
func weak() string {
	var number [8]byte
	_, _ = rand.Read(number[:])
	return fmt.Sprintf("pass%d", binary.BigEndian.Uint16(number[:])) + fmt.Sprint(binary.BigEndian.Uint32(number[2:]))
}

// jane is a credential that a right token proves.
var jane = &authn.Credential{Identity: identity.Identity{Username: "jane"}}

// present has a token judged, and reports whether it came that far.
func present(t testing.TB, e *lockout.Engine, r *authn.Request, token string, ended authn.Ending) error {
	t.Helper()
	attempt, err := e.Enter(context.Background(), r, secret.New(token))
	if err == nil {
		e.Leave(r, secret.New(token), attempt, ended)
	}
	return err
}

// judged counts the wrong tokens out of n that came as far as to be judged.
func judged(t testing.TB, e *lockout.Engine, source func(i int) string, n int, token func() string) int {
	t.Helper()
	count := 0
	for i := range n {
		if present(t, e, from(source(i)), token(), authn.Ending{}) == nil {
			count++
		}
	}
	return count
}

func at(source string) func(int) string { return func(int) string { return source } }

// until is when a refusal says that the lock ends.
func until(t testing.TB, err error) time.Time {
	t.Helper()
	locked, ok := errors.AsType[*authn.LockedError](err)
	if !ok {
		t.Fatalf("not locked: %v", err)
	}
	return locked.Until
}

// TestPrefix: a source has so many guesses at once, and one more each ten seconds, however it shares them out.
func TestPrefix(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		if got := judged(t, e, at(attacker), 100, weak); got != 20 {
			t.Fatalf("%d guesses were judged at once, want 20", got)
		}
		err := present(t, e, from(attacker), weak(), authn.Ending{})
		if got, want := until(t, err), time.Now().Add(200*time.Second); !got.Equal(want) {
			t.Errorf("locked until %s, want %s", got, want)
		}
		// Being told so costs nothing more, and lengthens nothing.
		time.Sleep(199 * time.Second) //nolint:forbidigo // the bubble's own clock
		if got := judged(t, e, at(attacker), 100, weak); got != 0 {
			t.Errorf("%d guesses were judged before the lock's end", got)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's own clock
		// In the long run, too, it is one each ten seconds.
		total := 20
		for range 3600 {
			total += judged(t, e, at(attacker), 3, weak)
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's own clock
		}
		if most := 20 + 3600/10 + 20; total > most {
			t.Errorf("%d guesses were judged in an hour, want %d at most", total, most)
		}
		if got := judged(t, e, at(clean), 1, weak); got != 1 {
			t.Error("another source is locked as well")
		}
	})
}

// TestPair: of one id a source may try five secrets, and is locked for longer each time; every other source goes on.
func TestPair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, func(c *lockout.Config) { c.Settings.PrefixBurst = 1000 })
		guess := func() string { return bootstrap(victim) }
		for strike, lock := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour, 24 * time.Hour, 24 * time.Hour} {
			if got := judged(t, e, at(attacker), 50, guess); got != 5 {
				t.Fatalf("strike %d: %d guesses were judged, want 5", strike, got)
			}
			err := present(t, e, from(attacker), guess(), authn.Ending{Credential: jane}) // the right one, by chance
			if got := time.Until(until(t, err)); got != lock {
				t.Fatalf("strike %d: locked for %s, want %s", strike, got, lock)
			}
			if got := judged(t, e, at(attacker), 1, func() string { return bootstrap("others") }); got != 1 {
				t.Fatalf("strike %d: another id is locked as well", strike)
			}
			if err := present(t, e, from(clean), bootstrap(victim), authn.Ending{Credential: jane}); err != nil {
				t.Fatalf("strike %d: the owner is refused elsewhere: %v", strike, err)
			}
			time.Sleep(lock + time.Second) //nolint:forbidigo // the bubble's own clock
		}
		time.Sleep(25 * time.Hour) //nolint:forbidigo // the bubble's own clock
		judged(t, e, at(attacker), 5, guess)
		err := present(t, e, from(attacker), guess(), authn.Ending{})
		if got := time.Until(until(t, err)); got != 15*time.Minute {
			t.Errorf("after a day without a failure locked for %s, want 15m", got)
		}
	})
}

// TestParallelGuesses: guesses side by side are counted before any of them is answered.
func TestParallelGuesses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		make func() string
		most int64
	}{
		{name: "weak", make: weak, most: 20},
		{name: "bootstrap, one id", make: func() string { return bootstrap(victim) }, most: 5},
		{name: "bootstrap, other ids", make: func() string { return bootstrap(bootstrap(victim)[7:13]) }, most: 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t)
			var judged, under, most atomic.Int64
			start := make(chan struct{})
			var all sync.WaitGroup
			for range 1000 {
				all.Go(func() {
					token := secret.New(tt.make())
					r := from(attacker)
					<-start
					attempt, err := e.Enter(context.Background(), r, token)
					if err != nil {
						return
					}
					judged.Add(1)
					if now := under.Add(1); now > most.Load() {
						most.Store(now)
					}
					runtime.Gosched() // judging takes a while
					under.Add(-1)
					e.Leave(r, token, attempt, authn.Ending{})
				})
			}
			close(start)
			all.Wait()
			if judged.Load() != tt.most {
				t.Errorf("%d of 1000 parallel guesses were judged, want %d", judged.Load(), tt.most)
			}
			if most.Load() < 2 {
				t.Error("nothing ran in parallel")
			}
		})
	}
}

// TestParallelGood: a thousand right tokens at one time, from one address, all come in, without a lock and without a
// memory of them.
func TestParallelGood(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	var refused atomic.Int64
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			if err := present(t, e, from(clean), strong(), authn.Ending{Credential: jane}); err != nil {
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if refused.Load() != 0 {
		t.Errorf("%d right tokens were refused", refused.Load())
	}
}

// TestSuccessDoesNotWash: whoever has one right token may not guess at others with it.
func TestSuccessDoesNotWash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		own, got := weak(), 0
		for range 100 {
			_ = present(t, e, from(attacker), own, authn.Ending{Credential: jane})
			if present(t, e, from(attacker), weak(), authn.Ending{}) == nil {
				got++
			}
		}
		if got != 20 {
			t.Errorf("%d guesses between right tokens were judged, want 20", got)
		}
	})
}

// TestColleaguesBehindAnAttackersAddress: a token of 128 bits passes the lock of its prefix, at a bounded rate; one that was
// seen before passes always; a password does not, be it right.
func TestColleaguesBehindAnAttackersAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		known, password := strong(), weak()
		for _, token := range []string{known, password} {
			if err := present(t, e, from(attacker), token, authn.Ending{Credential: jane}); err != nil {
				t.Fatal(err)
			}
		}
		judged(t, e, at(attacker), 20, weak)
		if err := present(t, e, from(attacker), password, authn.Ending{Credential: jane}); err == nil {
			t.Error("a password passes the lock: it could be guessed at in spite of it")
		}
		if err := present(t, e, from(attacker), bootstrap(victim), authn.Ending{Credential: jane}); err == nil {
			t.Error("a bootstrap token passes the lock")
		}
		if got := judged(t, e, at(attacker), 1000, strong); got != 20 {
			t.Errorf("%d strong tokens were judged in a second, want 20", got)
		}
		err := present(t, e, from(attacker), strong(), authn.Ending{})
		if !until(t, err).IsZero() {
			t.Error("whoever has a strong token is told to stay away until the lock ends")
		}
		for range 1000 {
			if err := present(t, e, from(attacker), known, authn.Ending{Credential: jane}); err != nil {
				t.Fatalf("a token that was seen before is refused: %v", err)
			}
		}
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's own clock
		if err := present(t, e, from(attacker), strong(), authn.Ending{Credential: jane}); err != nil {
			t.Errorf("a colleague's new token is refused: %v", err)
		}
	})
}

// TestSameTokenAgain: a program that repeats a token which has ended guesses nothing, and does not lock its neighbours out.
func TestSameTokenAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		ended := strong()
		if err := present(t, e, from(attacker), ended, authn.Ending{Credential: jane}); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if err := present(t, e, from(attacker), ended, authn.Ending{}); err != nil {
				t.Fatal(err)
			}
		}
		if got := judged(t, e, at(attacker), 100, weak); got != 19 {
			t.Errorf("%d guesses were judged afterwards, want 19: the repeated token counts once", got)
		}
	})
}

// TestOneEndOfManyTokens: whoever has a good token cannot guess for nothing with others that end like it.
func TestOneEndOfManyTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		end, got := jws(), 0
		for i := range 1000 {
			_ = present(t, e, from(attacker), end, authn.Ending{Credential: jane})
			if present(t, e, from(attacker), string('a'+rune(i%26))+string('a'+rune(i/26))+end[2:], authn.Ending{}) == nil {
				got++
			}
		}
		if got > 40 { // the budget, and the second's rate
			t.Errorf("%d guesses were judged, want 40 at most", got)
		}
	})
}

// TestOutage: where a mechanism fails, a strong token costs nothing. A weak one does: else whoever brings about the failure
// may guess at all the other mechanisms.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		for range 1000 {
			if err := present(t, e, from(clean), strong(), authn.Ending{Unjudged: true}); err != nil {
				t.Fatalf("an outage locks: %v", err)
			}
		}
		got := 0
		for range 1000 {
			if present(t, e, from(attacker), weak(), authn.Ending{Unjudged: true}) == nil {
				got++
			}
		}
		if got != 20 {
			t.Errorf("%d guesses were judged during an outage, want 20", got)
		}
	})
}

// TestRotation: whoever has a prefix gains little by going round in it.
func TestRotation(t *testing.T) {
	t.Parallel()
	address := func(hi uint64, lo uint64) string {
		var sixteen [16]byte
		binary.BigEndian.PutUint64(sixteen[:8], hi)
		binary.BigEndian.PutUint64(sixteen[8:], lo)
		return netip.AddrFrom16(sixteen).String()
	}
	const base = 0x2001_0db8_0001_0000
	for _, tt := range []struct {
		name string
		at   func(i int) string
		most int
	}{
		{name: "every address of a /64", at: func(i int) string { return address(base, uint64(i)) }, most: 20},
		{name: "every /64 of a /56", at: func(i int) string { return address(base+uint64(i%256), 1) }, most: 8 * 20},
		{name: "one /64 of a /56 after the other", at: func(i int) string { return address(base+uint64(i/100%256), 1) }, most: 8 * 20},
		{name: "one /64 of a /48 after the other", at: func(i int) string { return address(base+uint64(i/100%65536), 1) }, most: 8 * 8 * 20},
		{name: "every /64 of a /48", at: func(i int) string { return address(base+uint64(i%65536), 1) }, most: 8 * 8 * 20},
		{name: "IPv4 in IPv6 form", at: func(i int) string {
			if i%2 == 0 {
				return "::ffff:" + attacker
			}
			return attacker
		}, most: 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t)
				if got := judged(t, e, tt.at, 7_000, weak); got > tt.most {
					t.Errorf("%d guesses were judged, want %d at most", got, tt.most)
				}
				time.Sleep(201 * time.Second) //nolint:forbidigo // the bubble's own clock
				// What was rolled up stays so for a day: all of it has one budget now.
				if got := judged(t, e, tt.at, 7_000, weak); got > 20 {
					t.Errorf("%d guesses were judged the next time", got)
				}
			})
		})
	}
}

// TestReviews: API servers that ask are never locked out. What people thought up is judged at a bounded rate, as nobody can
// say who guesses there.
func TestReviews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		asks := &authn.Request{Cluster: "prod"}
		for range 10_000 {
			if err := present(t, e, asks, strong(), authn.Ending{}); err != nil {
				t.Fatalf("a cluster is locked out: %v", err)
			}
		}
		got := 0
		for range 1000 {
			if present(t, e, asks, weak(), authn.Ending{}) == nil {
				got++
			}
		}
		if got != 40 { // the budget, and the second's rate
			t.Errorf("%d weak guesses were judged, want 40", got)
		}
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's own clock
		if err := present(t, e, asks, weak(), authn.Ending{Credential: jane}); err != nil {
			t.Errorf("a second later: %v", err)
		}
		if err := present(t, e, &authn.Request{Cluster: "other"}, weak(), authn.Ending{}); err != nil {
			t.Errorf("another cluster: %v", err)
		}
		if locks, _ := e.Locks(time.Now(), 10, func(*lockout.Lock) bool { return true }); len(locks) != 0 {
			t.Errorf("locks: %v", locks)
		}
	})
}

// TestCrowd: the address that most users come from is not locked. Asking much does not make one a crowd.
func TestCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		user := func(i int) *authn.Credential {
			return &authn.Credential{Identity: identity.Identity{Username: fmt.Sprint("user-", i)}}
		}
		for range 1000 {
			_ = present(t, e, from(attacker), strong(), authn.Ending{Credential: user(0)})
		}
		if e.Crowded().IsValid() {
			t.Fatal("one user with many tokens is a crowd")
		}
		for i := range 100 {
			_ = present(t, e, from(clean), strong(), authn.Ending{Credential: user(i)})
		}
		if got := e.Crowded().String(); got != clean+"/32" {
			t.Fatalf("the crowd is at %s", got)
		}
		judged(t, e, at(clean), 100, weak)
		judged(t, e, at(clean), 100, func() string { return bootstrap(victim) })
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's own clock
		if err := present(t, e, from(clean), bootstrap(victim), authn.Ending{Credential: jane}); err != nil {
			t.Errorf("the source that all share is locked: %v", err)
		}
		for i := range 200 {
			_ = present(t, e, from(fmt.Sprintf("192.0.2.%d", i)), strong(), authn.Ending{Credential: user(i)})
		}
		if e.Crowded().IsValid() {
			t.Error("it stays a crowd")
		}
	})
}

// TestSettings: settings that lock nobody out are refused.
func TestSettings(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*lockout.Settings){
		func(s *lockout.Settings) { *s = lockout.Settings{} },
		func(s *lockout.Settings) { s.PrefixBurst = 0 },
		func(s *lockout.Settings) { s.PairLongest = s.PairLock - 1 },
		func(s *lockout.Settings) { s.StrongPerSecond = 256 },
	} {
		config := lockout.Config{Settings: lockout.Defaults(), Logger: slog.New(slog.DiscardHandler)}
		change(&config.Settings)
		if _, err := lockout.New(config); err == nil {
			t.Errorf("%+v is taken", config.Settings)
		}
	}
}

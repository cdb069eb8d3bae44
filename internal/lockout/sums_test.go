package lockout_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/lockout"
)

// spread presents n wrong tokens of a source in turn to all replicas, one each gap, and counts those that were judged.
func spread(t *testing.T, replicas []*lockout.Engine, n int, gap time.Duration, token func() string) (judged int) {
	t.Helper()
	for i := range n {
		if present(t, replicas[i%len(replicas)], from(attacker), token(), authn.Ending{}) == nil {
			judged++
		}
		if gap > 0 {
			time.Sleep(gap) //nolint:forbidigo // the bubble's own clock
		}
	}
	return judged
}

// three are replicas of one store, or of none.
func three(t *testing.T, store *kept) (replicas []*lockout.Engine) {
	t.Helper()
	for range 3 {
		if store == nil {
			replicas = append(replicas, newEngine(t))
			continue
		}
		replicas = append(replicas, store.join(t))
	}
	run(t, replicas...)
	if store != nil {
		time.Sleep(2500 * time.Millisecond) //nolint:forbidigo // the bubble's own clock: each knows of the others
	}
	return replicas
}

// TestSpreadOverReplicas: whoever goes round among replicas has one budget for all of them, and what is tried until they
// have heard of it. The twin are replicas that have nothing in common.
func TestSpreadOverReplicas(t *testing.T) {
	t.Parallel()
	const perSecond, heard = 5, 2 // failures are told of within two seconds
	for _, tt := range []struct {
		name  string
		store bool
		token func() string
		most  int
	}{
		{name: "prefix", store: true, token: weak, most: 20 + perSecond*heard + 100/perSecond/10},
		{name: "prefix, each by itself", token: weak, most: 65},
		{name: "pair", store: true, token: func() string { return bootstrap(victim) }, most: 5 + perSecond*heard},
		{name: "pair, each by itself", token: func() string { return bootstrap(victim) }, most: 15},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var store *kept
				if tt.store {
					store = newKept()
				}
				got := spread(t, three(t, store), 100, time.Second/perSecond, tt.token)
				t.Logf("%d of 100 were judged", got)
				if got > tt.most || !tt.store && got < tt.most*9/10 {
					t.Errorf("%d guesses were judged, want %d", got, tt.most)
				}
			})
		})
	}
}

// TestBeyondTheBudgetIsOwed: whoever guesses at all replicas within one moment has the budget of each, once, and is locked
// for as long as that takes to come back: in the long run it is one each ten seconds, however many replicas there are.
func TestBeyondTheBudgetIsOwed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newKept()
		replicas := three(t, store)
		if got := spread(t, replicas, 300, 0, weak); got != 60 {
			t.Fatalf("%d were judged in one moment, want 60", got)
		}
		time.Sleep(3 * time.Second) //nolint:forbidigo // the bubble's own clock
		for i, e := range append(replicas, store.join(t)) {
			err := present(t, e, from(attacker), weak(), authn.Ending{})
			if left := time.Until(until(t, err)); left < 590*time.Second || left > 600*time.Second {
				t.Errorf("replica %d: locked for %s, want 600s", i, left)
			}
		}
		total := 60
		for range 3600 {
			total += spread(t, replicas, 3, 0, weak)
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's own clock
		}
		// An hour's guesses, and a budget that is in use at its end.
		if most := 60 + 3600/10 + 20; total > most {
			t.Errorf("%d guesses were judged in an hour, want %d at most", total, most)
		}
		t.Logf("%d guesses were judged in an hour", total)
	})
}

// TestPairOverReplicas: of a pair, too, what was tried at all replicas at once lengthens the lock, as it would one after the
// other.
func TestPairOverReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		replicas := three(t, newKept())
		if got := spread(t, replicas, 300, 0, func() string { return bootstrap(victim) }); got != 15 {
			t.Fatalf("%d were judged in one moment, want 15", got)
		}
		time.Sleep(3 * time.Second) //nolint:forbidigo // the bubble's own clock
		for i, e := range replicas {
			err := present(t, e, from(attacker), bootstrap(victim), authn.Ending{})
			if left := time.Until(until(t, err)); left < 59*time.Minute || left > time.Hour {
				t.Errorf("replica %d: locked for %s, want 1h: the third time", i, left)
			}
			if err := present(t, e, from(clean), bootstrap(victim), authn.Ending{Credential: jane}); err != nil {
				t.Errorf("replica %d: the owner is refused elsewhere: %v", i, err)
			}
		}
	})
}

// TestSumsCountOnce: what failed at one replica counts once at all others, by whichever way they hear of it, and so does a
// token that was presented to all of them.
func TestSumsCountOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newKept()
		replicas := three(t, store)
		judged(t, replicas[0], at(attacker), 5, func() string { return bootstrap(victim) })
		judged(t, replicas[0], at(attacker), 15, weak)
		judged(t, replicas[1], at(clean), 10, weak)
		ended := strong()
		for range 5 {
			for _, e := range replicas {
				_ = present(t, e, from("192.0.2.1"), ended, authn.Ending{})
			}
			time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's own clock
		}
		for name, value := range store.all() {
			for _, e := range replicas { // listed anew
				if err := e.Take(name, value); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, e := range replicas {
			locks, _ := e.Locks(time.Now(), 10, func(*lockout.Lock) bool { return true })
			if len(locks) != 2 || locks[0].Strikes != 1 || time.Until(locks[0].Until) > 15*time.Minute || time.Until(locks[1].Until) > 200*time.Second {
				t.Errorf("replica %d: %+v", i, locks)
			}
			if got := e.Stats().Elsewhere; i == 2 && got != 30 {
				t.Errorf("%d failures were told of, want 30", got)
			}
		}
		if got := judged(t, replicas[2], at("192.0.2.1"), 100, weak); got != 20 {
			t.Errorf("%d guesses were judged beside the repeated token, want 20", got)
		}
		// Nine seconds and a half are over: the first one comes back in a moment.
		if got := judged(t, replicas[2], at(clean), 100, weak); got != 10 {
			t.Errorf("%d guesses were judged after 10 elsewhere, want 10", got)
		}
	})
}

// TestUnlockForgetsSums: what led to a lock is not told of after it was taken off.
func TestUnlockForgetsSums(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		replicas := three(t, newKept())
		judged(t, replicas[0], at(attacker), 20, weak)
		locks, _ := replicas[0].Locks(time.Now(), 1, func(*lockout.Lock) bool { return true })
		for _, e := range replicas {
			e.Release(&locks[0])
		}
		time.Sleep(3 * time.Second) //nolint:forbidigo // the bubble's own clock
		for i, e := range replicas {
			if got := judged(t, e, at(attacker), 1, weak); got != 1 {
				t.Errorf("replica %d: still locked", i)
			}
		}
	})
}

// TestRotationOverReplicas: an IPv6 network is counted as one by what all replicas have seen of it.
func TestRotationOverReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		replicas := three(t, newKept())
		got := 0
		for i := range 3000 {
			source := fmt.Sprintf("2001:db8:1:%x::1", i%65536)
			if present(t, replicas[i%3], from(source), weak(), authn.Ending{}) == nil {
				got++
			}
			time.Sleep(20 * time.Millisecond) //nolint:forbidigo // the bubble's own clock
		}
		// The budgets of eight /56, or of one /48 counted in them, and what is tried in two seconds.
		if most := 8*8*20 + 100; got > most {
			t.Errorf("%d guesses were judged, want %d at most", got, most)
		}
		time.Sleep(201 * time.Second) //nolint:forbidigo // the bubble's own clock
		for i, e := range replicas {
			if got := judged(t, e, func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) }, 3000, weak); i == 0 && got > 20 {
				t.Errorf("replica %d: %d guesses were judged the next time", i, got)
			}
		}
	})
}

// TestWritesOfManyReplicasAreBounded: the bound holds for any number of replicas.
func TestWritesOfManyReplicasAreBounded(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 7, 28} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const seconds = 40
				store := newKept()
				var replicas []*lockout.Engine
				for range n {
					replicas = append(replicas, store.join(t))
				}
				run(t, replicas...)
				time.Sleep(5 * time.Second) //nolint:forbidigo // the bubble's own clock
				for i := range seconds {
					for j, e := range replicas {
						judged(t, e, func(k int) string { return fmt.Sprintf("10.%d.%d.%d", i, j, k/20) }, 40, weak)
					}
					time.Sleep(time.Second) //nolint:forbidigo // the bubble's own clock
				}
				total := 0
				for _, n := range store.ticks() {
					total += n
				}
				t.Logf("%.1f records a second", float64(total)/seconds)
				if total > lockout.MaxWrites*seconds || total == 0 {
					t.Errorf("%d records were written in %d seconds", total, seconds)
				}
			})
		})
	}
}

// TestSumsAreShort: whatever fails, what is told of it at a time stays below a bound, and names neither tokens nor secrets.
func TestSumsAreShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newKept()
		one, two := store.join(t), store.join(t)
		run(t, one, two)
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's own clock
		id := strings.Repeat("long", 30)
		for i := range 6000 {
			if i%1500 == 0 { // as many strangers' signatures as are checked in a second, and fewer
				time.Sleep(time.Second) //nolint:forbidigo // the bubble's own clock
			}
			source := fmt.Sprintf("10.0.%d.%d", i/250, i%250)
			if err := present(t, one, from(source), signed(t, id+fmt.Sprint(i%8)), authn.Ending{}); err != nil {
				t.Fatal(err)
			}
		}
		secretPart := bootstrap(victim)
		_ = present(t, one, from(clean), secretPart, authn.Ending{})
		for range 60 {
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's own clock
			for name, value := range store.all() {
				if strings.HasPrefix(name, "s-") && len(value) > 34<<10 {
					t.Fatalf("%d bytes are written at a time", len(value))
				}
				if strings.Contains(string(value), secretPart[7:]) {
					t.Fatal("a secret is in the store")
				}
			}
		}
		if got := two.Stats().Elsewhere; got < 4000 {
			t.Errorf("only %d failures were told of", got)
		}
	})
}

// signed is a token of the form of a signed one, with an id.
func signed(t *testing.T, id string) string {
	t.Helper()
	claims, err := json.Marshal(map[string]string{"iss": "https://issuer.example", "jti": id})
	if err != nil {
		t.Fatal(err)
	}
	return "e30." + base64.RawURLEncoding.EncodeToString(claims) + "." + strong()
}

// FuzzTakeSums: no record makes it fall, and what cannot be read as a whole counts nothing.
func FuzzTakeSums(f *testing.F) {
	f.Add(`{"number":1,"at":"2100-01-01T00:00:00Z","sums":[{"prefix":"10.0.0.1/32","more":30}]}`)
	f.Add(`{"number":1,"at":"2100-01-01T00:00:00Z","sums":[{"prefix":"2001:db8::/56","id":"x","tokens":[1,2],"pairLocked":true}]}`)
	f.Add(`{"number":1,"sums":[{"prefix":"0.0.0.0/0","more":-1}]}`)
	e := newEngine(f)
	f.Fuzz(func(t *testing.T, text string) {
		all := func(*lockout.Lock) bool { return true }
		_, before := e.Locks(time.Now(), 1, all)
		if e.Take("s-1", []byte(text)) == nil {
			return
		}
		if _, after := e.Locks(time.Now(), 1, all); after > before {
			t.Fatal("what cannot be read locks somebody")
		}
	})
}

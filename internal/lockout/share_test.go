package lockout_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/lockout"
)

// kept is a store that hands every record to all replicas, as the ledger does.
type kept struct {
	mu       sync.Mutex
	records  map[string][]byte
	replicas []*lockout.Engine
	down     bool
	perTick  []int
}

func newKept() *kept { return &kept{records: make(map[string][]byte)} }

var errDown = errors.New("the store is down")

func (k *kept) Hide(parts ...string) string { return fmt.Sprint(parts) }

func (k *kept) Replicas() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return max(1, len(k.replicas))
}

func (k *kept) Write(_ context.Context, puts map[string][]byte, deletes []string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down {
		return errDown
	}
	k.perTick = append(k.perTick, len(puts)+len(deletes))
	for _, name := range deletes {
		delete(k.records, name)
		k.tell(name)
	}
	for name, value := range puts {
		k.records[name] = value
		k.tell(name)
	}
	return nil
}

func (k *kept) set(down bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = down
}

func (k *kept) all() map[string][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.records)
}

func (k *kept) count() int { return len(k.all()) }

func (k *kept) ticks() []int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.perTick)
}

// tell is called under the lock, as the ledger's is.
func (k *kept) tell(name string) {
	for _, e := range k.replicas {
		if err := e.Take(name, k.records[name]); err != nil {
			panic(err)
		}
	}
}

// join makes a replica that has the store, and hands it what there is.
func (k *kept) join(t *testing.T) *lockout.Engine {
	t.Helper()
	e := newEngine(t)
	e.Share(k)
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, value := range k.records {
		if err := e.Take(name, value); err != nil {
			t.Fatal(err)
		}
	}
	k.replicas = append(k.replicas, e)
	return e
}

// run runs replicas until the test's bubble is left.
func run(t *testing.T, replicas ...*lockout.Engine) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, e := range replicas {
		all.Go(func() { _ = e.Run(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
}

// TestLocksAreShared: a lock holds at every replica within two seconds, and at one that is started later; taken off, it is
// off everywhere, and stays on where it was put on anew.
func TestLocksAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newKept()
		one, two := store.join(t), store.join(t)
		run(t, one, two)
		judged(t, one, at(attacker), 20, weak)
		judged(t, one, at(clean), 5, func() string { return bootstrap(victim) })
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's own clock
		for _, e := range []*lockout.Engine{two, store.join(t)} {
			if got := judged(t, e, at(attacker), 20, weak); got != 0 {
				t.Errorf("%d guesses were judged elsewhere", got)
			}
			if err := present(t, e, from(clean), bootstrap(victim), authn.Ending{}); time.Until(until(t, err)) < 14*time.Minute {
				t.Errorf("the pair: %v", err)
			}
		}
		for name, value := range store.all() {
			if text := string(value); strings.Contains(name, attacker) || strings.Contains(name, victim) {
				t.Errorf("the name tells whom it is about: %s %s", name, text)
			}
		}

		locks, total := two.Locks(time.Now(), 10, func(*lockout.Lock) bool { return true })
		if total != 2 || locks[0].Kind != lockout.OnPair || locks[0].ID != "BOOTSTRAP="+victim || locks[1].Prefix.String() != attacker+"/32" {
			t.Fatalf("locks: %+v", locks)
		}
		lock, err := two.Find(locks[1].Name, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		value, err := lockout.Unlocked(&lock, lockout.Unlock{Actor: "guard", Reason: "why", At: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Write(t.Context(), map[string][]byte{lock.Name: value}, nil); err != nil {
			t.Fatal(err)
		}
		for _, e := range []*lockout.Engine{one, two} {
			if got := judged(t, e, at(attacker), 1, weak); got != 1 {
				t.Error("still locked somewhere")
			}
		}
		if _, err := two.Find(locks[1].Name, time.Now()); !errors.Is(err, lockout.ErrNotFound) {
			t.Errorf("still listed: %v", err)
		}
		judged(t, one, at(attacker), 20, weak)
		if err := one.Take(lock.Name, value); err != nil { // listed anew
			t.Fatal(err)
		}
		if got := judged(t, one, at(attacker), 20, weak); got != 0 {
			t.Error("an old unlock takes off a lock that was put on after it")
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's own clock
		if text := string(store.all()[lock.Name]); text == "" || strings.Contains(text, "unlocked") {
			t.Errorf("the lock that was put on after an unlock is not on record: %s", text)
		}
	})
}

// TestWritesAreBounded: whatever is locked, the store has no more than so many writes a second from all replicas; and what
// is of no use any more goes.
func TestWritesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newKept()
		one, two := store.join(t), store.join(t)
		run(t, one, two)
		source := func(i int) string { return fmt.Sprintf("10.0.%d.%d", i/20/250, i/20%250) }
		for range 3 {
			judged(t, one, source, 6_000, weak)
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's own clock
		}
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's own clock
		for i, n := range store.ticks() {
			if n > lockout.MaxWrites/2 {
				t.Errorf("write %d has %d records, want %d at most", i, n, lockout.MaxWrites/2)
			}
		}
		if store.count() == 0 {
			t.Error("nothing was written")
		}
		if got := judged(t, one, source, 6_000, weak); got > 0 {
			t.Errorf("%d guesses were judged: locks that found no room in the store do not hold here", got)
		}
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's own clock
		if left := store.count(); left != 0 {
			t.Errorf("%d records are left an hour later", left)
		}
	})
}

// TestStoreIsLost: each replica goes on counting by itself, and writes what still matters when the store is back.
func TestStoreIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newKept()
		one := store.join(t)
		store.set(true)
		run(t, one)
		if got := judged(t, one, at(attacker), 100, weak); got != 20 {
			t.Errorf("%d guesses were judged without a store, want 20", got)
		}
		time.Sleep(10 * time.Second) //nolint:forbidigo // the bubble's own clock
		store.set(false)
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's own clock
		if got := judged(t, store.join(t), at(attacker), 100, weak); got != 0 {
			t.Errorf("%d guesses were judged elsewhere after the store was back", got)
		}
	})
}

// TestTakeRefuses: what is in the store and makes no sense keeps the view from being fresh; it does not lock anybody.
func TestTakeRefuses(t *testing.T) {
	t.Parallel()
	const good = `"since":"2026-01-01T00:00:00Z","until":"2100-01-01T00:00:00Z"`
	for _, tt := range []struct {
		value string
		ok    bool
	}{
		{"", false},
		{"{}", false},
		{`{"kind":"prefix","prefix":"0.0.0.0/0",` + good + `}`, false},
		{`{"kind":"prefix","prefix":"::/0",` + good + `}`, false},
		{`{"kind":"prefix","prefix":"2001:db8::/32",` + good + `}`, false},
		{`{"kind":"prefix","prefix":"10.0.0.0/8",` + good + `}`, false},
		{`{"kind":"pair","prefix":"10.0.0.1/32",` + good + `}`, false},
		{`{"kind":"all","prefix":"10.0.0.1/32",` + good + `}`, false},
		{`{"kind":"prefix","prefix":"10.0.0.1/32","what":1,` + good + `}`, false},
		{`{"kind":"prefix","prefix":"10.0.0.1/32",` + good + `}`, true},
		{`{"kind":"pair","prefix":"2001:db8::/64","id":"x",` + good + `}`, true},
	} {
		e := newEngine(t)
		if err := e.Take("l-1", []byte(tt.value)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.value, err)
		}
		_, total := e.Locks(time.Now(), 10, func(*lockout.Lock) bool { return true })
		if (total == 1) != tt.ok {
			t.Errorf("%s: %d locks", tt.value, total)
		}
	}
}

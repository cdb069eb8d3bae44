package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
)

// late is a store that writes entries late, and is not heard of any more from when it was asked to.
type late struct {
	*flaky

	by time.Duration
}

func (l *late) Commit(ctx context.Context, t ledger.Transaction) (int64, error) {
	if !strings.HasPrefix(t.Puts[0].Key, "entry/") {
		return l.flaky.Commit(ctx, t)
	}
	l.sever()
	timer := time.NewTimer(l.by)
	defer timer.Stop()
	<-timer.C
	return l.Store.Commit(context.WithoutCancel(ctx), t)
}

// TestFirstSightByAnOldView: a credential that waited to be recorded is not let in by the view of before.
func TestFirstSightByAnOldView(t *testing.T) {
	t.Parallel()
	l := run(t, &late{flaky: openStore(t), by: 1500 * time.Millisecond})
	if err := l.Judge(request(), certificate("1")); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("judged %v", err)
	}
}

// swapped is a store in whose place another comes, as when a backup is brought back.
type swapped struct {
	ledger.Store

	other atomic.Pointer[flaky]
}

func (s *swapped) Read(ctx context.Context, key string) (ledger.Record, error) {
	if other := s.other.Load(); other != nil {
		return other.Read(ctx, key)
	}
	return s.Store.Read(ctx, key)
}

// TestStoreLosesWhatItHad: a gate that knows more than its store lets nobody in.
func TestStoreLosesWhatItHad(t *testing.T) {
	t.Parallel()
	old := openStore(t)
	store := &swapped{Store: openStore(t)}
	l := run(t, store)
	cred := certificate("1")
	if err := l.Judge(request(), cred); err != nil {
		t.Fatal(err)
	}
	revoke(t, l, ledger.Target{Kind: ledger.User, Name: "somebody"})
	if err := l.Judge(request(), cred); err != nil { // the twin
		t.Fatal(err)
	}
	store.other.Store(old)
	ledgertest.Eventually(t, "nobody is let in", func() bool { return errors.Is(l.Judge(request(), cred), ledger.ErrUnavailable) })
}

// TestStoreOfAnotherHistory: a store that had as many acts, and others, is no later state.
func TestStoreOfAnotherHistory(t *testing.T) {
	t.Parallel()
	fill := func(inner ledger.Store, before, after int) {
		for i := range before {
			ledgertest.Put(t, inner, fmt.Sprint("use/before", i), "{}")
		}
		revoke(t, run(t, inner), ledger.Target{Kind: ledger.User, Name: "somebody"})
		for i := range after {
			ledgertest.Put(t, inner, fmt.Sprint("use/after", i), "{}")
		}
	}
	inner, other := openStore(t), openStore(t)
	fill(inner, 0, 10)
	fill(other, 5, 0) // its act is later than the one that is known, and earlier than what is in force
	store := &swapped{Store: inner}
	l := run(t, store)
	cred := certificate("1")
	if err := l.Judge(request(), cred); err != nil { // the twin
		t.Fatal(err)
	}
	store.other.Store(other)
	ledgertest.Eventually(t, "nobody is let in", func() bool { return errors.Is(l.Judge(request(), cred), ledger.ErrUnavailable) })
}

// deaf is a store whose watch stands and brings nothing, until it is begun anew.
type deaf struct {
	ledger.Store

	hears   atomic.Int64 // the watch from which on it does
	watches atomic.Int64
}

func (d *deaf) Watch(ctx context.Context, prefix string, after int64, each func(ledger.Change) error) error {
	if d.watches.Add(1) <= d.hears.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return d.Store.Watch(ctx, prefix, after, each)
}

// TestWatchThatStands: a watch that brings nothing, while the store has news, is begun anew.
func TestWatchThatStands(t *testing.T) {
	t.Parallel()
	inner := openStore(t)
	store := &deaf{Store: inner}
	store.hears.Store(1)
	l, other := run(t, store), run(t, inner)
	cred := certificate("1")
	if err := l.Judge(request(), cred); err != nil {
		t.Fatal(err)
	}
	revoke(t, other, ledger.Target{Kind: ledger.User, Name: "alice"})
	ledgertest.Eventually(t, "the revocation is in force", func() bool { return errors.Is(l.Judge(request(), cred), ledger.ErrRevoked) })
}

// TestStreamsThatEndSlowly: a replica that needs long to cut its streams hears of changes as before, and says that it is done.
func TestStreamsThatEndSlowly(t *testing.T) {
	t.Parallel()
	store := &deaf{Store: openStore(t)}
	var slow atomic.Bool
	l := run(t, store, func(c *ledger.Config) {
		c.Changed = func() map[string]int {
			if slow.Load() {
				timer := time.NewTimer(4 * time.Second)
				defer timer.Stop()
				<-timer.C
			}
			return nil
		}
	})
	slow.Store(true)
	if _, err := l.Revoke(t.Context(), &ledger.Revocation{Target: ledger.Target{Kind: ledger.User, Name: "alice"}, Reason: "a test", Actor: by()}); err != nil {
		t.Fatal(err)
	}
	slow.Store(false)
	ledgertest.Eventually(t, "it is done", func() bool { return errors.Is(l.Judge(request(), certificate("1")), ledger.ErrRevoked) })
	revoke(t, l, ledger.Target{Kind: ledger.User, Name: "somebody"})
	if n := store.watches.Load(); n != 1 {
		t.Errorf("%d watches", n)
	}
}

// mute is a store that takes no commit of a replica's record.
type mute struct {
	ledger.Store

	silent atomic.Bool
}

func (m *mute) Commit(ctx context.Context, t ledger.Transaction) (int64, error) {
	if m.silent.Load() {
		return 0, errors.New("silent")
	}
	return m.Store.Commit(ctx, t)
}

// TestTakenForDead: a replica that is silent is fenced until its last stream has certainly ended, and is nobody's concern after.
func TestTakenForDead(t *testing.T) {
	t.Parallel()
	inner := openStore(t)
	store := &mute{Store: inner}
	a := run(t, inner, func(c *ledger.Config) { c.Replica = "a" })
	b := run(t, store, func(c *ledger.Config) { c.Replica = "b" })
	cred, open := certificate("1"), request()
	open.Open = true
	if err := b.Judge(request(), cred); err != nil {
		t.Fatal(err)
	}
	store.silent.Store(true)
	ended := false
	for gone := false; !gone; {
		streams := b.Judge(open, cred) == nil
		force, err := a.Revoke(t.Context(), &ledger.Revocation{Target: ledger.Target{Kind: ledger.User, Name: "nobody"}, Reason: "a test", Actor: by()})
		if err != nil {
			t.Fatal(err)
		}
		ended = ended || !streams
		_, known := force.Replicas["b"]
		if gone = !known; gone && b.Judge(open, cred) == nil {
			t.Error("a revoke does not wait for a replica whose streams are open")
		}
	}
	if !ended {
		t.Error("its streams never ended")
	}
}

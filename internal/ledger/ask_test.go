package ledger_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
)

// hanging is a store of which one member of two answers nobody.
type hanging struct {
	ledger.Store

	hangs atomic.Bool
	calls atomic.Int64
}

func (h *hanging) wait(ctx context.Context) error {
	if h.calls.Add(1)%2 == 0 || !h.hangs.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (h *hanging) Read(ctx context.Context, key string) (ledger.Record, error) {
	if err := h.wait(ctx); err != nil {
		return ledger.Record{}, err
	}
	return h.Store.Read(ctx, key)
}

func (h *hanging) Commit(ctx context.Context, t ledger.Transaction) (int64, error) {
	if err := h.wait(ctx); err != nil {
		return 0, err
	}
	return h.Store.Commit(ctx, t)
}

func (h *hanging) List(ctx context.Context, prefix, after string, each func(ledger.Record) error) (int64, error) {
	if err := h.wait(ctx); err != nil {
		return 0, err
	}
	return h.Store.List(ctx, prefix, after, each)
}

// TestMemberHangs: while one member of the store hangs, and others do not, requests are let in, revocations made and lifted.
func TestMemberHangs(t *testing.T) {
	t.Parallel()
	store := &hanging{Store: openStore(t)}
	l := run(t, store, func(c *ledger.Config) { c.Replica = "a" })
	cred := certificate("1")
	if err := l.Judge(request(), cred); err != nil {
		t.Fatal(err)
	}
	store.hangs.Store(true)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < 3*time.Second; <-tick.C {
		if err := l.Judge(request(), cred); err != nil {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
	}
	for range 2 {
		r := revoke(t, l, ledger.Target{Kind: ledger.User, Name: "alice"})
		if err := l.Judge(request(), cred); !errors.Is(err, ledger.ErrRevoked) {
			t.Errorf("judged %v", err)
		}
		if _, _, err := l.Lift(t.Context(), r.Name, ledger.Lift{Reason: "over", Actor: by()}); err != nil {
			t.Fatal(err)
		}
	}
}

// forgetful is a store that writes, and whose answers are lost, each time for the first transaction with the prefix.
type forgetful struct {
	ledger.Store

	prefix string
	lost   atomic.Int64
}

func (f *forgetful) Commit(ctx context.Context, t ledger.Transaction) (int64, error) {
	revision, err := f.Store.Commit(ctx, t)
	if err == nil && strings.HasPrefix(t.Puts[0].Key, f.prefix) && f.lost.Add(1) == 1 {
		return 0, errors.New("the connection broke")
	}
	return revision, err
}

// TestAnswerIsLost: what was written, and whose answer was lost, is known to be written, and written once.
func TestAnswerIsLost(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"rev/", "past/", "entry/"} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			store := &forgetful{Store: openStore(t), prefix: prefix}
			l := run(t, store)
			cred := certificate("1")
			if err := l.Judge(request(), cred); err != nil {
				t.Fatal(err)
			}
			r := revoke(t, l, ledger.Target{Kind: ledger.User, Name: "alice"})
			if err := l.Judge(request(), cred); !errors.Is(err, ledger.ErrRevoked) {
				t.Errorf("judged %v", err)
			}
			if _, _, err := l.Lift(t.Context(), r.Name, ledger.Lift{Reason: "over", Actor: by()}); err != nil {
				t.Fatal(err)
			}
			if err := l.Judge(request(), cred); err != nil {
				t.Errorf("after the lift: %v", err)
			}
			names := 0
			if _, _, err := l.List(t.Context(), true, "", func(*ledger.Revocation) bool { names++; return true }); err != nil || names != 1 {
				t.Errorf("%d revocations on record, %v", names, err)
			}
			if store.lost.Load() == 0 {
				t.Error("no answer was lost")
			}
		})
	}
}

// unread is a store that answers no question while it is asked not to; what is committed and watched goes on.
type unread struct {
	ledger.Store

	silent atomic.Bool
}

func (u *unread) Read(ctx context.Context, key string) (ledger.Record, error) {
	if u.silent.Load() {
		<-ctx.Done()
		return ledger.Record{}, ctx.Err()
	}
	return u.Store.Read(ctx, key)
}

// TestActsAskNothing: what the mirror has of the head is enough to write a revocation and an entry, so that neither waits for
// an answer first.
func TestActsAskNothing(t *testing.T) {
	t.Parallel()
	store := &unread{Store: openStore(t)}
	l := run(t, store)
	store.silent.Store(true)
	for range 3 { // one after the other: each needs the head that the last one left
		revoke(t, l, ledger.Target{Kind: ledger.User, Name: "alice"})
	}
	if err := l.Record(t.Context(), ledger.EntryOf(request(), certificate("7"))); err != nil {
		t.Fatal(err)
	}
	store.silent.Store(false)
	ledgertest.Eventually(t, "the entry is there", func() bool {
		_, err := l.EntryOf(t.Context(), certificate("7").ID)
		return err == nil
	})
}

// TestActsOfTheOutdated: a replica that has not heard of others' acts asks for them before it adds its own.
func TestActsOfTheOutdated(t *testing.T) {
	t.Parallel()
	inner := openStore(t)
	store := &deaf{Store: inner}
	store.hears.Store(1)
	l, other := run(t, store), run(t, inner)
	var last uint64
	for range 3 {
		last = revoke(t, other, ledger.Target{Kind: ledger.User, Name: "bob"}).Index
	}
	if err := l.Record(t.Context(), ledger.EntryOf(request(), certificate("7"))); err != nil {
		t.Fatal(err)
	}
	if entry, err := l.EntryOf(t.Context(), certificate("7").ID); err != nil || entry.Index != last {
		t.Errorf("recorded after %+v acts: %v; there were %d", entry, err, last)
	}
	r := &ledger.Revocation{Target: ledger.Target{Kind: ledger.User, Name: "alice"}, Reason: "test", Actor: by()}
	if _, err := l.Revoke(t.Context(), r); err != nil || r.Index != last+1 {
		t.Errorf("the act is number %d, after %d: %v", r.Index, last, err)
	}
}

// TestActsGoTogether: many who shut out and lift at once, some of them the same, at two replicas, each get what they asked for; and
// the ledger stays whole, as a third replica that reads it afterwards finds.
func TestActsGoTogether(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	writes := &counting{Store: store}
	a, b := run(t, writes, named("a")), run(t, store, named("b"))
	const each = 40
	twice := revoke(t, a, ledger.Target{Kind: ledger.User, Name: "twice"})
	before := writes.count.Load()
	var group sync.WaitGroup
	var lifted, lateLifts atomic.Int64
	for i := range each {
		for _, l := range []*ledger.Ledger{a, b} {
			group.Go(func() {
				r := &ledger.Revocation{Target: ledger.Target{Kind: ledger.User, Name: "user-" + strconv.Itoa(i)}, Reason: "a test", Actor: by()}
				if _, err := l.Revoke(t.Context(), r); err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					if _, _, err := l.Lift(t.Context(), r.Name, ledger.Lift{Reason: "over", Actor: by()}); err != nil {
						t.Error(err)
					}
				}
			})
			group.Go(func() {
				switch _, _, err := l.Lift(t.Context(), twice.Name, ledger.Lift{Reason: "over", Actor: by()}); {
				case err == nil:
					lifted.Add(1)
				case errors.Is(err, ledger.ErrLifted):
					lateLifts.Add(1)
				default:
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	if lifted.Load() != 1 || lateLifts.Load() != 2*each-1 {
		t.Errorf("lifted %d times, and %d were late", lifted.Load(), lateLifts.Load())
	}
	c := run(t, store, named("c"))
	for i := range each {
		cred := certificate("c-"+strconv.Itoa(i), func(c *authn.Credential) { c.Identity.Username = "user-" + strconv.Itoa(i) })
		if err := c.Judge(request(), cred); errors.Is(err, ledger.ErrRevoked) != (i%2 == 1) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if n := writes.count.Load() - before; n > 3*each/2 { // it made 61 acts or more
		t.Errorf("one replica tried %d transactions", n)
	}
}

func named(name string) func(*ledger.Config) { return func(c *ledger.Config) { c.Replica = name } }

// counting counts transactions that are acts.
type counting struct {
	ledger.Store

	count atomic.Int64
}

func (c *counting) Commit(ctx context.Context, t ledger.Transaction) (int64, error) {
	if n := len(t.Puts); n > 0 && strings.HasPrefix(t.Puts[n-1].Key, "act/") {
		c.count.Add(1)
	}
	return c.Store.Commit(ctx, t)
}

package ledger_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/ledger"
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
	eventually(t, "the entry is there", func() bool {
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

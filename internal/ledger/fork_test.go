package ledger_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
)

// movable is a store that can be another one from some moment on.
type movable struct {
	at atomic.Pointer[etcdstore.Store]
}

func (m *movable) List(ctx context.Context, prefix, after string, each func(ledger.Record) error) (int64, error) {
	return m.at.Load().List(ctx, prefix, after, each)
}

func (m *movable) Scan(ctx context.Context, span ledger.Span, each func(ledger.Record) error) (ledger.Scanned, error) {
	return m.at.Load().Scan(ctx, span, each)
}

func (m *movable) Watch(ctx context.Context, prefix string, after int64, each func(ledger.Change) error) error {
	return m.at.Load().Watch(ctx, prefix, after, each)
}

func (m *movable) Read(ctx context.Context, key string) (ledger.Record, error) {
	return m.at.Load().Read(ctx, key)
}

func (m *movable) Commit(ctx context.Context, t ledger.Transaction) (int64, error) {
	return m.at.Load().Commit(ctx, t)
}

// TestStoreIsPutBackMeanwhile: a gate whose store was put back while it was away, and went on from there, has every act that it missed, though
// that has a revision at which the gate had something else, and no count tells.
func TestStoreIsPutBackMeanwhile(t *testing.T) {
	t.Parallel()
	folder, backup := filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "backup")
	open := func(folder string) *etcdstore.Store {
		store, err := etcdstore.Embedded(etcdstore.EmbeddedConfig{Directory: folder, Logger: discard()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		return store
	}
	first := open(folder)
	l, stop := runUntil(t, first, with(newNotebook()))
	revokeUser(t, l, "somebody")
	stop()
	first.Close()
	if err := os.CopyFS(backup, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(backup, 0o700); err != nil { //nolint:gosec // a folder
		t.Fatal(err)
	}
	inner := new(movable)
	inner.at.Store(open(folder))
	store := &distant{Store: inner, compact: func(ctx context.Context, revision int64) error { return inner.at.Load().Compact(ctx, revision) }}
	hears := newNotebook()
	gate := run(t, store, with(hears))
	ledgertest.Put(t, inner, "lock/lost", "1")
	for i := range 20 {
		ledgertest.Put(t, inner, fmt.Sprint("use/", i), "{}")
	}
	ledgertest.Eventually(t, "it hears of all", func() bool { return hears.get("lost") != "" })
	fresh := newNotebook()
	store.away(t, func() {
		inner.at.Store(open(backup))
		other := run(t, inner, with(fresh))
		if _, err := other.EnforcePart(t.Context(), ledger.LockPrefix, "ended", []byte("1")); err != nil {
			t.Error(err)
		}
		for i := range 40 {
			ledgertest.Put(t, inner, fmt.Sprint("use/", i), "{}")
		}
	})
	ledgertest.Eventually(t, "it has what was done meanwhile", func() bool { return hears.get("ended") != "" && hears.get("lost") == "" && gate.Ready() == nil })
	if diff := cmp.Diff(fresh.all(), hears.all()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

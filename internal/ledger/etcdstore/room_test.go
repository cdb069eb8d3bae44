package etcdstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
)

// smallQuota leaves ten thousand revocations 7 MB.
const smallQuota = 48 << 20

func small(t *testing.T, folder string, quota int64) *Store {
	t.Helper()
	store, err := Embedded(EmbeddedConfig{Directory: folder, Quota: quota, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// fill writes records of a size until the store refuses, and returns the refusal.
func fill(t *testing.T, store *Store, size int, essential bool) error {
	t.Helper()
	for i := 0; ; i++ {
		_, err := store.Commit(t.Context(), ledger.Transaction{
			Puts: []ledger.Record{{Key: fmt.Sprintf("use/%06d", i), Value: bytes.Repeat([]byte("x"), size)}}, Essential: essential,
		})
		if err != nil {
			return err
		}
	}
}

// plain hides nothing.
type plain struct{}

func (plain) Hide(parts ...string) string { return fmt.Sprintf("%q", parts) }

// TestRevocationsHaveTheLastOfTheRoom: at 85 % of the quota credentials are not recorded any more, and ten thousand revocations
// still are, each in force when the call returns; so are their ends.
func TestRevocationsHaveTheLastOfTheRoom(t *testing.T) {
	t.Parallel()
	store := small(t, filepath.Join(t.TempDir(), "data"), smallQuota)
	for _, size := range []int{500_000, 20_000, 100} {
		if err := fill(t, store, size, false); !errors.Is(err, ledger.ErrReserved) || !errors.Is(err, ledger.ErrFull) {
			t.Fatalf("full with %v", err)
		}
	}
	if used, quota := store.Room(); quota != smallQuota || used < quota*84/100 || used > quota*88/100 { // what is on its way to the disk takes whole pages there
		t.Errorf("%d of %d bytes are used", used, quota)
	}
	l, err := ledger.New(ledger.Config{Store: store, Names: plain{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	if err := l.Record(t.Context(), &ledger.Entry{
		ID: "JTI=1", Issuer: "https://issuer", Mechanism: identity.JWT, Username: "alice", Origin: ledger.Seen,
	}); !errors.Is(err, ledger.ErrReserved) {
		t.Errorf("an entry: %v", err)
	}
	const many = 10_000
	all := make([]*ledger.Revocation, many)
	for i := range all {
		all[i] = &ledger.Revocation{
			Target: ledger.Target{Kind: ledger.OneCredential, Name: fmt.Sprintf("X509SHA256=%064x", i)}, Reason: "a laptop was stolen", Actor: ledger.Actor{Username: "guard"},
		}
	}
	force, err := l.Revoke(t.Context(), all...)
	if err != nil || !force.Complete() {
		t.Fatalf("%+v, %v", force, err)
	}
	for _, one := range []*ledger.Revocation{all[0], all[many-1]} {
		if _, _, err := l.Lift(t.Context(), one.Name, ledger.Lift{Reason: "it was found"}); err != nil {
			t.Error(err)
		}
	}
	used, quota := store.Room()
	t.Logf("%d revocations in %s; %d of %d bytes are used", many, force.Took, used, quota)
}

// TestFullStoreRecovers: at the quota nothing is written any more, but deletes; a start makes room of what was deleted.
func TestFullStoreRecovers(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	const quota = 24 << 20
	store := small(t, folder, quota)
	if err := fill(t, store, 500_000, true); !errors.Is(err, ledger.ErrFull) || errors.Is(err, ledger.ErrReserved) {
		t.Fatalf("full with %v", err)
	}
	var all ledger.Transaction
	if _, err := store.List(t.Context(), "", "", func(r ledger.Record) error { all.Deletes = append(all.Deletes, r.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Commit(t.Context(), all); err != nil {
		t.Fatalf("deletes: %v", err)
	}
	one := ledger.Transaction{Puts: []ledger.Record{{Key: "rev/a", Value: []byte("v")}}, Essential: true}
	if _, err := store.Commit(t.Context(), one); !errors.Is(err, ledger.ErrFull) {
		t.Errorf("before a start: %v", err)
	}
	store.Close()
	store = small(t, folder, quota)
	if _, err := store.Commit(t.Context(), one); err != nil {
		t.Errorf("after a start: %v", err)
	}
	if used, _ := store.Room(); used > quota/2 {
		t.Errorf("%d bytes are used", used)
	}
}

// TestTidy: changes are forgotten once they are two ticks old, and not before.
func TestTidy(t *testing.T) {
	t.Parallel()
	store := small(t, filepath.Join(t.TempDir(), "data"), 0)
	put := func() int64 {
		revision, err := store.Commit(t.Context(), ledger.Transaction{Puts: []ledger.Record{{Key: "k", Value: []byte("v")}}})
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	watched := func(after int64) error {
		enough := errors.New("enough")
		if err := store.Watch(t.Context(), "", after, func(ledger.Change) error { return enough }); !errors.Is(err, enough) {
			return err
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	ticks, done := make(chan time.Time), make(chan struct{})
	go func() { store.tidy(ctx, ticks, slog.New(slog.DiscardHandler)); close(done) }()
	first := put()
	ticks <- time.Time{}
	put()
	ticks <- time.Time{}
	put()
	if err := watched(first - 2); err != nil {
		t.Errorf("one tick old: %v", err)
	}
	ticks <- time.Time{}
	ticks <- time.Time{} // it is taken when the one before is done
	if err := watched(first - 2); !errors.Is(err, ledger.ErrCompacted) {
		t.Errorf("two ticks old: %v", err)
	}
	cancel()
	<-done
}

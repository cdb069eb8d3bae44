package ledgertest

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
)

// Patience bounds the wait for what must happen. It says nothing about how soon that is, and a busy machine must not
// reach it.
const Patience = 2 * time.Minute

// Open opens the embedded store in a folder, until the end of the test.
func Open(tb testing.TB, folder string) *etcdstore.Store {
	tb.Helper()
	store, err := etcdstore.Embedded(etcdstore.EmbeddedConfig{Directory: folder, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(store.Close)
	return store
}

// Start runs a ledger until the returned function is called, or else until the end of the test.
func Start(tb testing.TB, l *ledger.Ledger) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context())) // stop ends it, after what else the test has
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

// StartFresh is Start, and waits until the ledger can judge.
func StartFresh(tb testing.TB, l *ledger.Ledger) (stop func()) {
	tb.Helper()
	stop = Start(tb, l)
	Eventually(tb, "the ledger is fresh", func() bool { return l.Ready() == nil })
	return stop
}

// Eventually waits until something holds, no longer than Patience.
func Eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			tb.Fatalf("not within %s: %s", Patience, what)
		case <-tick.C:
		}
	}
}

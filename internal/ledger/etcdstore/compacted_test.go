package etcdstore

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/ostiary/ostiary/internal/ledger"
)

// TestCompacted: who is behind what is kept is told to list anew, and never handed changes with a gap.
func TestCompacted(t *testing.T) {
	t.Parallel()
	store, err := Embedded(EmbeddedConfig{Directory: filepath.Join(t.TempDir(), "data"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	var last int64
	for _, value := range []string{"1", "2", "3"} {
		if last, err = store.Commit(t.Context(), ledger.Transaction{Puts: []ledger.Record{{Key: "k", Value: []byte(value)}}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.link.Load().client.Compact(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	err = store.Watch(t.Context(), "", 0, func(c ledger.Change) error {
		t.Errorf("a change of revision %d", c.Revision)
		return nil
	})
	if !errors.Is(err, ledger.ErrCompacted) {
		t.Errorf("error %v", err)
	}
}

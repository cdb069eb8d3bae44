package etcdstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
)

func open(t *testing.T, folder string) *etcdstore.Store {
	t.Helper()
	store, err := etcdstore.Embedded(etcdstore.EmbeddedConfig{Directory: folder, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func put(t *testing.T, store ledger.Store, key, value string) int64 {
	t.Helper()
	revision, err := store.Commit(t.Context(), ledger.Transaction{Puts: []ledger.Record{{Key: key, Value: []byte(value)}}})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	store := open(t, filepath.Join(t.TempDir(), "data"))

	t.Run("a condition that does not hold writes nothing", func(t *testing.T) {
		first := put(t, store, "c/a", "1")
		put(t, store, "c/a", "2")
		_, err := store.Commit(t.Context(), ledger.Transaction{
			Unchanged: []ledger.Record{{Key: "c/a", Revision: first}},
			Puts:      []ledger.Record{{Key: "c/b", Value: []byte("x")}},
		})
		if !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("error %v", err)
		}
		got, err := store.Read(t.Context(), "c/b")
		if err != nil || got.Value != nil || got.Revision != 0 {
			t.Errorf("%v, %v: it was written all the same", got, err)
		}
	})
	t.Run("a listing has more than one page and one revision", func(t *testing.T) {
		const records = 2500
		for i := range records / 100 {
			var t100 ledger.Transaction
			for j := range 100 {
				t100.Puts = append(t100.Puts, ledger.Record{Key: fmt.Sprintf("l/%05d", i*100+j), Value: []byte("v")})
			}
			if _, err := store.Commit(t.Context(), t100); err != nil {
				t.Fatal(err)
			}
		}
		count, last := 0, ""
		revision, err := store.List(t.Context(), "l/", "", func(r ledger.Record) error {
			if count == 0 {
				put(t, store, "l/99999", "too late")
			}
			count++
			if r.Key <= last {
				t.Errorf("%s comes after %s", r.Key, last)
			}
			last = r.Key
			return nil
		})
		if err != nil || count != records || revision == 0 {
			t.Errorf("%d records, revision %d, %v", count, revision, err)
		}
	})
	t.Run("a watch has every transaction whole and in order", func(t *testing.T) {
		start := put(t, store, "w/0", "before")
		if _, err := store.Commit(t.Context(), ledger.Transaction{
			Puts: []ledger.Record{{Key: "w/1", Value: []byte("a")}, {Key: "w/2", Value: []byte("b")}}, Deletes: []string{"w/0"},
		}); err != nil {
			t.Fatal(err)
		}
		put(t, store, "other", "not watched")
		put(t, store, "w/1", "c")
		var got [][]string
		stop := errors.New("seen all")
		err := store.Watch(t.Context(), "w/", start, func(c ledger.Change) error {
			var seen []string
			for _, r := range c.Records {
				if r.Revision != c.Revision {
					t.Errorf("record of revision %d in change %d", r.Revision, c.Revision)
				}
				seen = append(seen, fmt.Sprintf("%s=%s", r.Key, r.Value))
			}
			if got = append(got, seen); len(got) == 2 {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]string{{"w/0=", "w/1=a", "w/2=b"}, {"w/1=c"}}, got, cmp.Transformer("set", sorted)); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	})
	t.Run("a watch ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := store.Watch(ctx, "w/", 0, func(ledger.Change) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

// sorted makes a set of the records of a change, whose order means nothing.
func sorted(in []string) map[string]bool {
	set := make(map[string]bool)
	for _, s := range in {
		set[s] = true
	}
	return set
}

func TestEmbeddedKeepsItsData(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	store, err := etcdstore.Embedded(etcdstore.EmbeddedConfig{Directory: folder, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	put(t, store, "k", "v")
	store.Close()
	got, err := open(t, folder).Read(t.Context(), "k")
	if err != nil || string(got.Value) != "v" {
		t.Errorf("%v, %v after a restart", got, err)
	}
	info, err := os.Stat(folder)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestEmbeddedRefuses(t *testing.T) {
	t.Parallel()
	for says, spoil := range map[string]func(t *testing.T, folder string){
		"others may look into it": func(t *testing.T, folder string) {
			t.Helper()
			if err := os.Mkdir(folder, 0o750); err != nil {
				t.Fatal(err)
			}
		},
		"is a symbolic link": func(t *testing.T, folder string) {
			t.Helper()
			if err := os.Symlink(t.TempDir(), folder); err != nil {
				t.Fatal(err)
			}
		},
		"not a directory": func(t *testing.T, folder string) {
			t.Helper()
			if err := os.WriteFile(folder, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "data")
			spoil(t, folder)
			if store, err := etcdstore.Embedded(etcdstore.EmbeddedConfig{Directory: folder, Logger: slog.New(slog.DiscardHandler)}); !errors.Is(err, etcdstore.ErrFolder) || !strings.Contains(err.Error(), says) {
				if err == nil {
					store.Close()
				}
				t.Errorf("error %v", err)
			}
		})
	}
}

package etcdstore_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
)

func put(t *testing.T, store ledger.Store, key, value string) int64 {
	t.Helper()
	return ledgertest.Put(t, store, key, value)
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	store := ledgertest.Open(t, filepath.Join(t.TempDir(), "data"))
	ledgertest.Run(t, ledgertest.Subject{Store: store, Other: store, Compact: store.Compact})
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
	got, err := ledgertest.Open(t, folder).Read(t.Context(), "k")
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

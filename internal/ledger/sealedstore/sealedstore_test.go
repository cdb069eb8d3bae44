package sealedstore_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
	"github.com/ostiary/ostiary/internal/ledger/sealedstore"
)

func embedded(t *testing.T) *etcdstore.Store {
	t.Helper()
	return ledgertest.Open(t, filepath.Join(t.TempDir(), "data"))
}

// newKey makes a key as operators do.
func newKey(t *testing.T) *sealedstore.KeyFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if _, err := sealedstore.NewKeyFile(path); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := sealedstore.ParseKeyFile(path, content)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// raw writes a record past the seal.
func raw(t *testing.T, store ledger.Store, key string, value []byte) {
	t.Helper()
	transaction := ledger.Transaction{Puts: []ledger.Record{{Key: key, Value: value}}}
	if value == nil {
		transaction = ledger.Transaction{Deletes: []string{key}}
	}
	if _, err := store.Commit(t.Context(), transaction); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, store ledger.Store, key string) []byte {
	t.Helper()
	record, err := store.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return record.Value
}

func TestConformance(t *testing.T) {
	t.Parallel()
	inner, key := embedded(t), newKey(t)
	ledgertest.Run(t, ledgertest.Subject{Store: sealedstore.New(inner, key), Other: sealedstore.New(inner, key), Compact: inner.Compact})
}

// TestNothingIsInClear: what the ledger wrote is not to be found below the seal, and is written differently each time.
func TestNothingIsInClear(t *testing.T) {
	t.Parallel()
	inner := embedded(t)
	store := sealedstore.New(inner, newKey(t))
	const name = "alice@example.org"
	ledgertest.Put(t, store, "rev/1", name)
	first := read(t, inner, "rev/1")
	ledgertest.Put(t, store, "rev/1", name)
	if second := read(t, inner, "rev/1"); bytes.Equal(first, second) {
		t.Error("the same value is sealed to the same bytes")
	}
	if _, err := inner.List(t.Context(), "", "", func(r ledger.Record) error {
		if bytes.Contains(r.Value, []byte("alice")) {
			t.Errorf("%s holds the name in clear", r.Key)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestTampering: a record that this ledger did not write for this key is not opened, by no way of reading.
func TestTampering(t *testing.T) {
	t.Parallel()
	inner, key := embedded(t), newKey(t)
	store := sealedstore.New(inner, key)
	foreign := embedded(t)
	ledgertest.Put(t, sealedstore.New(foreign, key), "rev/a", "of another ledger")
	ledgertest.Put(t, store, "rev/a", "good")
	ledgertest.Put(t, store, "rev/b", "of another key")
	good := read(t, inner, "rev/a")
	flipped := func(at int) []byte {
		changed := bytes.Clone(good)
		changed[at] ^= 1
		return changed
	}
	for name, value := range map[string][]byte{
		"form": flipped(0), "nonce": flipped(1), "text": flipped(25), "tag": flipped(len(good) - 1), "cut": good[:len(good)-1], "longer": append(bytes.Clone(good), 0),
		"moved": read(t, inner, "rev/b"), "of another ledger": read(t, foreign, "rev/a"), "in clear": []byte(`{"target":{}}`), "short": {1},
	} {
		raw(t, inner, "rev/a", value)
		if _, err := store.Read(t.Context(), "rev/a"); !errors.Is(err, sealedstore.ErrTampered) {
			t.Errorf("%s: read: %v", name, err)
		}
		if _, err := store.List(t.Context(), "", "", func(ledger.Record) error { return nil }); !errors.Is(err, sealedstore.ErrTampered) || !strings.Contains(err.Error(), "rev/a") {
			t.Errorf("%s: list: %v", name, err)
		}
		if err := store.Watch(t.Context(), "", 0, func(ledger.Change) error { return nil }); !errors.Is(err, sealedstore.ErrTampered) {
			t.Errorf("%s: watch: %v", name, err)
		}
	}
	raw(t, inner, "rev/a", good)
	if string(read(t, store, "rev/a")) != "good" {
		t.Error("what was put back is not read")
	}
}

// TestKeys: another key, a lost seed and a lost id are told apart, and none of them makes a new ledger.
func TestKeys(t *testing.T) {
	t.Parallel()
	inner, key, other := embedded(t), newKey(t), newKey(t)
	ledgertest.Put(t, sealedstore.New(inner, key), "rev/a", "v")
	open := func(key *sealedstore.KeyFile) error { return sealedstore.New(inner, key).Open(t.Context()) }
	if err := open(other); !errors.Is(err, sealedstore.ErrKey) {
		t.Errorf("another key: %v", err)
	}
	stated, seed := read(t, inner, "meta"), read(t, inner, "seed/1")
	for name, spoil := range map[string]func(){
		"no seed":    func() { raw(t, inner, "seed/1", nil) },
		"no id":      func() { raw(t, inner, "meta", nil) },
		"no seed/id": func() { raw(t, inner, "meta", nil); raw(t, inner, "seed/1", nil) },
	} {
		spoil()
		if err := open(key); !errors.Is(err, sealedstore.ErrUnsealed) {
			t.Errorf("%s: %v", name, err)
		}
		raw(t, inner, "meta", stated)
		raw(t, inner, "seed/1", seed)
	}
	for name, spoil := range map[string]func(){
		"another schema": func() { raw(t, inner, "meta", bytes.Replace(stated, []byte(`"schema":1`), []byte(`"schema":2`), 1)) },
		"an unknown field": func() {
			raw(t, inner, "meta", bytes.Replace(stated, []byte(`"schema":1`), []byte(`"schema":1,"x":1`), 1))
		},
		"no id in it": func() { raw(t, inner, "meta", []byte(`{"ledger":"","schema":1,"created":"2026-01-01T00:00:00Z"}`)) },
		"another id": func() {
			raw(t, inner, "meta", []byte(`{"ledger":"00000000000000000000000000000000","schema":1,"created":"2026-01-01T00:00:00Z"}`))
		},
		"a seed that is none": func() { raw(t, inner, "seed/1", []byte(`{"wrapped":"AAAA","by":"x","at":"2026-01-01T00:00:00Z"}`)) },
	} {
		spoil()
		if err := open(key); err == nil {
			t.Errorf("%s: opened", name)
		}
		raw(t, inner, "meta", stated)
		raw(t, inner, "seed/1", seed)
	}
	if err := open(key); err != nil {
		t.Error(err)
	}
}

// TestRewrap: the new key opens all that was there, the old one nothing, and who has the ledger open goes on.
func TestRewrap(t *testing.T) {
	t.Parallel()
	inner, from, to := embedded(t), newKey(t), newKey(t)
	running := sealedstore.New(inner, from)
	ledgertest.Put(t, running, "rev/a", "v")
	if err := sealedstore.Rewrap(t.Context(), inner, to, from); !errors.Is(err, sealedstore.ErrKey) {
		t.Errorf("by a key that does not open it: %v", err)
	}
	if err := sealedstore.Rewrap(t.Context(), inner, from, to); err != nil {
		t.Fatal(err)
	}
	if err := sealedstore.New(inner, from).Open(t.Context()); !errors.Is(err, sealedstore.ErrKey) {
		t.Errorf("the old key: %v", err)
	}
	ledgertest.Put(t, running, "rev/b", "v")
	renewed := sealedstore.New(inner, to)
	if string(read(t, renewed, "rev/a")) != "v" || string(read(t, renewed, "rev/b")) != "v" || running.Hide("x") != renewed.Hide("x") {
		t.Error("the new key does not read what is there")
	}
	if err := running.Check(t.Context(), to); err != nil {
		t.Error(err)
	}
	if err := running.Check(t.Context(), from); !errors.Is(err, sealedstore.ErrKey) {
		t.Errorf("check of the old key: %v", err)
	}
	if err := sealedstore.Rewrap(t.Context(), embedded(t), from, to); !errors.Is(err, sealedstore.ErrEmpty) {
		t.Errorf("nothing there: %v", err)
	}
}

// TestHide: names are told apart by their parts, differ between ledgers, and are never empty in a key.
func TestHide(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	store, other := sealedstore.New(embedded(t), key), sealedstore.New(embedded(t), key)
	if store.Hide("alice") != "" {
		t.Error("hidden without a key")
	}
	for _, s := range []*sealedstore.Store{store, other} {
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string][]string)
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a", "b"}, {"ab"}, {"ab", ""}, {"b", "a"}} {
		hidden := store.Hide(parts...)
		if len(hidden) != 32 || strings.ContainsAny(hidden, "/=") {
			t.Errorf("%q is hidden as %q", parts, hidden)
		}
		if before, double := seen[hidden]; double {
			t.Errorf("%q and %q are one", before, parts)
		}
		seen[hidden] = parts
		if hidden != store.Hide(parts...) || hidden == other.Hide(parts...) {
			t.Errorf("%q is not the same twice, or the same in another ledger", parts)
		}
	}
	for _, bad := range []string{"", "entry/", "entry//x", "/x", "meta", "seed/1", "seed/2"} {
		if _, err := store.Commit(t.Context(), ledger.Transaction{Puts: []ledger.Record{{Key: bad, Value: []byte("v")}}}); err == nil {
			t.Errorf("key %q was written", bad)
		}
		if _, err := store.Commit(t.Context(), ledger.Transaction{Deletes: []string{bad}}); err == nil {
			t.Errorf("key %q was deleted", bad)
		}
	}
}

// TestReplicasMakeOneLedger: two that start at once have one seed.
func TestReplicasMakeOneLedger(t *testing.T) {
	t.Parallel()
	inner, key := embedded(t), newKey(t)
	const replicas = 4
	stores, errs := make([]*sealedstore.Store, replicas), make(chan error, replicas)
	for i := range stores {
		stores[i] = sealedstore.New(inner, key)
		go func() { errs <- stores[i].Open(t.Context()) }()
	}
	for range stores {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for _, s := range stores {
		if s.LedgerID() == "" || s.LedgerID() != stores[0].LedgerID() {
			t.Errorf("ledgers %q and %q", s.LedgerID(), stores[0].LedgerID())
		}
	}
}

// down is a store that cannot be reached.
type down struct{ ledger.Store }

var errDown = errors.New("down")

func (down) Read(context.Context, string) (ledger.Record, error) { return ledger.Record{}, errDown }

// TestOpensWhenTheStoreIsThere: a store that is down at the start is asked again.
func TestOpensWhenTheStoreIsThere(t *testing.T) {
	t.Parallel()
	switched := &switching{Store: down{}}
	store := sealedstore.New(switched, newKey(t))
	if _, err := store.Read(t.Context(), "a"); !errors.Is(err, errDown) {
		t.Errorf("error %v", err)
	}
	switched.Store = embedded(t)
	ledgertest.Put(t, store, "a", "v")
}

type switching struct{ ledger.Store }

// TestKeyFiles: what is no key is refused without a word of it, and no key is ever overwritten.
func TestKeyFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	public, err := sealedstore.NewKeyFile(path)
	if err != nil || !strings.HasPrefix(public, "age1pq") {
		t.Fatalf("%s, %v", public, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealedstore.NewKeyFile(path); err == nil {
		t.Error("a key was overwritten")
	}
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(content, again) {
		t.Errorf("the key has changed, %v", err)
	}
	hidden := bytes.TrimSpace(content[bytes.Index(content, []byte("AGE-SECRET")):])
	for name, bad := range map[string][]byte{
		"nothing": nil, "two keys": append(append(bytes.Clone(content), '\n'), hidden...), "cut": content[:len(content)-20], "public": []byte(public), "text": []byte("hunter2"),
	} {
		key, err := sealedstore.ParseKeyFile("ledger.key", bad)
		if err == nil {
			t.Errorf("%s: taken, %s", name, key)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "AGE-SECRET") || strings.Contains(err.Error(), string(hidden[20:40])) {
			t.Errorf("%s: the error holds the key: %v", name, err)
		}
	}
}

package sealedstore

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"filippo.io/age"

	"github.com/ostiary/ostiary/internal/ledger"
)

func testKeys(t testing.TB) *keys {
	t.Helper()
	k, err := derive("00112233445566778899aabbccddeeff", bytes.Repeat([]byte{7}, seedBytes))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestSeedIsCleared: the seed does not outlive the keys that are made of it.
func TestSeedIsCleared(t *testing.T) {
	t.Parallel()
	seed := bytes.Repeat([]byte{7}, seedBytes)
	if _, err := derive("id", seed); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(seed, make([]byte, seedBytes)) {
		t.Error("the seed is still there")
	}
	if _, err := derive("id", []byte("short")); err == nil {
		t.Error("a short seed was taken")
	}
}

// FuzzOpen: nothing is opened but what was sealed for the same key, whatever the bytes are.
func FuzzOpen(f *testing.F) {
	k := testKeys(f)
	good := k.seal("rev/a", []byte("value"))
	f.Add("rev/a", good)
	f.Add("rev/b", good)
	f.Add("rev/a", good[:overhead-1])
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		plain, err := k.open(key, value)
		switch {
		case err == nil && (key != "rev/a" || !bytes.Equal(value, good)):
			t.Errorf("%q was opened from %x", key, value)
		case err == nil && string(plain) != "value":
			t.Errorf("opened as %q", plain)
		case err != nil && !errors.Is(err, ErrTampered):
			t.Errorf("error %v", err)
		}
		sealed := k.seal(key, value)
		if again, err := k.open(key, sealed); err != nil || !bytes.Equal(again, value) || again == nil {
			t.Errorf("%x became %x, %v", value, again, err)
		}
	})
}

// FuzzReadSnapshot: nothing that is not a snapshot of this ledger is taken for one, and nothing makes the reader fall.
func FuzzReadSnapshot(f *testing.F) {
	key, store := fuzzKey(f), newShelf()
	if _, err := New(store, key).Commit(f.Context(), ledger.Transaction{Puts: []ledger.Record{{Key: "rev/a", Value: []byte("v")}}}); err != nil {
		f.Fatal(err)
	}
	var good bytes.Buffer
	if err := WriteSnapshot(f.Context(), store, key, &good); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:good.Len()/2])
	f.Add([]byte(snapshotMagic))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := ReadSnapshot(t.Context(), bytes.NewReader(content), key)
		if err != nil {
			return
		}
		if err := s.Each(func(_, _ ledger.Record) error { return nil }); err == nil && !bytes.Equal(content, good.Bytes()) {
			t.Errorf("taken for a snapshot: %x", content)
		}
	})
}

// fuzzKey is a key of the faster kind.
func fuzzKey(f *testing.F) *KeyFile {
	f.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	key, err := ParseKeyFile("key", []byte(identity.String()))
	if err != nil {
		f.Fatal(err)
	}
	return key
}

// shelf holds records in memory, without conditions: enough to be written once and read.
type shelf struct {
	ledger.Store
	records map[string][]byte
}

func newShelf() *shelf { return &shelf{records: make(map[string][]byte)} }

func (s *shelf) Read(_ context.Context, key string) (ledger.Record, error) {
	return ledger.Record{Key: key, Value: s.records[key]}, nil
}

func (s *shelf) List(_ context.Context, _, _ string, each func(ledger.Record) error) (int64, error) {
	for _, key := range slices.Sorted(maps.Keys(s.records)) {
		if err := each(ledger.Record{Key: key, Value: s.records[key]}); err != nil {
			return 0, err
		}
	}
	return 1, nil
}

func (s *shelf) Commit(_ context.Context, t ledger.Transaction) (int64, error) {
	for _, record := range t.Puts {
		s.records[record.Key] = record.Value
	}
	return 1, nil
}

func BenchmarkSeal(b *testing.B) {
	k, value := testKeys(b), bytes.Repeat([]byte("v"), 280)
	b.ReportAllocs()
	for b.Loop() {
		k.seal("entry/0123456789abcdef", value)
	}
}

func BenchmarkOpen(b *testing.B) {
	k := testKeys(b)
	value := k.seal("entry/0123456789abcdef", bytes.Repeat([]byte("v"), 280))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.open("entry/0123456789abcdef", value); err != nil {
			b.Fatal(err)
		}
	}
}

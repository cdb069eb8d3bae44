package sealedstore

import (
	"bytes"
	"errors"
	"testing"
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
		case err == nil && !(key == "rev/a" && bytes.Equal(value, good)):
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

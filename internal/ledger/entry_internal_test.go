package ledger

import (
	"testing"

	"github.com/ostiary/ostiary/internal/identity"
)

// FuzzEntry: what a store holds is read as one entry or refused, and an entry is read as it was written.
func FuzzEntry(f *testing.F) {
	good, err := encodeEntry(&Entry{ID: "JTI=1", Issuer: "https://issuer.example", Mechanism: identity.JWT, Username: "alice", Origin: Issued, Index: 7})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(tombstone(digestOf("JTI=1", "")))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, value []byte) {
		entry, err := decodeEntry("name", value)
		if err != nil || entry == nil {
			return
		}
		again, err := encodeEntry(entry)
		if err != nil {
			t.Fatal(err)
		}
		id, k, err := decodeHead("name", again)
		if err != nil || id != digestOf(entry.ID, entry.Issuer) || k.index() != entry.Index || k.issued() != (entry.Origin == Issued) {
			t.Errorf("%v: read %d %v, wrote %+v", err, k.index(), k.issued(), entry)
		}
	})
}

// FuzzRevocation: a record of a revocation is read whole or refused.
func FuzzRevocation(f *testing.F) {
	f.Add([]byte(`{"target":{"kind":"user","name":"alice"},"reason":"left","actor":{"username":"guard"},"created":"2026-01-01T00:00:00Z","index":1}`))
	f.Add([]byte(`{"target":{"kind":"user","name":""}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := decodeRevocation("r-aaaaaaaaaa", value)
		if err == nil && r.Target.check() != nil {
			t.Errorf("%+v was read", r)
		}
	})
}

// TestIndexAndBucket: neither touches the other, up to the last index there is.
func TestIndexAndBucket(t *testing.T) {
	t.Parallel()
	for _, index := range []uint64{0, 1, 1 << 32, lastIndex} {
		for _, issued := range []bool{false, true} {
			k := knownOf(index, issued).in(255)
			if k.index() != index || k.issued() != issued || k.bucket() != 255 || k.in(0) != knownOf(index, issued) {
				t.Errorf("index %d, issued %v: %x", index, issued, uint64(k))
			}
		}
	}
}

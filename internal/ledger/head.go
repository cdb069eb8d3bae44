package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// actKey is where each act's digest stands, by its index, so that a later head can be shown to extend an earlier one.
const actKey = "act/"

// sum is a digest of 32 bytes, or several added up.
type sum [sha256.Size]byte

// MarshalText implements encoding.TextMarshaler.
func (s sum) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(s[:])), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *sum) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(s) {
		return fmt.Errorf("not a digest: %d characters", len(text))
	}
	*s = sum(raw)
	return nil
}

// words are the parts of a sum, the least first, as numbers that carry.
func (s *sum) words() (w [4]uint64) {
	for i := range w {
		w[i] = binary.LittleEndian.Uint64(s[8*i:])
	}
	return w
}

// plus adds a digest, so that the order of several does not matter. What they are of is not known to who could want two sets
// to come to the same: it is sealed.
func (s sum) plus(other sum) sum {
	a, b, carry := s.words(), other.words(), uint64(0)
	for i := range a {
		a[i], carry = bits.Add64(a[i], b[i], carry)
		binary.LittleEndian.PutUint64(s[8*i:], a[i])
	}
	return s
}

// minus takes one off again.
func (s sum) minus(other sum) sum {
	a, b, borrow := s.words(), other.words(), uint64(0)
	for i := range a {
		a[i], borrow = bits.Sub64(a[i], b[i], borrow)
		binary.LittleEndian.PutUint64(s[8*i:], a[i])
	}
	return s
}

// digestParts digests parts, each after its length.
func digestParts(parts ...[]byte) sum {
	hash := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		hash.Write(length[:])
		hash.Write(part)
	}
	return sum(hash.Sum(nil))
}

// recordSum is the digest of a record.
func recordSum(key string, value []byte) sum { return digestParts([]byte(key), value) }

// head is what all acts come to. Every act rewrites it.
type head struct {
	// Index counts the acts: it is the ledger's order.
	Index uint64 `json:"index"`
	// Chain is a digest of all acts in that order.
	Chain sum `json:"chain"`
	// Standing adds up the revocations that stand, so that one that is missing is noticed.
	Standing sum `json:"standing"`
	// Epoch is when a rollback was accepted last, in Unix seconds, and greater than all before; 0 if there was none.
	Epoch int64 `json:"epoch,omitempty"`
}

// act is what is kept of an act beside what it wrote.
type act struct {
	Chain sum `json:"chain"`
	// Rollback says that the act was to accept that the ledger was rolled back; nil for all others.
	Rollback *rollback `json:"rollback,omitempty"`
}

// rollback is how a ledger that was rolled back came to count again.
type rollback struct {
	// From is the index that it was rolled back to.
	From   uint64    `json:"from"`
	Reason string    `json:"reason"`
	Actor  Actor     `json:"actor"`
	At     time.Time `json:"at"`
}

// actName is the key of the act at an index.
func actName(index uint64) string { return fmt.Sprintf("%s%016x", actKey, index) }

// readHead reads what all acts come to, and the record that says so.
func readHead(ctx context.Context, read func(context.Context, string) (Record, error)) (Record, head, error) {
	var now head
	record, err := read(ctx, headKey)
	if err != nil || record.Value == nil {
		return record, now, err
	}
	err = decode(headKey, record.Value, &now)
	return record, now, err
}

// stand is a head with the record that says so, whose revision tells whether it still is the last one. Its value is not kept.
type stand struct {
	record Record
	head   head
}

// readStand asks the store for the head.
func (l *Ledger) readStand(ctx context.Context) (*stand, error) {
	record, now, err := readHead(ctx, l.ask)
	return &stand{record, now}, err
}

// seal adds to an act's transaction the head that follows from it, and returns that too.
func (h head) seal(before Record, t Transaction, back *rollback) (sealed Transaction, next head, err error) {
	next = head{Index: h.Index + 1, Standing: h.Standing, Epoch: h.Epoch}
	parts := [][]byte{h.Chain[:], binary.BigEndian.AppendUint64(nil, next.Index)}
	for _, record := range t.Puts {
		parts = append(parts, []byte("put"), []byte(record.Key), record.Value)
		if strings.HasPrefix(record.Key, revocationKey) {
			next.Standing = next.Standing.plus(recordSum(record.Key, record.Value))
		}
	}
	for _, key := range t.Deletes {
		parts = append(parts, []byte("delete"), []byte(key))
	}
	for _, record := range t.Unchanged { // a revocation that the act ends or replaces stands there as it was
		if strings.HasPrefix(record.Key, revocationKey) && record.Revision != 0 {
			next.Standing = next.Standing.minus(recordSum(record.Key, record.Value))
		}
	}
	if back != nil {
		next.Epoch = max(h.Epoch+1, back.epoch())
		parts = append(parts, []byte("rollback"), binary.BigEndian.AppendUint64(nil, uint64(next.Epoch))) //nolint:gosec // of a clock after 1970
	}
	next.Chain = digestParts(parts...)
	for _, record := range []struct {
		key   string
		value any
	}{{headKey, next}, {actName(next.Index), act{Chain: next.Chain, Rollback: back}}} {
		text, err := json.Marshal(record.value)
		if err != nil {
			return t, next, fmt.Errorf("ledger: %w", err)
		}
		t.Puts = append(t.Puts, Record{Key: record.key, Value: text})
	}
	t.Unchanged = append(t.Unchanged, before)
	t.Essential = true // a store that is full must not keep anybody from being shut out
	return t, next, nil
}

// proof is the record that tells whether a transaction was written: its act's, whose digest is of all that it wrote, or, where it is
// none, the one that it made.
func (t *Transaction) proof() Record {
	if last := t.Puts[len(t.Puts)-1]; strings.HasPrefix(last.Key, actKey) {
		return last
	}
	return t.Puts[0]
}

// take reads the head's record, if it is that.
func (h *head) take(record Record) error {
	if record.Key != headKey {
		return nil
	}
	*h = head{}
	if record.Value == nil {
		return nil
	}
	return decode(headKey, record.Value, h)
}

// take notes the head with its revision, if the record is that.
func (s *stand) take(record Record) error {
	if record.Key != headKey {
		return nil
	}
	s.record = Record{Key: headKey, Revision: record.Revision}
	return s.head.take(record)
}

// unsoundError says that the store was read, and that what is in it must not be judged by.
type unsoundError struct{ cause error }

// Error implements error.
func (e *unsoundError) Error() string { return e.cause.Error() }

// Unwrap gives the cause.
func (e *unsoundError) Unwrap() error { return e.cause }

// unsound marks an error about what is in the store.
func unsound(err error) error {
	if err == nil {
		return nil
	}
	return &unsoundError{err}
}

// ErrIncomplete says that the revocations that stand are not those that the head was written for: somebody removed one, or
// put one back, past the ledger.
var ErrIncomplete = errors.New("the revocations in the store are not those that were written: it was tampered with")

// whole returns an error unless revocations that come to total are those of the head.
func (h head) whole(total sum) error {
	if total != h.Standing {
		return fmt.Errorf("ledger: %w; restore a snapshot, or see docs/ledger-store.md", ErrIncomplete)
	}
	return nil
}

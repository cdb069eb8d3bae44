package sealedstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/ledger"
)

// Where the seal's own records stand, in clear.
const (
	metaKey = "meta"
	seedKey = "seed/1"
)

const (
	// idBytes is the length of a ledger's id.
	idBytes = 16
	// seedMark begins what is wrapped, so that nothing else that the same key wrapped can be taken for a seed.
	seedMark = "ostiary ledger seed v1\x00"
)

// Wrapper keeps the key by which the seed is wrapped. It is asked at the start only.
type Wrapper interface {
	// Wrap encrypts a seed.
	Wrap(ctx context.Context, seed []byte) ([]byte, error)
	// Unwrap returns what Wrap was given. Its error says why it cannot, and wraps ErrKey where it is another key's.
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
	// String names it for people, without anything that is secret.
	String() string
}

// meta says what ledger this is.
type meta struct {
	// Ledger is random, in hex.
	Ledger  string    `json:"ledger"`
	Schema  int       `json:"schema"`
	Created time.Time `json:"created"`
}

// wrappedSeed is the seed as it stands in the store.
type wrappedSeed struct {
	Wrapped []byte    `json:"wrapped"`
	By      string    `json:"by"` // for people
	At      time.Time `json:"at"`
}

// isOwn reports whether a record is the seal's, and not the ledger's.
func isOwn(key string) bool { return key == metaKey || strings.HasPrefix(key, "seed/") }

// errEnough ends a listing.
var errEnough = errors.New("sealedstore: enough")

// open reads the seed, or makes one in a store that is empty.
func open(ctx context.Context, store ledger.Store, wrapper Wrapper) (*keys, error) {
	for {
		stated, seed, err := readOwn(ctx, store)
		if err != nil {
			return nil, err
		}
		if stated.Value != nil {
			return unwrap(ctx, stated, seed, wrapper)
		}
		made, err := create(ctx, store, wrapper, stated, seed)
		if errors.Is(err, ledger.ErrConflict) {
			continue // another replica was faster
		}
		return made, err
	}
}

// readOwn reads the seal's own records. Either both are there, or none is and the store is empty.
func readOwn(ctx context.Context, store ledger.Store) (stated, seed ledger.Record, err error) {
	if stated, err = store.Read(ctx, metaKey); err != nil {
		return stated, seed, err
	}
	if seed, err = store.Read(ctx, seedKey); err != nil {
		return stated, seed, err
	}
	if stated.Value != nil && seed.Value != nil {
		return stated, seed, nil
	}
	_, err = store.List(ctx, "", "", func(r ledger.Record) error { return fmt.Errorf("%w: %q", errEnough, r.Key) })
	if !errors.Is(err, errEnough) {
		return stated, seed, err
	}
	// Another replica may have written both between the readings: they come in one transaction, before all else.
	if stated, err = store.Read(ctx, metaKey); err != nil {
		return stated, seed, err
	}
	if seed, err = store.Read(ctx, seedKey); err != nil {
		return stated, seed, err
	}
	if stated.Value == nil || seed.Value == nil {
		return stated, seed, fmt.Errorf("sealedstore: %w (%s or %s is missing): restore a snapshot; if these records are not a ledger's, name another prefix or folder",
			ErrUnsealed, metaKey, seedKey)
	}
	return stated, seed, nil
}

// unwrap makes the keys of a ledger that is there.
func unwrap(ctx context.Context, stated, seed ledger.Record, wrapper Wrapper) (*keys, error) {
	m, err := decodeMeta(stated.Value)
	if err != nil {
		return nil, err
	}
	var w wrappedSeed
	if err := decode(seedKey, seed.Value, &w); err != nil {
		return nil, err
	}
	plain, err := wrapper.Unwrap(ctx, w.Wrapped)
	if err != nil {
		return nil, fmt.Errorf("sealedstore: %s does not open the ledger, which was sealed for %s: %w", wrapper, w.By, err)
	}
	defer clear(plain)
	raw, found := bytes.CutPrefix(plain, []byte(seedMark))
	if found {
		raw, found = bytes.CutPrefix(raw, []byte(m.Ledger))
	}
	if !found {
		return nil, fmt.Errorf("sealedstore: %s: %w", seedKey, ErrTampered)
	}
	return derive(m.Ledger, bytes.Clone(raw))
}

// decodeMeta reads what ledger it is.
func decodeMeta(value []byte) (*meta, error) {
	m := new(meta)
	if err := decode(metaKey, value, m); err != nil {
		return nil, err
	}
	if m.Schema != schema {
		return nil, fmt.Errorf("sealedstore: the ledger has schema %d, and this version knows %d only; run the version that wrote it", m.Schema, schema)
	}
	if id, err := hex.DecodeString(m.Ledger); err != nil || len(id) != idBytes {
		return nil, fmt.Errorf("sealedstore: %s: %q is not a ledger's id", metaKey, m.Ledger)
	}
	return m, nil
}

// decode reads one of the seal's own records, strictly.
func decode(key string, value []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("sealedstore: record %s cannot be read: %w", key, err)
	}
	return nil
}

// create makes a ledger in a store that is empty.
func create(ctx context.Context, store ledger.Store, wrapper Wrapper, stated, seed ledger.Record) (*keys, error) {
	id, raw := make([]byte, idBytes), make([]byte, seedBytes)
	_, _ = rand.Read(id) // never fails (Go 1.24)
	_, _ = rand.Read(raw)
	defer clear(raw)
	m := meta{Ledger: hex.EncodeToString(id), Schema: schema, Created: time.Now().UTC().Truncate(time.Second)}
	stating, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("sealedstore: %w", err)
	}
	wrapped, err := wrap(ctx, wrapper, m.Ledger, raw)
	if err != nil {
		return nil, err
	}
	if _, err := store.Commit(ctx, ledger.Transaction{
		Unchanged: []ledger.Record{stated, seed}, Puts: []ledger.Record{{Key: metaKey, Value: stating}, {Key: seedKey, Value: wrapped}},
	}); err != nil {
		return nil, err
	}
	return derive(m.Ledger, bytes.Clone(raw))
}

// wrap makes the record of a seed.
func wrap(ctx context.Context, wrapper Wrapper, id string, seed []byte) ([]byte, error) {
	plain := append(append([]byte(seedMark), id...), seed...)
	defer clear(plain)
	w := wrappedSeed{By: wrapper.String(), At: time.Now().UTC().Truncate(time.Second)}
	var err error
	if w.Wrapped, err = wrapper.Wrap(ctx, plain); err != nil {
		return nil, fmt.Errorf("sealedstore: %s: %w", wrapper, err)
	}
	record, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("sealedstore: %w", err)
	}
	return record, nil
}

// Rewrap wraps the seed of the ledger in inner by another key. From then on only that one opens it; whoever has it open
// already is not disturbed.
func Rewrap(ctx context.Context, inner ledger.Store, from, to Wrapper) error {
	stated, seed, err := readOwn(ctx, inner)
	if err != nil {
		return err
	}
	if stated.Value == nil {
		return fmt.Errorf("sealedstore: %w", ErrEmpty)
	}
	m, err := decodeMeta(stated.Value)
	if err != nil {
		return err
	}
	var w wrappedSeed
	if err := decode(seedKey, seed.Value, &w); err != nil {
		return err
	}
	plain, err := from.Unwrap(ctx, w.Wrapped)
	if err != nil {
		return fmt.Errorf("sealedstore: %s does not open the ledger, which was sealed for %s: %w", from, w.By, err)
	}
	defer clear(plain)
	start := len(seedMark) + len(m.Ledger)
	if len(plain) != start+seedBytes || string(plain[:start]) != seedMark+m.Ledger {
		return fmt.Errorf("sealedstore: %s: %w", seedKey, ErrTampered)
	}
	record, err := wrap(ctx, to, m.Ledger, plain[start:])
	if err != nil {
		return err
	}
	written := ledger.Record{Key: seedKey, Value: record}
	if _, err := unwrap(ctx, stated, written, to); err != nil {
		return err // what cannot be opened again is not written
	}
	_, err = inner.Commit(ctx, ledger.Transaction{Unchanged: []ledger.Record{stated, seed}, Puts: []ledger.Record{written}, Essential: true})
	return err
}

// ErrEmpty says that there is no ledger in the store yet.
var ErrEmpty = errors.New("the store is empty: there is no ledger in it")

// Check returns an error unless wrapper opens the ledger's seed.
func (s *Store) Check(ctx context.Context, wrapper Wrapper) error {
	stated, seed, err := readOwn(ctx, s.inner)
	if err != nil || stated.Value == nil {
		return err
	}
	_, err = unwrap(ctx, stated, seed, wrapper)
	return err
}

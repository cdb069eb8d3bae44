package sealedstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ostiary/ostiary/internal/ledger"
)

// Errors of a Store, for errors.Is. All of them need a person.
var (
	// ErrKey says that the key does not open this ledger's seed.
	ErrKey = errors.New("the key does not open this ledger")
	// ErrUnsealed says that there are records, and nothing that they could be opened by.
	ErrUnsealed = errors.New("the store holds records without the seed that they are sealed by")
	// ErrTampered says that a record was not written by this ledger under this key.
	ErrTampered = errors.New("the record cannot be opened: it was changed, moved from another key, or comes from another ledger")
)

// errName keeps a record from being written under a key that a name is missing of.
var errName = errors.New("sealedstore: a part of the key is empty")

// Store is a ledger.Store that seals values. It opens the seed when it is first used, and again until that succeeds: a store
// that cannot be reached when the gate starts is no reason to end. It is safe for concurrent use.
type Store struct {
	inner   ledger.Store
	wrapper Wrapper
	mu      sync.Mutex // one opens, others wait
	opened  atomic.Pointer[keys]
}

var _ ledger.Store = (*Store)(nil)

// New returns a store that seals what it hands on to inner, and has its seed from wrapper.
func New(inner ledger.Store, wrapper Wrapper) *Store { return &Store{inner: inner, wrapper: wrapper} }

// Existing returns a store as New does, which is open; ErrEmpty where there is no ledger to open.
func Existing(ctx context.Context, inner ledger.Store, wrapper Wrapper) (*Store, error) {
	stated, _, err := readOwn(ctx, inner)
	if err == nil && stated.Value == nil {
		err = fmt.Errorf("sealedstore: %w", ErrEmpty)
	}
	if err != nil {
		return nil, err
	}
	s := New(inner, wrapper)
	return s, s.Open(ctx)
}

// Open reads the seed, and makes one in a store that is empty. It does so once; other methods call it by themselves.
func (s *Store) Open(ctx context.Context) error {
	_, err := s.keys(ctx)
	return err
}

// LedgerID returns the random id of the ledger, which tells it from any other, or empty before it was opened.
func (s *Store) LedgerID() string {
	if opened := s.opened.Load(); opened != nil {
		return opened.ledger
	}
	return ""
}

// Hide returns what stands for a name in a key: the same for the same parts, and of no use to whoever does not have the
// ledger's key. It is empty before the store was opened; a key with an empty part is refused.
func (s *Store) Hide(parts ...string) string {
	if opened := s.opened.Load(); opened != nil {
		return opened.hide(parts...)
	}
	return ""
}

// keys returns the keys, and opens the seed if that is not done yet.
func (s *Store) keys(ctx context.Context) (*keys, error) {
	if opened := s.opened.Load(); opened != nil {
		return opened, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if opened := s.opened.Load(); opened != nil {
		return opened, nil
	}
	opened, err := open(ctx, s.inner, s.wrapper)
	if err != nil {
		return nil, err
	}
	s.opened.Store(opened)
	return opened, nil
}

// List implements ledger.Store.
func (s *Store) List(ctx context.Context, prefix, after string, each func(ledger.Record) error) (int64, error) {
	k, err := s.keys(ctx)
	if err != nil {
		return 0, err
	}
	return s.inner.List(ctx, prefix, after, func(record ledger.Record) error {
		if isOwn(record.Key) {
			return nil
		}
		record, err := k.openOwn(record)
		if err != nil {
			return err
		}
		return each(record)
	})
}

// Scan implements ledger.Store.
func (s *Store) Scan(ctx context.Context, span ledger.Span, each func(ledger.Record) error) (ledger.Scanned, error) {
	k, err := s.keys(ctx)
	if err != nil {
		return ledger.Scanned{}, err
	}
	scanned, err := s.inner.Scan(ctx, span, func(record ledger.Record) error {
		if isOwn(record.Key) {
			return nil
		}
		record, err := k.openOwn(record)
		if err != nil {
			return err
		}
		return each(record)
	})
	for _, own := range [...]string{metaKey, seedKey} { // both are there, or the store would not be open
		if span.From <= own && (span.To == "" || own < span.To) {
			scanned.Count--
		}
	}
	return scanned, err
}

// Watch implements ledger.Store.
func (s *Store) Watch(ctx context.Context, prefix string, after int64, each func(ledger.Change) error) error {
	k, err := s.keys(ctx)
	if err != nil {
		return err
	}
	return s.inner.Watch(ctx, prefix, after, func(change ledger.Change) error {
		records := make([]ledger.Record, 0, len(change.Records))
		for _, record := range change.Records {
			if isOwn(record.Key) {
				continue
			}
			record, err := k.openRecord(record)
			if err != nil {
				return err
			}
			records = append(records, record)
		}
		if len(records) == 0 {
			return nil // the seed was wrapped anew: of no concern to the ledger
		}
		change.Records = records
		return each(change)
	})
}

// Read implements ledger.Store.
func (s *Store) Read(ctx context.Context, key string) (ledger.Record, error) {
	k, err := s.keys(ctx)
	if err != nil {
		return ledger.Record{}, err
	}
	if isOwn(key) {
		return ledger.Record{}, errOwn(key)
	}
	record, err := s.inner.Read(ctx, key)
	if err != nil {
		return ledger.Record{}, err
	}
	return k.openRecord(record)
}

// Commit implements ledger.Store.
func (s *Store) Commit(ctx context.Context, t ledger.Transaction) (int64, error) {
	k, err := s.keys(ctx)
	if err != nil {
		return 0, err
	}
	sealed := t
	sealed.Puts = make([]ledger.Record, len(t.Puts))
	for i, record := range t.Puts {
		if err := check(record.Key); err != nil {
			return 0, err
		}
		sealed.Puts[i] = ledger.Record{Key: record.Key, Value: k.seal(record.Key, record.Value)}
	}
	for _, key := range t.Deletes {
		if err := check(key); err != nil {
			return 0, err
		}
	}
	return s.inner.Commit(ctx, sealed)
}

// check refuses keys that are not the ledger's to write.
func check(key string) error {
	switch {
	case isOwn(key):
		return errOwn(key)
	case key == "", strings.HasPrefix(key, "/"), strings.HasSuffix(key, "/"), strings.Contains(key, "//"):
		return fmt.Errorf("%w: %q", errName, key)
	default:
		return nil
	}
}

func errOwn(key string) error {
	return fmt.Errorf("sealedstore: %s is a record of the seal's own", key)
}

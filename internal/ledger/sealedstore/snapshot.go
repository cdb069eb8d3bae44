package sealedstore

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/ostiary/ostiary/internal/ledger"
)

// A snapshot is: the magic; records, each the length of its key, the key, the length of its value and the value, the seal's own
// first; an empty key; and an HMAC-SHA-256 of all that. Values are sealed as they are in the store, and the HMAC is under a
// key that follows from the seed, so that nobody without the ledger's key can take a record out.
const (
	snapshotMagic = "ostiary ledger snapshot 1\n"
	snapshotInfo  = "ostiary ledger v1: snapshots"
	// maxKey and maxValue bound what a snapshot may make a reader hold: far above what a ledger writes.
	maxKey   = 64 << 10
	maxValue = 8 << 20
)

// Errors of snapshots, for errors.Is.
var (
	// ErrSnapshot says that a file is no snapshot, or damaged.
	ErrSnapshot = errors.New("not a whole snapshot of a ledger")
	// ErrNotEmpty says that something is where a ledger is to be put.
	ErrNotEmpty = errors.New("the store is not empty")
)

// fleeting reports whether a record is about gates that run, and of no use later.
func fleeting(key string) bool {
	for _, prefix := range [...]string{"replica/", "ask/", "answer/"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// WriteSnapshot writes all records of the ledger in inner, as they were at one revision, to w.
func WriteSnapshot(ctx context.Context, inner ledger.Store, wrapper Wrapper, w io.Writer) error {
	stated, seed, err := readOwn(ctx, inner)
	if err != nil {
		return err
	}
	if stated.Value == nil {
		return fmt.Errorf("sealedstore: %w", ErrEmpty)
	}
	k, err := unwrap(ctx, stated, seed, wrapper)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(w)
	mac := hmac.New(sha256.New, k.snapshots)
	out := io.MultiWriter(buffered, mac)
	if _, err := io.WriteString(out, snapshotMagic); err != nil {
		return err
	}
	for _, own := range [...]ledger.Record{stated, seed} {
		if err := writeFrame(out, own); err != nil {
			return err
		}
	}
	if _, err := inner.List(ctx, "", "", func(r ledger.Record) error {
		if isOwn(r.Key) || fleeting(r.Key) {
			return nil
		}
		return writeFrame(out, r)
	}); err != nil {
		return err
	}
	if err := writeFrame(out, ledger.Record{}); err != nil {
		return err
	}
	if _, err := buffered.Write(mac.Sum(nil)); err != nil {
		return err
	}
	return buffered.Flush()
}

// writeFrame writes one record; one without a key ends them.
func writeFrame(w io.Writer, r ledger.Record) error {
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(r.Key))) //nolint:gosec // maxKey
	frame = append(frame, r.Key...)
	if r.Key != "" {
		frame = binary.BigEndian.AppendUint32(frame, uint32(len(r.Value))) //nolint:gosec // maxValue
		frame = append(frame, r.Value...)
	}
	_, err := w.Write(frame)
	return err
}

// Snapshot is a snapshot that is being read.
type Snapshot struct {
	keys *keys
	own  [2]ledger.Record
	in   *snapshotReader
}

// ReadSnapshot begins to read a snapshot, and opens its seed.
func ReadSnapshot(ctx context.Context, r io.Reader, wrapper Wrapper) (*Snapshot, error) {
	s := &Snapshot{in: &snapshotReader{r: bufio.NewReader(r)}}
	magic := make([]byte, len(snapshotMagic))
	if err := s.in.full(magic); err != nil || string(magic) != snapshotMagic {
		return nil, fmt.Errorf("sealedstore: %w: it does not begin as one", ErrSnapshot)
	}
	for i, key := range [...]string{metaKey, seedKey} {
		var err error
		if s.own[i], err = s.in.frame(); err != nil {
			return nil, err
		}
		if s.own[i].Key != key {
			return nil, fmt.Errorf("sealedstore: %w: it has no %s", ErrSnapshot, key)
		}
	}
	var err error
	s.keys, err = unwrap(ctx, s.own[0], s.own[1], wrapper)
	return s, err
}

// LedgerID is the id of the ledger that it is of.
func (s *Snapshot) LedgerID() string { return s.keys.ledger }

// Each hands on every record, sealed as it stands in a store, and opened. It returns nil once the file was read to its end, and
// found to be whole: what was handed on before counts only then.
func (s *Snapshot) Each(each func(raw, opened ledger.Record) error) error {
	mac := hmac.New(sha256.New, s.keys.snapshots)
	mac.Write(s.in.seen.Bytes())
	s.in.mac = mac
	last := ""
	for {
		raw, err := s.in.frame()
		if err != nil {
			return err
		}
		if raw.Key == "" {
			break
		}
		if raw.Key <= last || isOwn(raw.Key) {
			return fmt.Errorf("sealedstore: %w: record %q is out of order", ErrSnapshot, raw.Key)
		}
		last = raw.Key
		opened, err := s.keys.openRecord(raw)
		if err != nil {
			return err
		}
		if err := each(raw, opened); err != nil {
			return err
		}
	}
	want := mac.Sum(nil)
	s.in.mac = nil
	got := make([]byte, len(want))
	if err := s.in.full(got); err != nil || !hmac.Equal(want, got) {
		return fmt.Errorf("sealedstore: %w: its end is missing, or records were changed", ErrSnapshot)
	}
	if _, err := s.in.r.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("sealedstore: %w: something comes after its end", ErrSnapshot)
	}
	return nil
}

// snapshotReader reads frames, and takes note of what it read: before the keys are known in seen, and then in mac.
type snapshotReader struct {
	r    *bufio.Reader
	seen bytes.Buffer
	mac  hash.Hash
}

// note takes note of what was read.
func (s *snapshotReader) note(p []byte) {
	if s.mac != nil {
		s.mac.Write(p)
		return
	}
	s.seen.Write(p)
}

// full fills p.
func (s *snapshotReader) full(p []byte) error {
	if _, err := io.ReadFull(s.r, p); err != nil {
		return fmt.Errorf("sealedstore: %w: it is cut off", ErrSnapshot)
	}
	s.note(p)
	return nil
}

// bytes reads a length and as many bytes.
func (s *snapshotReader) bytes(limit int64) ([]byte, error) {
	var length [4]byte
	if err := s.full(length[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if n > limit {
		return nil, fmt.Errorf("sealedstore: %w: it is damaged", ErrSnapshot)
	}
	var out bytes.Buffer // grown as it comes: a length alone takes no memory
	if _, err := io.CopyN(&out, s.r, n); err != nil {
		return nil, fmt.Errorf("sealedstore: %w: it is cut off", ErrSnapshot)
	}
	s.note(out.Bytes())
	return out.Bytes(), nil
}

// frame reads one record; one without a key is the end.
func (s *snapshotReader) frame() (ledger.Record, error) {
	key, err := s.bytes(maxKey)
	if err != nil || len(key) == 0 {
		return ledger.Record{}, err
	}
	value, err := s.bytes(maxValue)
	if err != nil {
		return ledger.Record{}, err
	}
	if value == nil {
		value = []byte{}
	}
	return ledger.Record{Key: string(key), Value: value}, nil
}

// A copy writes several records at once, below what etcd takes in one transaction.
const (
	copyRecords = 100
	copyBytes   = 1 << 20
)

// Copier puts the sealed records of a ledger into a store that is empty. What was put there counts only after Finish: before,
// the store cannot be opened.
type Copier struct {
	to      ledger.Store
	own     []ledger.Record
	pending ledger.Transaction
	bytes   int
}

// NewCopier returns a copier into a store, which must be empty.
func NewCopier(ctx context.Context, to ledger.Store) (*Copier, error) {
	_, err := to.List(ctx, "", "", func(r ledger.Record) error { return fmt.Errorf("%w: it holds %q", errEnough, r.Key) })
	if errors.Is(err, errEnough) {
		return nil, fmt.Errorf("sealedstore: %w; name one that is, or remove what is in it", ErrNotEmpty)
	}
	return &Copier{to: to, pending: ledger.Transaction{Essential: true}}, err
}

// Put takes a record as it stands in a store.
func (c *Copier) Put(ctx context.Context, raw ledger.Record) error {
	if isOwn(raw.Key) {
		c.own = append(c.own, ledger.Record{Key: raw.Key, Value: raw.Value})
		return nil
	}
	if fleeting(raw.Key) {
		return nil
	}
	if len(c.pending.Puts) >= copyRecords || c.bytes+len(raw.Value) > copyBytes {
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	c.pending.Puts = append(c.pending.Puts, ledger.Record{Key: raw.Key, Value: raw.Value})
	c.bytes += len(raw.Key) + len(raw.Value)
	return nil
}

func (c *Copier) flush(ctx context.Context) error {
	if len(c.pending.Puts) == 0 {
		return nil
	}
	_, err := c.to.Commit(ctx, c.pending)
	c.pending.Puts, c.bytes = nil, 0
	return err
}

// Finish writes what makes the store one that can be opened.
func (c *Copier) Finish(ctx context.Context) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	c.pending.Puts = c.own
	return c.flush(ctx)
}

// Restore puts a snapshot into a store that is empty. The snapshot must have been found whole before, by another reading.
func (s *Snapshot) Restore(ctx context.Context, to ledger.Store) error {
	c, err := NewCopier(ctx, to)
	if err != nil {
		return err
	}
	for _, own := range s.own {
		if err := c.Put(ctx, own); err != nil {
			return err
		}
	}
	if err := s.Each(func(raw, _ ledger.Record) error { return c.Put(ctx, raw) }); err != nil {
		return err
	}
	return c.Finish(ctx)
}

// Copy puts the ledger in one store into another that is empty, sealed as it is.
func Copy(ctx context.Context, from, to ledger.Store) error {
	c, err := NewCopier(ctx, to)
	if err != nil {
		return err
	}
	if _, err := from.List(ctx, "", "", func(r ledger.Record) error { return c.Put(ctx, r) }); err != nil {
		return err
	}
	if len(c.own) == 0 {
		return fmt.Errorf("sealedstore: %w", ErrEmpty)
	}
	return c.Finish(ctx)
}

// snapshotKey follows from a seed.
func snapshotKey(id string, seed []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, seed, []byte(id), snapshotInfo, seedBytes)
}

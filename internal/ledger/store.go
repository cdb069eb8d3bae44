package ledger

import (
	"context"
	"errors"
	"fmt"
)

// Errors of a Store, for errors.Is.
var (
	// ErrConflict: a condition of a transaction did not hold; nothing was written.
	ErrConflict = errors.New("the store changed meanwhile")
	// ErrCompacted: the changes asked for are not kept any more; list anew.
	ErrCompacted = errors.New("the store no longer keeps these changes")
	// ErrFull: the store takes no more.
	ErrFull = errors.New("the store is full")
	// ErrReserved: the space that is left is kept for transactions that are essential. It is an ErrFull, too.
	ErrReserved = fmt.Errorf("%w: what is left is kept for revocations", ErrFull)
)

// Record is a key with its value.
type Record struct {
	Key   string
	Value []byte // nil: there is none, or none any more
	// Revision is that of the write which made the value; 0 where there never was one.
	Revision int64
	// Created is that of the write since which it has been there without a break: Revision where that write made it. 0 where it is
	// not there.
	Created int64
}

// Change is all that one transaction wrote.
type Change struct {
	Revision int64
	Records  []Record
}

// Transaction is written as a whole or not at all.
type Transaction struct {
	// Unchanged are records as they were read; if one has another revision now, nothing is written. Values are not looked at.
	Unchanged []Record
	Puts      []Record // revisions are not looked at
	Deletes   []string
	// Essential transactions may use the last of the store's space: revocations, their ends, and what replicas say of
	// themselves. Others get ErrReserved before it is used up.
	Essential bool
}

// Span is a part of a store's records, by key.
type Span struct {
	// From is the least key, To the first one after the last. Empty is no bound.
	From, To string
	// Since leaves out what was not written after that revision. 0 leaves out nothing; At leaves out everything, and only counts.
	Since int64
	// At is the revision as of which the records are looked at; 0 is the present one.
	At int64
}

// Scanned says what a span was looked at.
type Scanned struct {
	// Revision is that as of which it was.
	Revision int64
	// Count is how many records the span had then, those that were left out included.
	Count int64
}

// Store keeps the ledger's truth. Revisions rise with every transaction. It is safe for concurrent use.
type Store interface {
	// List hands every record below prefix to each, by key, as they were at one revision, which it returns. Keys up to after
	// are left out, if that is not empty. It ends with the first error that each returns. The records' values are
	// each's own, here and with Scan: it may write into them.
	List(ctx context.Context, prefix, after string, each func(Record) error) (revision int64, err error)
	// Scan hands every record of a span to each, as they were at one revision. It ends with the first error that each returns; it is
	// ErrCompacted where that revision is not kept any more. Where few records were written since Span.Since it costs far less than to
	// read them all; the span itself should have no more than some ten thousand.
	Scan(ctx context.Context, span Span, each func(Record) error) (Scanned, error)
	// Watch hands on every change below prefix after a revision, in order and whole, until ctx ends, each fails or the store
	// does. It returns the reason, ErrCompacted where a listing is due. That it stands says nothing about how fresh
	// it is: a store that lost its quorum keeps watches open.
	Watch(ctx context.Context, prefix string, after int64, each func(Change) error) error
	// Read reads a key linearizably: it sees every transaction that was committed before the call.
	Read(ctx context.Context, key string) (Record, error)
	// Commit writes, and returns the transaction's revision. After an error other than ErrConflict and ErrFull it may have
	// been written all the same.
	Commit(ctx context.Context, t Transaction) (revision int64, err error)
}

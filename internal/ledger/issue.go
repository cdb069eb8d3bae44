package ledger

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
)

// maxWith bounds the records that are written together with an entry, so that a transaction stays below what etcd takes.
const maxWith = 8

// Errors of Issue beside those of Record.
var (
	// ErrTaken says that there is a credential of that id already.
	ErrTaken = errors.New("there is a credential of this id on record")
	// errWith refuses what would not be part of an issue.
	errWith = errors.New("ledger: an issue writes one to eight records of parts beside its entry")
)

// Issue puts a credential on record that is about to be made, and writes records of parts in the same transaction. It returns
// once this replica has taken them in, so that what is made afterwards is known here at once. After an error they may stand, and
// the credential must not be made.
func (l *Ledger) Issue(ctx context.Context, entry *Entry, with ...Record) error {
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	if err := entry.Check(); err != nil {
		return err
	}
	if len(with) == 0 || len(with) > maxWith {
		return errWith
	}
	id := digestOf(entry.ID, entry.Issuer)
	if l.mirror.has(id) {
		return ErrTaken
	}
	one, err := l.recorder.enqueue(&newcomer{entry: entry, id: id, with: with})
	if err != nil {
		return err
	}
	select {
	case <-one.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if one.err != nil {
		return one.err
	}
	return l.await(ctx, func() bool { return l.applied >= one.revision })
}

// Shut returns the name of a revocation that a credential would fall under if it were put on record now, before it is made; empty
// if there is none. It judges by what this replica knows.
func (l *Ledger) Shut(cred *authn.Credential) string {
	m := l.mirror
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.look(cred, facts{issued: unix(cred.NotBefore, math.MinInt64), now: time.Now().Unix(), entry: knownOf(lastIndex, true), recorded: true})
}

// Falls returns the name of a revocation that a credential falls under; empty if there is none. It judges by what this replica
// knows.
func (l *Ledger) Falls(cred *authn.Credential) string {
	return l.mirror.find(cred, time.Now()).revocation
}

// CatchUp reads a record of a part past this replica's memory, and returns once the part has taken in what was read. It reports
// whether there is one.
func (l *Ledger) CatchUp(ctx context.Context, prefix, name string) (there bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, freshFor)
	defer cancel()
	record, err := l.ask(ctx, prefix+name)
	if err != nil || record.Value == nil {
		return false, err
	}
	return true, l.await(ctx, func() bool { return l.applied >= record.Revision })
}

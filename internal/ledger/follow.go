package ledger

import (
	"context"
	"strings"
	"time"
)

// Event is a change of a revocation or an entry.
type Event struct {
	Revision int64
	// Gone says that it is no longer there: lifted, or removed. Only its name is known then.
	Gone bool
	Name string
	// Revocation or Entry is what there is now.
	Revocation *Revocation
	Entry      *Standing
}

// FollowRevocations hands on every change of the revocations that stand, after a revision, until ctx ends or each fails. It
// returns the reason, ErrCompacted where a listing is due.
func (l *Ledger) FollowRevocations(ctx context.Context, after int64, each func(Event) error) error {
	return l.followPrefix(ctx, revocationKey, after, each, func(event *Event, value []byte) (err error) {
		event.Revocation, err = decodeRevocation(event.Name, value)
		return err
	})
}

// FollowEntries does the same for entries. Uses are not handed on.
func (l *Ledger) FollowEntries(ctx context.Context, after int64, each func(Event) error) error {
	return l.followPrefix(ctx, entryKey, after, each, func(event *Event, value []byte) error {
		entry, err := decodeEntry(event.Name, value)
		if err != nil || entry == nil {
			event.Gone = err == nil
			return err
		}
		event.Entry, err = l.standing(entry, Record{}, time.Now())
		return err
	})
}

func (l *Ledger) followPrefix(ctx context.Context, prefix string, after int64, each func(Event) error, read func(*Event, []byte) error) error {
	return l.config.Store.Watch(ctx, prefix, after, func(change Change) error {
		for _, record := range change.Records {
			event := Event{Revision: change.Revision, Name: strings.TrimPrefix(record.Key, prefix), Gone: record.Value == nil}
			if !event.Gone {
				if err := read(&event, record.Value); err != nil {
					return err
				}
			} else if prefix == entryKey {
				continue // its tombstone was handed on
			}
			if err := each(event); err != nil {
				return err
			}
		}
		return nil
	})
}

// Lifted returns a revocation that does not stand any more; ErrNotFound if there is none of that name.
func (l *Ledger) Lifted(ctx context.Context, name string) (*Revocation, error) {
	record, err := l.read(ctx, pastKey, name)
	if err != nil {
		return nil, err
	}
	return decodeRevocation(name, record.Value)
}

package ledger

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/identity"
)

// Standing is an entry with all that is known of its credential now.
type Standing struct {
	*Entry

	// Use is when it was used; zero if it never was, or not for longer than a minute.
	Use Use
	// Revocation is the name of the one that shuts it out; empty if none does.
	Revocation string
}

// Entry returns the entry of that name, or ErrNoEntry.
func (l *Ledger) Entry(ctx context.Context, name string) (*Standing, error) {
	record, err := l.config.Store.Read(ctx, entryKey+name)
	if err != nil {
		return nil, err
	}
	if record.Value == nil {
		return nil, ErrNoEntry
	}
	entry, err := decodeEntry(name, record.Value)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		return nil, ErrNoEntry
	}
	use, err := l.config.Store.Read(ctx, useKey+name)
	if err != nil {
		return nil, err
	}
	return l.standing(entry, use, time.Now())
}

// EntryOf returns the entry of a credential by its id, or ErrNoEntry.
func (l *Ledger) EntryOf(ctx context.Context, id identity.CredentialID) (*Standing, error) {
	return l.Entry(ctx, l.nameOf(id.Value, id.Issuer))
}

// ErrNoEntry says that there is no entry of that name.
var ErrNoEntry = errors.New("there is no such credential on record")

func (l *Ledger) standing(entry *Entry, use Record, now time.Time) (*Standing, error) {
	s := &Standing{Entry: entry, Revocation: l.mirror.find(entry.Credential(), now).revocation}
	if use.Value != nil {
		if err := decode(use.Key, use.Value, &s.Use); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Entries hands on the entries, by name, until each returns false. It returns where to go on, which is empty after the
// last one; a list that is empty starts at the first. revision is that after which Follow goes on, and known after the last
// one only.
func (l *Ledger) Entries(ctx context.Context, from string, each func(*Standing) (more bool)) (next string, revision int64, err error) {
	now := time.Now()
	uses := &useReader{ledger: l}
	after := ""
	if from != "" {
		after = entryKey + from
	}
	revision, err = l.config.Store.List(ctx, entryKey, after, func(record Record) error {
		name := strings.TrimPrefix(record.Key, entryKey)
		entry, err := decodeEntry(name, record.Value)
		if err != nil || entry == nil {
			return err
		}
		use, err := uses.of(ctx, name)
		if err != nil {
			return err
		}
		one, err := l.standing(entry, use, now)
		if err != nil {
			return err
		}
		if !each(one) {
			next = name
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return "", 0, err
	}
	return next, revision, nil
}

// useReader reads uses beside entries, in the same order, a page ahead.
type useReader struct {
	ledger *Ledger
	page   []Record
	end    bool
}

// usePage is how many uses are read at once.
const usePage = 500

// of returns the record of the uses of an entry; names must rise.
func (u *useReader) of(ctx context.Context, name string) (Record, error) {
	key := useKey + name
	for {
		for len(u.page) > 0 && u.page[0].Key < key {
			u.page = u.page[1:]
		}
		switch {
		case len(u.page) > 0 && u.page[0].Key == key:
			return u.page[0], nil
		case len(u.page) > 0 || u.end:
			return Record{}, nil
		}
		if err := u.read(ctx, before(key)); err != nil {
			return Record{}, err
		}
	}
}

func (u *useReader) read(ctx context.Context, after string) error {
	u.end = true
	_, err := u.ledger.config.Store.List(ctx, useKey, after, func(record Record) error {
		u.page = append(u.page, record)
		if len(u.page) == usePage {
			u.end = false
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// before is a key that is less than key and greater than every shorter one that is.
func before(key string) string {
	return key[:len(key)-1] + string(rune(key[len(key)-1]-1)) + "~"
}

// tidyEvery is how often entries of credentials that ended long ago are removed.
const tidyEvery = time.Hour

// tidying removes entries whose time has passed until ctx ends.
func (l *Ledger) tidying(ctx context.Context) {
	for l.config.Retention > 0 && ctx.Err() == nil {
		if wait(ctx, tidyEvery); ctx.Err() != nil {
			return
		}
		if n, err := l.Tidy(ctx, time.Now()); err != nil {
			l.config.Logger.Warn("entries of credentials that ended could not be removed", slog.String("cause", err.Error()))
		} else if n > 0 {
			l.config.Logger.Info("entries of credentials that ended were removed", slog.Int("count", n))
		}
	}
}

// Tidy removes the entries of credentials that ended longer ago than the retention, and of those without an end that were
// not used for that long, unless their mechanism is strict. It returns how many.
func (l *Ledger) Tidy(ctx context.Context, now time.Time) (int, error) {
	oldest := now.Add(-l.config.Retention)
	removed, from := 0, ""
	for {
		var due []*Standing
		next, _, err := l.Entries(ctx, from, func(one *Standing) bool {
			if l.due(one, oldest) {
				due = append(due, one)
			}
			return len(due) < batch/2
		})
		if err != nil {
			return removed, err
		}
		if err := l.forget(ctx, due); err != nil {
			return removed, err
		}
		if removed += len(due); next == "" {
			return removed, nil
		}
		from = next
	}
}

func (l *Ledger) due(one *Standing, oldest time.Time) bool {
	if !one.NotAfter.IsZero() {
		return one.NotAfter.Before(oldest)
	}
	return !l.config.Strict[one.Mechanism] && one.Recorded.Before(oldest) && one.Use.Last.Before(oldest)
}

// forget removes entries: first it says of what, for those who follow, and then for good.
func (l *Ledger) forget(ctx context.Context, some []*Standing) error {
	if len(some) == 0 {
		return nil
	}
	says, removes := Transaction{Essential: true}, Transaction{Essential: true} // they make room
	for _, one := range some {
		id := digestOf(one.ID, one.Issuer)
		says.Puts = append(says.Puts, Record{Key: entryKey + one.Name, Value: tombstone(id)})
		removes.Deletes = append(removes.Deletes, entryKey+one.Name, useKey+one.Name)
	}
	if _, err := l.config.Store.Commit(ctx, says); err != nil {
		return err
	}
	_, err := l.config.Store.Commit(ctx, removes)
	return err
}

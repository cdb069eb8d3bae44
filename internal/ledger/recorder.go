package ledger

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
)

const (
	// recordWithin bounds how long a request waits until its credential is on record. A store that needs longer is lost, and
	// requests are refused for that.
	recordWithin = 2 * time.Second
	// waiting bounds the credentials that wait to be recorded at one time; more than that is a flood, and turned away.
	waiting = 4096
	// lookups is how many credentials that are not on record are looked up in the store each second, in case this replica
	// is behind the one that recorded them. More are a flood of forged ones, and refused unseen.
	lookups = 50
)

// newcomer is an entry on its way into the store.
type newcomer struct {
	entry *Entry
	id    digest
	with  []Record      // written in the same transaction; none where the credential may be on record already
	done  chan struct{} // closed when it is there, or will not be
	err   error
	// revision is that of the transaction that wrote it; 0 where it was there.
	revision int64
}

// recorder brings entries into the store, those that wait together in one transaction.
type recorder struct {
	queue chan *newcomer

	mu    sync.Mutex
	known map[digest]*newcomer // under way, so that parallel requests with one credential write it once
}

func newRecorder() *recorder {
	return &recorder{queue: make(chan *newcomer, waiting), known: make(map[digest]*newcomer)}
}

// errFlood turns away what no more can wait for.
var errFlood = errors.New("ledger: too many credentials wait to be recorded")

// Record puts credentials on record that are not yet, and returns when they are. Those that are stay as they are.
// Errors are ErrEntry, ErrFull, and those of the store.
func (l *Ledger) Record(ctx context.Context, entries ...*Entry) error {
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	all := make([]*newcomer, 0, len(entries))
	for _, entry := range entries {
		if err := entry.Check(); err != nil {
			return err
		}
		id := digestOf(entry.ID, entry.Issuer)
		if l.mirror.has(id) {
			continue
		}
		one, err := l.recorder.enqueue(&newcomer{entry: entry, id: id})
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	for _, one := range all {
		select {
		case <-one.done:
			if one.err != nil {
				return one.err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// enqueue returns what brings the credential in; another request may have begun before.
func (r *recorder) enqueue(one *newcomer) (*newcomer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, under := r.known[one.id]; under {
		if len(one.with) > 0 {
			return nil, ErrTaken
		}
		return before, nil
	}
	one.done = make(chan struct{})
	select {
	case r.queue <- one:
		r.known[one.id] = one
		return one, nil
	default:
		return nil, errFlood
	}
}

// finish tells whoever waits for them.
func (r *recorder) finish(some []*newcomer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range some {
		if one.err == nil {
			one.err = err
		}
		delete(r.known, one.id)
		close(one.done)
	}
}

// record writes what waits until ctx ends. While one transaction is under way the next gathers.
func (l *Ledger) record(ctx context.Context) {
	for {
		var some []*newcomer
		select {
		case <-ctx.Done():
			return
		case one := <-l.recorder.queue:
			some = append(some, one)
		}
		puts := 1 + len(some[0].with)
		for more := true; more && puts < batch; {
			select {
			case one := <-l.recorder.queue:
				some = append(some, one)
				puts += 1 + len(one.with)
			default:
				more = false
			}
		}
		limited, cancel := context.WithTimeout(ctx, recordWithin)
		l.recorder.finish(some, l.writeEntries(limited, some))
		cancel()
	}
}

// writeEntries commits entries that are not there. They stand after every act that was committed before, and before every
// one that comes later: the transaction fails if there was one meanwhile, and never makes one fail.
func (l *Ledger) writeEntries(ctx context.Context, some []*newcomer) error {
	missing := some
	for stands := l.stands.Load(); ; stands = nil {
		if stands == nil {
			var err error
			if stands, err = l.readStand(ctx); err != nil {
				return err
			}
		}
		t := Transaction{Unchanged: []Record{stands.record}}
		now := time.Now().Truncate(time.Second)
		for _, one := range missing {
			one.entry.Index, one.entry.Recorded = stands.head.Index, now
			value, err := encodeEntry(one.entry)
			if err != nil {
				return err
			}
			key := entryKey + l.nameOf(one.entry.ID, one.entry.Issuer)
			t.Unchanged = append(t.Unchanged, Record{Key: key})
			t.Puts = append(append(t.Puts, Record{Key: key, Value: value}), one.with...)
		}
		revision, err := l.bring(ctx, t)
		if err == nil {
			for _, one := range missing {
				one.revision = revision
				bucket := bucketOf(entryKey + l.nameOf(one.entry.ID, one.entry.Issuer))
				l.mirror.record(one.id, knownOf(one.entry.Index, one.entry.Origin == Issued).in(bucket))
			}
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if missing, err = l.missing(ctx, missing); err != nil || len(missing) == 0 {
			return err
		}
	}
}

// missing returns those that the store does not have, and takes note of the others.
func (l *Ledger) missing(ctx context.Context, some []*newcomer) ([]*newcomer, error) {
	var left []*newcomer
	for _, one := range some {
		there, err := l.lookup(ctx, one.id, one.entry.ID, one.entry.Issuer)
		if err != nil {
			return nil, err
		}
		switch {
		case !there:
			left = append(left, one)
		case len(one.with) > 0:
			one.err = ErrTaken
		}
	}
	return left, nil
}

// lookup asks the store for an entry that the mirror may not have yet.
func (l *Ledger) lookup(ctx context.Context, id digest, value, issuer string) (bool, error) {
	record, err := l.ask(ctx, entryKey+l.nameOf(value, issuer))
	if err != nil || record.Value == nil {
		return false, err
	}
	entry, err := decodeEntry(record.Key, record.Value)
	if err != nil || entry == nil {
		return false, err
	}
	l.mirror.record(id, knownOf(entry.Index, entry.Origin == Issued).in(bucketOf(record.Key)))
	return true, nil
}

// admitNew is asked about a credential that counts and is not on record. It returns nil once it is, or may go without.
func (l *Ledger) admitNew(r *authn.Request, cred *authn.Credential, id digest) error {
	ctx, cancel := context.WithTimeout(context.Background(), recordWithin) //nolint:forbidigo // a client that leaves changes nothing about what is on record
	defer cancel()
	if l.config.Strict[cred.Mechanism] {
		if !l.lookups.Allow() {
			return l.unrecorded(cred)
		}
		there, err := l.lookup(ctx, id, cred.ID.Value, cred.ID.Issuer)
		switch {
		case err != nil:
			return unavailable
		case !there:
			return l.unrecorded(cred)
		default:
			return nil
		}
	}
	err := l.Record(ctx, EntryOf(r, cred))
	switch {
	case err == nil:
		return nil
	case l.config.BestEffort > 0 || errors.Is(err, ErrFull) || errors.Is(err, ErrEntry) || errors.Is(err, errFlood):
		// The credential is good, and can be shut out by all but its entry.
		l.alarm("unrecorded", "credentials are let in that could not be recorded", slog.String("cause", err.Error()))
		return nil
	default:
		return unavailable
	}
}

// unrecorded refuses a credential that nobody recorded, where that is asked for (G-08), and says so: it is good, so that
// whoever made it has a key that makes such credentials.
func (l *Ledger) unrecorded(cred *authn.Credential) error {
	l.alarm("strict-"+string(cred.Mechanism), "a credential was refused that is good and not on record",
		slog.String("mechanism", string(cred.Mechanism)), slog.String("credential_id", cred.ID.Value), slog.String("user", cred.Identity.Username))
	return &Refusal{Unrecorded: true}
}

// alarm logs at most once a minute for each kind.
func (l *Ledger) alarm(kind, message string, attributes ...any) {
	l.mu.Lock()
	last := l.alarms[kind]
	due := time.Since(last) > remind
	if due {
		l.alarms[kind] = time.Now()
	}
	l.mu.Unlock()
	if due {
		l.config.Logger.Error("alarm: "+message, attributes...) //nolint:sloglint // its callers' messages are constants
	}
}

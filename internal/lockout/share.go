package lockout

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// MaxWrites is how many records all replicas together write in a second, on average over a few. An attacker must not turn
	// junk into a load of the store's.
	MaxWrites = 50
	// flushEvery is how often locks are written.
	flushEvery = time.Second
	// worthwhile is how long a lock must still hold to be worth a write.
	worthwhile = 15 * time.Second
	// maxQueued bounds the locks that wait to be written. The others hold where they were put on.
	maxQueued = 4096
	// maxKeptRecords bounds the records in the store.
	maxKeptRecords = 8192
	// alike is how much later a lock must end than the one on record, to be written.
	alike = 5 * time.Second
	// keptAfter is how long a record stays after its end, for those who look up what was.
	keptAfter = 10 * time.Minute
	// unlockKept is how long an unlock stays on record.
	unlockKept = 24 * time.Hour
	// writeTimeout bounds one write.
	writeTimeout = 5 * time.Second
	// nameLength is the length of a name's random-looking part.
	nameLength = 20
)

// Store keeps locks beyond this process, and hands them to every replica. It is the ledger's part that is asked.
type Store interface {
	// Hide makes a name of words that may not be read in the store. It is the same at every replica, and after a restart.
	Hide(parts ...string) string
	// Write writes and deletes records, by name. It need not be in force anywhere when it returns.
	Write(ctx context.Context, puts map[string][]byte, deletes []string) error
	// Replicas is how many processes share the store, at least 1.
	Replicas() int
}

// record is a lock in the store. Its end is absolute: no lease decides it.
type record struct {
	Kind    Kind         `json:"kind"`
	Prefix  netip.Prefix `json:"prefix"`
	ID      string       `json:"id,omitempty"`
	Since   time.Time    `json:"since"`
	Until   time.Time    `json:"until"`
	Strikes int          `json:"strikes,omitempty"`
	// Unlocked says who took it off; nil as long as it holds.
	Unlocked *Unlock `json:"unlocked,omitempty"`
}

// Unlock is how a lock came to an end before its time.
type Unlock struct {
	Actor  string    `json:"actor"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// share is what goes to the store, and what is known to be there.
type share struct {
	secret [32]byte

	mu    sync.Mutex
	store Store // nil: locks hold here alone, and end with the process
	queue map[string]Lock
	// kept are the records in the store.
	kept map[string]keptRecord
}

// keptRecord is what is known of a record in the store.
type keptRecord struct {
	// useless is when it is of no use any more.
	useless time.Time
	// until is when the lock ends; zero for what is no lock, or none any more.
	until time.Time
}

func (s *share) init() {
	_, _ = rand.Read(s.secret[:]) // never fails: crypto/rand ends the process instead
	s.queue, s.kept = make(map[string]Lock), make(map[string]keptRecord)
}

// Share has locks written to a store, and names made by it. It must be called before the first attempt.
func (e *Engine) Share(store Store) {
	e.share.mu.Lock()
	defer e.share.mu.Unlock()
	e.share.store = store
}

// hide makes a name that is the same at every replica; empty where there are none.
func (e *Engine) hide(parts ...string) string {
	e.share.mu.Lock()
	store := e.share.store
	e.share.mu.Unlock()
	if store == nil {
		return ""
	}
	return store.Hide(parts...)
}

// nameOf names a lock. Names do not tell what they stand for: they are keys in the store.
func (e *Engine) nameOf(lock Lock) string {
	parts := []string{"lock", string(lock.Kind), lock.Prefix.String(), lock.ID}
	hidden := e.hide(parts...)
	if hidden == "" {
		mac := hmac.New(sha256.New, e.share.secret[:])
		for _, part := range parts {
			_, _ = fmt.Fprintf(mac, "%d:%s", len(part), part)
		}
		hidden = hex.EncodeToString(mac.Sum(nil))
	}
	digest := sha256.Sum256([]byte(hidden)) // of any form, cut to one that people can type
	return "l-" + hex.EncodeToString(digest[:])[:nameLength]
}

// IsName reports whether text can be a lock's name.
func IsName(text string) bool {
	rest, ok := strings.CutPrefix(text, "l-")
	return ok && len(rest) == nameLength && strings.Trim(rest, "0123456789abcdef") == ""
}

// add puts a lock in the queue.
func (s *share) add(e *Engine, lock Lock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store == nil {
		return
	}
	if _, known := s.queue[lock.Name]; !known && len(s.queue) >= maxQueued {
		e.stats.lost.Add(1)
		return
	}
	s.queue[lock.Name] = lock
}

// Run writes locks to the store until ctx ends. Without a store it waits.
func (e *Engine) Run(ctx context.Context) error {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	said := ""
	for tick := 0; ; tick++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := e.flush(ctx, tick)
		switch {
		case err == nil:
			said = ""
		case err.Error() != said && ctx.Err() == nil:
			said = err.Error()
			e.config.Logger.Warn("locks cannot be written to the store; each gate goes on counting by itself", slog.String("cause", said))
		}
	}
}

// fewest is how many records a replica may write at a time: its sums, and a lock or what is of no use any more. Where there are
// so many replicas that each would have less, they write less often.
const fewest = 2

// flush writes what is worth it, within this replica's part of what all may write.
func (e *Engine) flush(ctx context.Context, tick int) error {
	now := time.Now()
	e.share.mu.Lock()
	store := e.share.store
	e.share.mu.Unlock()
	if store == nil {
		return nil
	}
	// Asked without the lock: the store calls Take with a lock of its own.
	replicas := max(1, store.Replicas())
	e.sums.on.Store(replicas > 1)
	const perFlush = int(MaxWrites * flushEvery / time.Second)
	every := (fewest*replicas + perFlush - 1) / perFlush
	if tick%every != 0 {
		return nil
	}
	budget := perFlush * every / replicas
	values := make(map[string][]byte)
	name, value, told, err := e.sumsNow(now)
	if err != nil {
		return err
	}
	if name != "" {
		values[name] = value
		budget--
	}
	puts, deletes := e.share.take(now, budget)
	for _, lock := range puts {
		value, err := json.Marshal(record{Kind: lock.Kind, Prefix: lock.Prefix, ID: lock.ID, Since: lock.Since.UTC(), Until: lock.Until.UTC(), Strikes: lock.Strikes})
		if err != nil {
			return fmt.Errorf("lockout: %w", err)
		}
		values[lock.Name] = value
	}
	if len(values)+len(deletes) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	e.stats.writes.Add(uint64(len(values) + len(deletes)))
	if err := store.Write(ctx, values, deletes); err != nil {
		for _, lock := range puts {
			e.share.add(e, lock) // the next time
		}
		e.sums.again(told)
		return err
	}
	return nil
}

// take takes out of the queue what is written now: the locks that hold longest, and then records that are of no use any
// more.
func (s *share) take(now time.Time, budget int) (puts []Lock, deletes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, lock := range s.queue {
		// Where another replica came to the same, it is there already.
		if lock.Until.Sub(now) < worthwhile || s.kept[name].until.Add(alike).After(lock.Until) {
			delete(s.queue, name)
			continue
		}
		puts = append(puts, lock)
	}
	slices.SortFunc(puts, func(a, b Lock) int { return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.Name, b.Name)) })
	puts = puts[:max(0, min(len(puts), budget, maxKeptRecords-len(s.kept)))]
	for _, lock := range puts {
		delete(s.queue, lock.Name)
	}
	for name, kept := range s.kept {
		if len(puts)+len(deletes) >= budget {
			break
		}
		if now.After(kept.useless) {
			deletes = append(deletes, name)
		}
	}
	return puts, deletes
}

// errRecord refuses a record that this version cannot read.
var errRecord = errors.New("lockout: a record in the store cannot be read")

// Take takes in a record of the store as it is now; a nil value says that it is gone.
func (e *Engine) Take(name string, value []byte) error {
	if strings.HasPrefix(name, sumPrefix) {
		e.share.note(name, value)
		return e.takeSums(name, value)
	}
	if value == nil {
		e.share.mu.Lock()
		delete(e.share.kept, name)
		e.share.mu.Unlock()
		return nil
	}
	var written record
	decoder := json.NewDecoder(strings.NewReader(string(value)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&written); err != nil {
		return fmt.Errorf("%w: %s: %w", errRecord, name, err)
	}
	kept := keptRecord{useless: written.Until.Add(keptAfter), until: written.Until}
	if written.Unlocked != nil {
		kept = keptRecord{useless: written.Unlocked.At.Add(unlockKept)}
	}
	e.share.mu.Lock()
	again := e.share.kept[name].useless.Equal(kept.useless)
	e.share.kept[name] = kept
	e.share.mu.Unlock()
	lock := &Lock{
		Name: name, Kind: written.Kind, Prefix: written.Prefix, ID: written.ID, Since: written.Since, Until: written.Until, Strikes: written.Strikes,
	}
	if _, ok := e.placeOfLock(lock); !ok {
		return fmt.Errorf("%w: %s: it is on nothing that could be locked", errRecord, name)
	}
	if written.Unlocked == nil {
		e.apply(lock)
		return nil
	}
	if again {
		return nil // listed anew: what was locked since stays so
	}
	e.Release(lock)
	return nil
}

// Names are those of the records in the store that Take took and that are not gone.
func (e *Engine) Names() []string {
	e.share.mu.Lock()
	defer e.share.mu.Unlock()
	return slices.Collect(maps.Keys(e.share.kept))
}

// note notes a record of sums, which goes by itself.
func (s *share) note(name string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value == nil {
		delete(s.kept, name)
		return
	}
	s.kept[name] = keptRecord{useless: time.Now().Add(sumsLast)}
}

// Release takes a lock off here, with all that led to it.
func (e *Engine) Release(lock *Lock) {
	e.stats.off.Add(1)
	e.share.mu.Lock()
	delete(e.share.queue, lock.Name)
	e.share.mu.Unlock()
	e.release(lock)
}

// Unlocked returns the record that takes a lock off at every replica which takes it in.
func Unlocked(lock *Lock, unlock Unlock) ([]byte, error) {
	value, err := json.Marshal(record{
		Kind: lock.Kind, Prefix: lock.Prefix, ID: lock.ID, Since: lock.Since.UTC(), Until: lock.Until.UTC(), Strikes: lock.Strikes, Unlocked: &unlock,
	})
	if err != nil {
		return nil, fmt.Errorf("lockout: %w", err)
	}
	return value, nil
}

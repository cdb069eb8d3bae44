package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"
)

const (
	// beatEvery is how often a replica says that it is there when nothing else changes.
	beatEvery = 2 * time.Second
	// silentFor is how long a replica may be silent before it is marked as evicted, by the clock of whoever looks.
	silentFor = 10 * time.Second
	// evictedFor is how long the mark must stand before the record goes: longer than a view that was proven before the mark
	// can be good for requests, and for open streams. Until then a revoke says that the replica is fenced.
	evictedFor = streamsFor + freshFor
	// evictEvery is how often that is looked at.
	evictEvery = time.Second
)

// replicaRecord is what a replica says of itself.
type replicaRecord struct {
	// Applied is the revision whose changes are in force there, streams included.
	Applied int64 `json:"applied"`
	// Cut counts the streams that fell under the revocations applied last.
	Cut map[string]int `json:"cut,omitempty"`
	// Beat rises, so that a record that says the same again is written anew.
	Beat int64 `json:"beat"`
	// Evicted is set by others: the replica was silent, and must not take itself for fresh.
	Evicted bool `json:"evicted,omitempty"`
}

// replicaView is how a replica looks from here.
type replicaView struct {
	replicaRecord
	revision int64
	seen     time.Time // when it last changed, by this process's clock
}

// takeReplica notes what a replica says. It is called under the ledger's lock or on a map of its own.
func takeReplica(replicas map[string]*replicaView, name string, record Record) error {
	if record.Value == nil {
		delete(replicas, name)
		return nil
	}
	view := &replicaView{revision: record.Revision, seen: time.Now()}
	if err := decode(record.Key, record.Value, &view.replicaRecord); err != nil {
		return err
	}
	replicas[name] = view
	return nil
}

// errEvicted keeps a replica that was taken for dead from being fresh.
var errEvicted = errors.New("ledger: this replica is not on record, or was marked as evicted after a silence")

// present returns an error unless this replica's record stands.
func (l *Ledger) present(ctx context.Context) error {
	if l.config.Replica == "" {
		return nil
	}
	record, err := l.ask(ctx, replicaKey+l.config.Replica)
	if err != nil {
		return err
	}
	var own replicaRecord
	if record.Value == nil {
		return errEvicted
	}
	if err := decode(record.Key, record.Value, &own); err != nil {
		return err
	}
	if own.Evicted {
		return errEvicted
	}
	return nil
}

// announce keeps this replica's record: at once after each change that concerns requests, and as a sign of life.
func (l *Ledger) announce(ctx context.Context) {
	key := replicaKey + l.config.Replica
	var own replicaRecord
	var revision int64
	for ctx.Err() == nil {
		l.mu.Lock()
		own.Applied, own.Cut = l.applied, maps.Clone(l.cut)
		l.mu.Unlock()
		own.Beat++
		written, err := l.write(ctx, key, revision, &own)
		if err == nil {
			revision = written
			limited, cancel := context.WithTimeout(ctx, beatEvery)
			_ = l.await(limited, func() bool { return l.settled > own.Applied })
			cancel()
			continue
		}
		if errors.Is(err, ErrConflict) {
			l.config.Logger.Warn("this replica was taken for dead by another, and is back", slog.String("replica", l.config.Replica))
		} else {
			wait(ctx, resyncWait) // it may have been written all the same
		}
		if record, err := l.config.Store.Read(ctx, key); err == nil {
			if revision = record.Revision; record.Value == nil {
				revision = 0
			}
		}
	}
	// Gone for good: nobody needs to wait for it. What it had open is closed by now.
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), freshFor)
	defer cancel()
	_, _ = l.config.Store.Commit(leaving, Transaction{Deletes: []string{key}, Essential: true})
}

// write writes a replica's record unless somebody else did meanwhile.
func (l *Ledger) write(ctx context.Context, key string, revision int64, record *replicaRecord) (int64, error) {
	value, err := json.Marshal(record)
	if err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, freshFor)
	defer cancel()
	return l.config.Store.Commit(limited, Transaction{
		Unchanged: []Record{{Key: key, Revision: revision}}, Puts: []Record{{Key: key, Value: value}}, Essential: true,
	})
}

// evict marks replicas that are silent, and removes those that were marked long enough to have noticed.
func (l *Ledger) evict(ctx context.Context) {
	ticker := time.NewTicker(evictEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if l.Ready() != nil {
			continue // others look silent to one who does not hear
		}
		l.mu.Lock()
		views := maps.Clone(l.replicas)
		l.mu.Unlock()
		for name, view := range views {
			if name != l.config.Replica {
				l.evictOne(ctx, name, view)
			}
		}
	}
}

func (l *Ledger) evictOne(ctx context.Context, name string, view *replicaView) {
	silent, key := time.Since(view.seen), replicaKey+name
	switch {
	case !view.Evicted && silent > silentFor:
		marked := view.replicaRecord
		marked.Evicted = true
		if _, err := l.write(ctx, key, view.revision, &marked); err == nil {
			l.config.Logger.Warn("a replica is silent and taken for dead", slog.String("replica", name))
		}
	case view.Evicted && silent > evictedFor:
		limited, cancel := context.WithTimeout(ctx, freshFor)
		defer cancel()
		_, _ = l.config.Store.Commit(limited, Transaction{
			Unchanged: []Record{{Key: key, Revision: view.revision}}, Deletes: []string{key}, Essential: true,
		})
	}
}

package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

const (
	// useEvery is how exact the time of the last use is. In between, a use costs a comparison.
	useEvery = time.Minute
	// flushEvery is how often uses are written.
	flushEvery = 15 * time.Second
	// flushMost bounds how many credentials' uses are written each time: forty writes a second and replica, whatever comes.
	// What is left waits for the next time.
	flushMost = 600
	// usesKept bounds the credentials whose uses wait to be written.
	usesKept = 1 << 16
)

// Use is when and from where a credential was used, as exact as a minute.
type Use struct {
	First   time.Time  `json:"first"`
	Last    time.Time  `json:"last"`
	Source  netip.Addr `json:"source,omitzero"` // of the last one
	Cluster string     `json:"cluster,omitempty"`
}

// after adds a later or earlier use.
func (u *Use) add(other Use) {
	if u.First.IsZero() || other.First.Before(u.First) {
		u.First = other.First
	}
	if !other.Last.Before(u.Last) {
		u.Last, u.Source, u.Cluster = other.Last, other.Source, other.Cluster
	}
}

// usage collects uses until they are written.
type usage struct {
	mu   sync.Mutex
	uses map[identity.CredentialID]Use
}

// note takes note of a use, at most once a minute for each credential that is remembered.
func (u *usage) note(s *seen, r *authn.Request, cred *authn.Credential, now time.Time) {
	last, second := s.used.Load(), now.Unix()
	if second-last < int64(useEvery/time.Second) || !s.used.CompareAndSwap(last, second) {
		return
	}
	at := now.Truncate(time.Second).UTC()
	use := Use{First: at, Last: at, Source: r.Source, Cluster: r.Cluster}
	u.mu.Lock()
	defer u.mu.Unlock()
	before, waits := u.uses[cred.ID]
	if !waits && len(u.uses) >= usesKept {
		return // a flood; those that go on being used come again
	}
	before.add(use)
	u.uses[cred.ID] = before
}

// take removes up to flushMost uses.
func (u *usage) take() map[identity.CredentialID]Use {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := make(map[identity.CredentialID]Use, min(len(u.uses), flushMost))
	for id, use := range u.uses {
		if len(taken) == flushMost {
			break
		}
		taken[id] = use
		delete(u.uses, id)
	}
	return taken
}

// give puts back what could not be written.
func (u *usage) give(back map[identity.CredentialID]Use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, use := range back {
		if before, waits := u.uses[id]; waits {
			use.add(before)
		}
		u.uses[id] = use
	}
}

// flushing writes uses until ctx ends, and then once more.
func (l *Ledger) flushing(ctx context.Context) {
	for ctx.Err() == nil {
		wait(ctx, flushEvery)
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
		l.flush(limited)
		cancel()
	}
}

// flush writes what waits. A store that is lost or full keeps it waiting.
func (l *Ledger) flush(ctx context.Context) {
	taken := l.usage.take()
	for len(taken) > 0 {
		some := make(map[identity.CredentialID]Use, batch)
		for id, use := range taken {
			if len(some) == batch {
				break
			}
			some[id] = use
			delete(taken, id)
		}
		if err := l.writeUses(ctx, some); err != nil {
			l.usage.give(some)
			l.usage.give(taken)
			if !errors.Is(err, ErrConflict) {
				l.config.Logger.Debug("uses of credentials wait to be written", slog.String("cause", err.Error()))
			}
			return
		}
	}
}

// writeUses adds uses to what the store has. Another replica may write one of them meanwhile, which is a conflict.
func (l *Ledger) writeUses(ctx context.Context, some map[identity.CredentialID]Use) error {
	var t Transaction
	for id, use := range some {
		before, err := l.config.Store.Read(ctx, useKey+l.nameOf(id.Value, id.Issuer))
		if err != nil {
			return err
		}
		if before.Value != nil {
			var known Use
			if err := decode(before.Key, before.Value, &known); err != nil {
				return err
			}
			use.add(known)
		}
		value, err := json.Marshal(use)
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		t.Unchanged = append(t.Unchanged, before)
		t.Puts = append(t.Puts, Record{Key: before.Key, Value: value})
	}
	_, err := l.config.Store.Commit(ctx, t)
	return err
}

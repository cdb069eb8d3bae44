package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/identity"
)

// epoch is the number of the epoch that begins: by the clock, so that accepting two rollbacks to one state gives two.
func (b *rollback) epoch() int64 { return b.At.Unix() }

// AcceptRollback makes a ledger count again that was rolled back, or restored. Which revocations are lost nobody knows, so it
// shuts out every credential that was issued so far, of all mechanisms but those that are spared: by revocations that can be
// lifted one by one. It returns them. Nobody else may write to the store meanwhile.
func AcceptRollback(ctx context.Context, store Store, actor Actor, reason string, spared ...identity.Mechanism) ([]*Revocation, error) {
	if err := checkReason(reason); err != nil {
		return nil, err
	}
	now := time.Now()
	before, h, err := readHead(ctx, store.Read)
	if err != nil {
		return nil, err
	}
	var made []*Revocation
	var t Transaction
	for _, mechanism := range identity.Mechanisms() {
		if mechanism == identity.AnonymousAccess || slices.Contains(spared, mechanism) {
			continue // who has no credential has none that was revoked
		}
		r := &Revocation{
			Name: newName(), Target: Target{Kind: AllOfMechanism, Name: string(mechanism)}, Scope: SoFar, Reason: reason, Actor: actor,
			Created: now.Truncate(time.Second), Index: h.Index + 1,
		}
		if err := r.Check(now); err != nil {
			return nil, err
		}
		value, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		made = append(made, r)
		t.Unchanged = append(t.Unchanged, Record{Key: revocationKey + r.Name})
		t.Puts = append(t.Puts, Record{Key: revocationKey + r.Name, Value: value})
	}
	if t, _, err = h.seal(before, t, &rollback{From: h.Index, Reason: reason, Actor: actor, At: now.Truncate(time.Second)}); err != nil {
		return nil, err
	}
	if _, err := store.Commit(ctx, t); err != nil {
		return nil, err
	}
	return made, nil
}

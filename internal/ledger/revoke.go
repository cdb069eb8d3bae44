package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
)

// fencedAfter is when a replica that is silent has certainly stopped to let requests in by an older view: that view was
// proven before the revocation was committed. The rest is for clocks that run at different speeds.
const fencedAfter = freshFor + 100*time.Millisecond

// Errors of Revoke, Lift and Get beside those of the store.
var (
	// ErrNotFound: there is no revocation of that name.
	ErrNotFound = errors.New("there is no such revocation")
	// ErrLifted: it does not stand any more.
	ErrLifted = errors.New("the revocation was lifted before")
)

// ReplicaState says how a revocation came to be in force at a replica.
type ReplicaState string

const (
	// Applied: the replica refuses the credentials, and has cut their streams.
	Applied ReplicaState = "applied"
	// Fenced: the replica is silent. It lets no request in by what it knew before; its open streams end within five seconds
	// of its losing the store.
	Fenced ReplicaState = "fenced"
)

// InForce says how a change came to be in force.
type InForce struct {
	// Took is the time from the call to when it was in force at every replica.
	Took time.Duration
	// Replicas are all that there were.
	Replicas map[string]ReplicaState
	// Cut counts the streams that fell, by revocation.
	Cut map[string]int
}

// Complete reports whether every replica has applied the change; otherwise some are fenced.
func (f *InForce) Complete() bool {
	for _, state := range f.Replicas {
		if state != Applied {
			return false
		}
	}
	return true
}

// Revoke records revocations, gives them their names, and returns when they are in force at every replica. After an error
// other than ErrInvalid some or all of them may be in force.
func (l *Ledger) Revoke(ctx context.Context, revocations ...*Revocation) (*InForce, error) {
	began := time.Now()
	for _, revocation := range revocations {
		if err := revocation.Check(began); err != nil {
			return nil, err
		}
	}
	var last int64
	names := make(map[string]bool, len(revocations))
	for some := range slices.Chunk(revocations, batch) {
		revision, err := l.commit(ctx, func(index uint64) (Transaction, error) {
			var t Transaction
			for _, revocation := range some {
				revocation.Name, revocation.Created, revocation.Index, revocation.Lifted = newName(), began.Truncate(time.Second), index, nil
				key := revocationKey + revocation.Name
				value, err := json.Marshal(revocation)
				if err != nil {
					return t, fmt.Errorf("ledger: %w", err)
				}
				t.Unchanged = append(t.Unchanged, Record{Key: key})
				t.Puts = append(t.Puts, Record{Key: key, Value: value})
			}
			return t, nil
		})
		if err != nil {
			return nil, err
		}
		last = revision
		for _, revocation := range some {
			names[revocation.Name] = true
		}
	}
	return l.inForce(ctx, began, last, names)
}

// Lift ends a revocation and returns when that is so at every replica. What it was stays on record.
func (l *Ledger) Lift(ctx context.Context, name string, lift Lift) (*Revocation, *InForce, error) {
	began := time.Now()
	if err := checkReason(lift.Reason); err != nil {
		return nil, nil, err
	}
	lift.At = began.Truncate(time.Second)
	var lifted *Revocation
	revision, err := l.commit(ctx, func(uint64) (Transaction, error) {
		record, err := l.read(ctx, revocationKey, name)
		if errors.Is(err, ErrNotFound) {
			if _, past := l.read(ctx, pastKey, name); past == nil {
				err = ErrLifted
			}
		}
		if err != nil {
			return Transaction{}, err
		}
		if lifted, err = decodeRevocation(name, record.Value); err != nil {
			return Transaction{}, err
		}
		lifted.Lifted = &lift
		value, err := json.Marshal(lifted)
		if err != nil {
			return Transaction{}, fmt.Errorf("ledger: %w", err)
		}
		return Transaction{
			Unchanged: []Record{record}, Puts: []Record{{Key: pastKey + name, Value: value}}, Deletes: []string{record.Key},
		}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	force, err := l.inForce(ctx, began, revision, nil)
	return lifted, force, err
}

// read reads the record of a revocation.
func (l *Ledger) read(ctx context.Context, prefix, name string) (Record, error) {
	if !isName(name) {
		return Record{}, ErrNotFound
	}
	record, err := l.ask(ctx, prefix+name)
	if err == nil && record.Value == nil {
		err = ErrNotFound
	}
	return record, err
}

// Get returns a revocation, whether it stands or was lifted.
func (l *Ledger) Get(ctx context.Context, name string) (*Revocation, error) {
	record, err := l.read(ctx, revocationKey, name)
	if errors.Is(err, ErrNotFound) {
		record, err = l.read(ctx, pastKey, name)
	}
	if err != nil {
		return nil, err
	}
	return decodeRevocation(name, record.Value)
}

// List hands on the revocations that stand, by name, and those that were lifted too if past is set, until each returns false.
// It returns where to go on, which is empty after the last one; a list that is empty starts at the first. revision is that
// after which a watch goes on, and known after the last one only.
func (l *Ledger) List(ctx context.Context, past bool, from string, each func(*Revocation) (more bool)) (next string, revision int64, err error) {
	prefixes := []string{revocationKey}
	if past {
		prefixes = append(prefixes, pastKey)
	}
	for _, prefix := range prefixes {
		if from != "" && !strings.HasPrefix(from, prefix) {
			continue // read before
		}
		revision, err = l.config.Store.List(ctx, prefix, from, func(record Record) error {
			revocation, err := decodeRevocation(strings.TrimPrefix(record.Key, prefix), record.Value)
			if err != nil {
				return err
			}
			if !each(revocation) {
				next = record.Key
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			return next, 0, nil
		}
		if err != nil {
			return "", 0, err
		}
		from = ""
	}
	return "", revision, nil
}

// errEnough ends a listing before its end.
var errEnough = errors.New("ledger: enough")

// Matches returns what reports whether a credential falls under r at the time now, as far as the credential tells by itself.
// It asks nobody.
func (r *Revocation) Matches(now time.Time) func(cred *authn.Credential) bool {
	alone := newMirror()
	named := *r
	if named.Name == "" {
		named.Name = "this"
	}
	alone.put(&named)
	return func(cred *authn.Credential) bool { return cred != nil && alone.find(cred, now).revocation != "" }
}

// inForce waits until a revision is in force at every replica: applied, or certainly fenced.
func (l *Ledger) inForce(ctx context.Context, began time.Time, revision int64, names map[string]bool) (*InForce, error) {
	fenced, cancel := context.WithTimeout(ctx, fencedAfter)
	defer cancel()
	force := &InForce{Replicas: make(map[string]ReplicaState), Cut: make(map[string]int)}
	// Who is on record now, after the commit, is who counts: whoever comes later reads the fence first.
	others := make(map[string]bool)
	listed := revision
	if l.config.Replica != "" {
		var err error
		if err = again(ctx, func(error) bool { return false }, func(ctx context.Context) error {
			clear(others)
			listed, err = l.config.Store.List(ctx, replicaKey, "", func(record Record) error {
				others[strings.TrimPrefix(record.Key, replicaKey)] = true
				return nil
			})
			return err
		}); err != nil {
			return nil, err
		}
		delete(others, l.config.Replica)
	}
	force.Replicas[l.config.Replica] = Fenced
	if l.await(fenced, func() bool { return l.applied >= revision }) == nil {
		force.Replicas[l.config.Replica] = Applied
		l.mu.Lock()
		add(force.Cut, l.cut, names)
		l.mu.Unlock()
	}
	for name := range others {
		var view *replicaView
		if l.await(fenced, func() bool {
			view = l.replicas[name]
			return l.applied >= listed && (view == nil || !view.Evicted && view.Applied >= revision)
		}) != nil {
			force.Replicas[name] = Fenced
			continue
		}
		if view != nil { // it left otherwise, after its last request
			force.Replicas[name] = Applied
			add(force.Cut, view.Cut, names)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("ledger: committed, and not known to be in force: %w", context.Cause(ctx))
	}
	force.Took = time.Since(began)
	return force, nil
}

// add adds the counts of names.
func add(sums, counts map[string]int, names map[string]bool) {
	for name, n := range counts {
		if names[name] {
			sums[name] += n
		}
	}
}

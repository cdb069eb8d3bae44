package ledger_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
)

// memory is a checkpoint that survives restarts of a ledger.
type memory struct {
	mu   sync.Mutex
	mark *ledger.Mark
}

func (m *memory) Load() (*ledger.Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mark, nil
}

func (m *memory) Save(mark ledger.Mark) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mark = &mark
	return nil
}

// checkpointed gives a ledger a checkpoint.
func checkpointed(m *memory) func(*ledger.Config) {
	return func(c *ledger.Config) { c.Checkpoint = m }
}

// revokeUser shuts a user out.
func revokeUser(t *testing.T, l *ledger.Ledger, name string) string {
	t.Helper()
	return revoke(t, l, ledger.Target{Kind: ledger.User, Name: name}).Name
}

// dump is everything in a store.
func dump(t *testing.T, store ledger.Store) map[string]string {
	t.Helper()
	all := make(map[string]string)
	if _, err := store.List(t.Context(), "", "", func(r ledger.Record) error { all[r.Key] = string(r.Value); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// putBack makes a store hold what it held before, past the ledger.
func putBack(t *testing.T, store ledger.Store, before map[string]string) {
	t.Helper()
	var back ledger.Transaction
	for key := range dump(t, store) {
		if _, there := before[key]; !there {
			back.Deletes = append(back.Deletes, key)
		}
	}
	for key, value := range before {
		back.Puts = append(back.Puts, ledger.Record{Key: key, Value: []byte(value)})
	}
	if _, err := store.Commit(t.Context(), back); err != nil {
		t.Fatal(err)
	}
}

// refuses waits until a ledger refuses for a reason.
func refuses(t *testing.T, l *ledger.Ledger, reason error) {
	t.Helper()
	ledgertest.Eventually(t, "the ledger refuses", func() bool { return errors.Is(l.Ready(), reason) })
}

// TestRollbackIsNoticedAtTheStart: a store that lost acts, or has others in their place, is refused by who knows better; one
// without a checkpoint cannot know.
func TestRollbackIsNoticedAtTheStart(t *testing.T) {
	t.Parallel()
	store, known := openStore(t), new(memory)
	first, stop := runUntil(t, store, checkpointed(known))
	revokeUser(t, first, "alice")
	old := dump(t, store)
	revokeUser(t, first, "bob")
	stop()

	putBack(t, store, old)
	refused, stop := start(t, store, checkpointed(known))
	refuses(t, refused, ledger.ErrRolledBack)
	if err := refused.Judge(request(), certificate("1")); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("a request is judged: %v", err)
	}
	stop()

	// Another gate that does not know better goes on from there, past what was known.
	ignorant, stop := runUntil(t, store)
	revokeUser(t, ignorant, "carol")
	revokeUser(t, ignorant, "dave")
	stop()
	forked, stop := start(t, store, checkpointed(known))
	refuses(t, forked, ledger.ErrRolledBack)
	stop()
}

// TestRollbackIsNoticedWhileRunning: a ledger whose store is put back under it stops, and says so.
func TestRollbackIsNoticedWhileRunning(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	l := run(t, store)
	old := dump(t, store)
	revokeUser(t, l, "alice")
	putBack(t, store, old)
	refuses(t, l, ledger.ErrRolledBack)
}

// TestRemovedRevocationIsNoticed: a revocation that is deleted, put back or replaced past the ledger stops it, whether it
// looks or starts.
func TestRemovedRevocationIsNoticed(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]func(t *testing.T, store ledger.Store, key, value string){
		"deleted": func(t *testing.T, store ledger.Store, key, _ string) {
			t.Helper()
			if _, err := store.Commit(t.Context(), ledger.Transaction{Deletes: []string{key}}); err != nil {
				t.Fatal(err)
			}
		},
		"changed": func(t *testing.T, store ledger.Store, key, value string) {
			t.Helper()
			if _, err := store.Commit(t.Context(), ledger.Transaction{
				Puts: []ledger.Record{{Key: key, Value: []byte(strings.Replace(value, "alice", "mallory", 1))}},
			}); err != nil {
				t.Fatal(err)
			}
		},
		"doubled": func(t *testing.T, store ledger.Store, _, value string) {
			t.Helper()
			if _, err := store.Commit(t.Context(), ledger.Transaction{Puts: []ledger.Record{{Key: "rev/r-aaaaaaaaaa", Value: []byte(value)}}}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for where, open := range map[string]func(testing.TB) ledger.Store{
			"embedded": func(tb testing.TB) ledger.Store { tb.Helper(); return openStore(tb) },
			"external": func(tb testing.TB) ledger.Store { tb.Helper(); return openExternal(tb) },
		} {
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				store := open(t)
				l := run(t, store)
				revoked := revokeUser(t, l, "alice")
				key := "rev/" + revoked
				watching, end := context.WithCancel(t.Context())
				var judged sync.WaitGroup
				judged.Go(func() { //nolint:contextcheck // judging has no context; alice is at no time let in
					for cred := certificate("1"); watching.Err() == nil; {
						if err := l.Judge(request(), cred); err == nil {
							t.Error("who was shut out is let in")
							return
						}
					}
				})
				tamper(t, store, key, dump(t, store)[key])
				refuses(t, l, ledger.ErrIncomplete)
				end()
				judged.Wait()
				if err := l.Judge(request(), certificate("2", func(c *authn.Credential) { c.Identity.Username = "bob" })); !errors.Is(err, ledger.ErrUnavailable) {
					t.Errorf("somebody else is judged: %v", err)
				}
				again, stop := start(t, store)
				refuses(t, again, ledger.ErrIncomplete)
				stop()
			})
		}
	}
}

// TestWholeAfterManyActs: what was revoked, lifted and revoked anew adds up, for who followed it and who starts.
func TestWholeAfterManyActs(t *testing.T) {
	t.Parallel()
	store, known := openStore(t), new(memory)
	l, stop := runUntil(t, store, checkpointed(known))
	for _, name := range []string{"a", "b", "c", "d"} {
		revoked := revokeUser(t, l, name)
		if name != "c" {
			if _, _, err := l.Lift(t.Context(), revoked, ledger.Lift{Reason: "test", Actor: ledger.Actor{Username: "guard"}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	if known.mark == nil || known.mark.Index != 7 {
		t.Errorf("checkpoint %v", known.mark)
	}
	_, stop = runUntil(t, store, checkpointed(known))
	stop()
}

// TestAcceptRollback: a rollback that is accepted shuts out what was there before, and the ledger counts again for all who
// knew better; a second rollback, to after the acceptance, is refused again.
func TestAcceptRollback(t *testing.T) {
	t.Parallel()
	store, known := openStore(t), new(memory)
	l, stop := runUntil(t, store, checkpointed(known))
	old := dump(t, store)
	revokeUser(t, l, "alice")
	stop()
	putBack(t, store, old)

	made, err := ledger.AcceptRollback(t.Context(), store, ledger.Actor{Username: "operator"}, "the disk was lost", identity.JWT)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(identity.Mechanisms()) - 2; len(made) != want {
		t.Errorf("%d revocations, want %d: all but anonymous and what is spared", len(made), want)
	}
	l, stop = runUntil(t, store, checkpointed(known))
	if err := l.Judge(request(), certificate("1")); !errors.Is(err, ledger.ErrRevoked) {
		t.Errorf("a certificate from before: %v", err)
	}
	accepted := dump(t, store)
	revokeUser(t, l, "bob")
	stop()
	putBack(t, store, accepted)
	refused, stop := start(t, store, checkpointed(known))
	refuses(t, refused, ledger.ErrRolledBack)
	stop()

	if _, err := ledger.AcceptRollback(t.Context(), store, ledger.Actor{Username: "operator"}, " "); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("without a reason: %v", err)
	}
}

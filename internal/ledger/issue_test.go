package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
)

// notebook is a part that keeps what it is told.
type notebook struct {
	mu    sync.Mutex
	there map[string]string
}

func (n *notebook) take(name string, value []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if value == nil {
		delete(n.there, name)
	} else {
		n.there[name] = string(value)
	}
	return nil
}

func (n *notebook) get(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.there[name]
}

// toIssue is an entry of what is about to be issued.
func toIssue(name string) *ledger.Entry {
	return &ledger.Entry{ID: "OSTIARY=" + name, Mechanism: identity.IssuedCertificate, Username: "jane", Origin: ledger.Issued, Basis: &authn.Basis{Mechanism: identity.JWT, ID: "JTI=" + name, Issuer: "https://idp.example"}}
}

// TestIssueIsOneTransaction puts an entry and the records of parts down together, once, however many come at a time.
func TestIssueIsOneTransaction(t *testing.T) {
	t.Parallel()
	book := &notebook{there: make(map[string]string)}
	store := openStore(t)
	l := run(t, store, func(c *ledger.Config) { c.Parts = []ledger.Part{{Prefix: ledger.IssuedPrefix, Take: book.take}} })
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			name := fmt.Sprint(i)
			if err := l.Issue(t.Context(), toIssue(name), ledger.Record{Key: ledger.IssuedPrefix + name, Value: []byte(name)}, ledger.Record{Key: ledger.IssuedPrefix + name + "/more", Value: []byte("x")}); err != nil {
				t.Error(err)
			}
			if book.get(name) != name { // known here when it returns
				t.Errorf("%s is not known here", name)
			}
		})
	}
	group.Wait()
	if err := l.Issue(t.Context(), toIssue("7"), ledger.Record{Key: ledger.IssuedPrefix + "7", Value: []byte("other")}); !errors.Is(err, ledger.ErrTaken) {
		t.Errorf("an id that is taken: %v", err)
	}
	if book.get("7") != "7" {
		t.Error("what was there was overwritten")
	}
	if err := l.Issue(t.Context(), toIssue("alone")); err == nil {
		t.Error("an issue of nothing")
	}
	bad := toIssue("bad")
	bad.Username = ""
	if err := l.Issue(t.Context(), bad, ledger.Record{Key: ledger.IssuedPrefix + "bad", Value: []byte("x")}); !errors.Is(err, ledger.ErrEntry) || book.get("bad") != "" {
		t.Errorf("an entry that cannot be taken: %v", err)
	}
	refused := errors.New("refused")
	store.fail.Store(&refused)
	if err := l.Issue(t.Context(), toIssue("lost"), ledger.Record{Key: ledger.IssuedPrefix + "lost", Value: []byte("x")}); err == nil {
		t.Error("what was not written is issued")
	}
	store.fail.Store(nil)
}

// TestTakenMeanwhile refuses an id that another replica took, which this one has not heard of, and writes nothing of it; what comes
// with it in one transaction is not held up.
func TestTakenMeanwhile(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	book, other := &notebook{there: make(map[string]string)}, &notebook{there: make(map[string]string)}
	a := run(t, store, func(c *ledger.Config) {
		c.Replica, c.Parts = "a", []ledger.Part{{Prefix: ledger.IssuedPrefix, Take: book.take}}
	})
	b := run(t, store, func(c *ledger.Config) {
		c.Replica, c.Parts = "b", []ledger.Part{{Prefix: ledger.IssuedPrefix, Take: other.take}}
	})
	var group sync.WaitGroup
	results := make([]error, 2)
	for i, l := range []*ledger.Ledger{a, b} {
		group.Go(func() {
			results[i] = l.Issue(t.Context(), toIssue("same"), ledger.Record{Key: ledger.IssuedPrefix + "same", Value: []byte{'a' + byte(i)}})
		})
	}
	group.Wait()
	won := slices.Index(results, nil)
	if won < 0 || !errors.Is(results[1-won], ledger.ErrTaken) {
		t.Fatalf("%v", results)
	}
	if there, err := a.CatchUp(t.Context(), ledger.IssuedPrefix, "same"); !there || err != nil || book.get("same") != string([]byte{'a' + byte(won)}) {
		t.Errorf("%t, %v: %q", there, err, book.get("same"))
	}
	if there, err := a.CatchUp(t.Context(), ledger.IssuedPrefix, "none"); there || err != nil {
		t.Errorf("%t, %v", there, err)
	}
}

// TestShutOutWithItsBasis shuts out what rests on a credential with that, with its issuer and with its mechanism.
func TestShutOutWithItsBasis(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]ledger.Target{
		"the credential": {Kind: ledger.OneCredential, Name: "JTI=1", Issuer: "https://idp.example"},
		"its issuer":     {Kind: ledger.Issuer, Name: "https://idp.example"},
		"its mechanism":  {Kind: ledger.AllOfMechanism, Name: "jwt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := run(t, openStore(t), func(c *ledger.Config) {
				c.Parts = []ledger.Part{{Prefix: ledger.IssuedPrefix, Take: (&notebook{there: make(map[string]string)}).take}}
			})
			for _, id := range []string{"1", "2"} {
				if err := l.Issue(t.Context(), toIssue(id), ledger.Record{Key: ledger.IssuedPrefix + id, Value: []byte("x")}); err != nil {
					t.Fatal(err)
				}
			}
			cred := toIssue("1").Credential()
			if name := l.Falls(cred) + l.Shut(cred); name != "" {
				t.Fatalf("shut out by %s", name)
			}
			if _, err := l.Revoke(t.Context(), &ledger.Revocation{Target: target, Reason: "test"}); err != nil {
				t.Fatal(err)
			}
			if l.Falls(cred) == "" || l.Shut(cred) == "" {
				t.Error("it counts")
			}
			resting := toIssue("2").Credential()
			resting.Basis = nil
			if l.Falls(resting) != "" {
				t.Error("what rests on nothing is shut out too")
			}
		})
	}
}

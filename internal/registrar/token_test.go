package registrar_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/issued"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
	"github.com/ostiary/ostiary/internal/registrar"
	"github.com/ostiary/ostiary/internal/session"
)

// TestNewBoundToken lets a token in at a replica that has not heard of it yet, nor of its certificate. Without a certificate that
// counts, nothing is asked of the store.
func TestNewBoundToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, root := openStore(t, dir), rootIn(t, dir)
	a, b := open(t, store, root, "a", nil), open(t, store, root, "b", nil)
	for range 20 {
		ledgertest.Eventually(t, "the ledger is fresh", func() bool { return a.ledger.Ready() == nil })
		made := a.issue(t, "jane")
		token, _, err := a.Token(t.Context(), registrar.TokenOrder{
			Session: a.book.Session(made.Credential.Session), Bound: made.Credential, Thumbprint: sha256.Sum256(made.Leaf.Raw), Lifetime: time.Hour,
		}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if answer := b.tokens.AuthenticateToken(t.Context(), shown(made.Leaf), token); answer.Outcome != authn.Accepted {
			t.Fatalf("at the other replica: %+v", answer)
		}
	}
	ledgertest.Eventually(t, "the ledger is fresh", func() bool { return b.ledger.Ready() == nil })
	mine := b.issue(t, "jane").Leaf
	bare := shown(mine)
	bare.Certificates = nil
	for _, tt := range []struct {
		name  string
		r     *authn.Request
		looks int64
	}{{"no certificate", bare, 0}, {"a certificate that was not issued", shown(selfSigned(t)), 0}, {"a certificate that counts", shown(mine), 1}} {
		before := b.lookups.Load()
		madeUp, _ := issued.NewToken(issuer.NewID())
		if answer := b.tokens.AuthenticateToken(t.Context(), tt.r, madeUp); answer.Outcome != authn.Rejected || !errors.Is(answer.Cause, issued.ErrTokenUnknown) {
			t.Errorf("%s: %+v", tt.name, answer)
		}
		if looks := b.lookups.Load() - before; looks != tt.looks {
			t.Errorf("%s: the store was asked %d times, want %d", tt.name, looks, tt.looks)
		}
	}
}

// selfSigned is a certificate that nobody vouches for.
func selfSigned(t *testing.T) *x509.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "jane"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// TestTokens binds tokens to certificates, and rotates those that are not.
func TestTokens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := open(t, openStore(t, dir), rootIn(t, dir), "", nil)
	made := o.issue(t, "jane")
	owner := o.book.Session(made.Credential.Session)
	token, bound, err := o.Token(t.Context(), registrar.TokenOrder{
		Session: owner, Bound: made.Credential, Thumbprint: sha256.Sum256(made.Leaf.Raw), Lifetime: 24 * time.Hour,
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if bound.NotAfter.After(made.Leaf.NotAfter) {
		t.Error("it outlives its certificate")
	}
	r := shown(made.Leaf)
	answer := o.tokens.AuthenticateToken(t.Context(), r, token)
	if answer.Outcome != authn.Accepted || o.ledger.Judge(r, answer.Credential) != nil {
		t.Fatalf("%+v", answer)
	}
	guess, _ := issued.NewToken(bound.ID) // the right id, and another secret
	if answer := o.tokens.AuthenticateToken(t.Context(), r, guess); answer.Outcome != authn.Rejected || !errors.Is(answer.Cause, issued.ErrTokenUnknown) {
		t.Errorf("another secret: %+v", answer)
	}
	if found, owner, ours := o.tokens.Holder(guess); found != nil || owner != nil || !ours {
		t.Error("who guesses holds it")
	}
	if strange, _ := issued.NewToken(issuer.NewID()); o.tokens.AuthenticateToken(t.Context(), r, strange).Outcome != authn.Rejected {
		t.Error("an id that is not known")
	}
	bare := shown(made.Leaf)
	bare.Certificates = nil
	for name, r := range map[string]*authn.Request{"no certificate": bare, "another's": shown(o.issue(t, "joe").Leaf)} {
		if answer := o.tokens.AuthenticateToken(t.Context(), r, token); answer.Outcome != authn.Rejected || !errors.Is(answer.Cause, issued.ErrUnbound) {
			t.Errorf("%s: %+v", name, answer)
		}
	}
	if err := o.tokens.Readmit(t.Context(), r, answer.Credential); err != nil {
		t.Error(err)
	}
	if err := o.End(t.Context(), registrar.WhyLogout, time.Now(), owner); err != nil {
		t.Fatal(err)
	}
	if err := o.tokens.Readmit(t.Context(), r, answer.Credential); !errors.Is(err, issued.ErrEnded) {
		t.Errorf("a stream goes on after its session: %v", err)
	}

	static := person("builder")
	static.Kind, static.Basis, static.Ends = session.Machine, nil, time.Now().Add(24*time.Hour).UTC().Truncate(time.Second)
	old, first, err := o.Token(t.Context(), registrar.TokenOrder{Session: static, Lifetime: 24 * time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	next, second, ends, err := o.Rotate(t.Context(), first, time.Minute, ledger.Actor{Username: "builder"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if second.NotAfter.Before(first.NotAfter) || time.Until(ends) > time.Minute {
		t.Errorf("the new one ends %s, the old one %s", second.NotAfter, ends)
	}
	bare.Now = time.Now() // not before the tokens
	later := *bare
	later.Now = time.Now().Add(2 * time.Minute)
	if answer := o.tokens.AuthenticateToken(t.Context(), bare, old); answer.Outcome != authn.Accepted {
		t.Errorf("the old one within its grace: %v", answer.Cause)
	}
	if answer := o.tokens.AuthenticateToken(t.Context(), &later, old); answer.Outcome != authn.Rejected {
		t.Error("the old one after its grace")
	}
	if answer := o.tokens.AuthenticateToken(t.Context(), &later, next); answer.Outcome != authn.Accepted {
		t.Errorf("the new one: %v", answer.Cause)
	}
}

// TestRotatesOnce gives the owner of a token one new one. Whoever finds the old one in its grace gets none by it, and of several who
// ask at once one does.
func TestRotatesOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := open(t, openStore(t, dir), rootIn(t, dir), "", nil)
	static := person("builder")
	static.Kind, static.Basis, static.Ends = session.Machine, nil, time.Now().Add(24*time.Hour).UTC().Truncate(time.Second)
	_, old, err := o.Token(t.Context(), registrar.TokenOrder{Session: static, Lifetime: 24 * time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	rotate := func(old *session.Credential) (*session.Credential, error) {
		_, next, _, err := o.Rotate(t.Context(), old, 48*time.Hour, ledger.Actor{Username: "builder"}, time.Now()) // longer than it lives
		return next, err
	}
	const callers = 8
	var group sync.WaitGroup
	var mu sync.Mutex
	var got []*session.Credential
	for range callers {
		group.Go(func() {
			next, err := rotate(old)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				got = append(got, next)
			} else if !errors.Is(err, registrar.ErrRotated) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(got) != 1 {
		t.Fatalf("%d new tokens for one", len(got))
	}
	if _, err := rotate(old); !errors.Is(err, registrar.ErrRotated) {
		t.Errorf("once more: %v", err)
	}
	if _, err := rotate(got[0]); err != nil { // its twin
		t.Errorf("the new one: %v", err)
	}
	made := o.issue(t, "jane")
	if _, err := rotate(made.Credential); err == nil {
		t.Error("a certificate is rotated")
	}
}

package registrar_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/issued"
	"github.com/ostiary/ostiary/internal/certchain"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
	"github.com/ostiary/ostiary/internal/registrar"
	"github.com/ostiary/ostiary/internal/session"
)

// TestIssue issues what counts, and no longer than its session, its user and its basis do.
func TestIssue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := open(t, openStore(t, dir), rootIn(t, dir), "", nil)
	revoke := func(target ledger.Target) {
		if _, err := o.ledger.Revoke(t.Context(), &ledger.Revocation{Target: target, Reason: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	for name, shut := range map[string]func(made *registrar.Issued){
		"its id": func(made *registrar.Issued) {
			revoke(ledger.Target{Kind: ledger.OneCredential, Name: made.Credential.CredentialID()})
		},
		"its hash": func(made *registrar.Issued) {
			revoke(ledger.Target{Kind: ledger.OneCredential, Name: certchain.ID(made.Leaf)})
		},
		"its user": func(made *registrar.Issued) {
			revoke(ledger.Target{Kind: ledger.User, Name: made.Leaf.Subject.CommonName})
		},
		"what it was for": func(made *registrar.Issued) {
			revoke(ledger.Target{Kind: ledger.OneCredential, Name: "JTI=" + made.Leaf.Subject.CommonName, Issuer: "https://idp.example"})
		},
		"its session": func(made *registrar.Issued) {
			if err := o.End(t.Context(), registrar.WhyLogout, time.Now(), o.book.Session(made.Credential.Session)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		made := o.issue(t, "jane of "+name)
		r := shown(made.Leaf)
		if err := o.admits(r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		shut(made)
		r.Now = time.Now()
		if err := o.admits(r); err == nil {
			t.Errorf("%s was shut out, and it counts on its connection", name)
		}
		if err := o.admits(shown(made.Leaf)); err == nil {
			t.Errorf("%s was shut out, and it counts", name)
		}
	}
	late := shown(o.issue(t, "late").Leaf)
	late.Now = time.Now().Add(2 * time.Hour)
	if err := o.admits(late); err == nil {
		t.Error("it counts after its time")
	}
	if n := o.forged.Load(); n != 0 {
		t.Errorf("%d are taken for forged", n)
	}
}

// TestRefusals issues nothing for a session that is over, for a key of somebody else, or what would be shut out.
func TestRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := open(t, openStore(t, dir), rootIn(t, dir), "", nil)
	ask := func(order registrar.Order) error {
		_, err := o.Certificate(t.Context(), order, time.Now())
		return err
	}
	one := order(t, person("jane"))
	if err := ask(one); err != nil {
		t.Fatal(err)
	}
	again := one
	again.Session = person("jane")
	if err := ask(again); err != nil {
		t.Errorf("one's own key again: %v", err)
	}
	stolen := one
	stolen.Session = person("joe")
	if err := ask(stolen); !errors.Is(err, registrar.ErrForeignKey) {
		t.Errorf("another user's key: %v", err)
	}
	over := order(t, person("jane"))
	over.Session.Ends = time.Now().Add(-time.Second)
	if err := ask(over); !errors.Is(err, registrar.ErrOver) {
		t.Errorf("a session that is over: %v", err)
	}
	if err := o.End(t.Context(), registrar.WhyLogout, time.Now(), o.book.Session(one.Session.ID)); err != nil {
		t.Fatal(err)
	}
	ended := one
	ended.Session = o.book.Session(one.Session.ID)
	if err := ask(ended); !errors.Is(err, registrar.ErrOver) {
		t.Errorf("a session that was ended: %v", err)
	}
	// A renewal that was under way when the session ended: it may write, and nothing of it counts.
	racing := one
	made, err := o.Certificate(t.Context(), racing, time.Now())
	if err == nil {
		if err := o.admits(shown(made.Leaf)); err == nil {
			t.Error("a renewal undoes the end of its session")
		}
	}
	if _, err := o.ledger.Revoke(t.Context(), &ledger.Revocation{Target: ledger.Target{Kind: ledger.User, Name: "ann"}, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	if err := ask(order(t, person("ann"))); !errors.Is(err, registrar.ErrShut) {
		t.Errorf("a user who is shut out: %v", err)
	}
	if _, err := o.ledger.Revoke(t.Context(), &ledger.Revocation{Target: ledger.Target{Kind: ledger.User, Name: "bob"}, Scope: ledger.SoFar, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	fresh, err := o.Certificate(t.Context(), order(t, person("bob")), time.Now())
	if err != nil {
		t.Fatalf("who was shut out so far signs in anew: %v", err)
	}
	if err := o.admits(shown(fresh.Leaf)); err != nil {
		t.Errorf("and comes in: %v", err)
	}
}

// TestForged shows 100,000 certificates under a real issuing key that nobody put on record, each another one. None counts, each is
// noticed, and an honest one goes on to count.
func TestForged(t *testing.T) {
	t.Parallel()
	const forgeries = 100_000
	dir := t.TempDir()
	o := open(t, openStore(t, dir), rootIn(t, dir), "", nil)
	honest := o.issue(t, "jane")
	f := newForger(t, o, honest.Leaf)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for range forgeries / 2 {
				leaf, err := f.certificate(issuer.NewID())
				if err != nil {
					t.Error(err)
					return
				}
				if err := o.admits(shown(leaf)); !errors.Is(err, issued.ErrForged) {
					t.Errorf("a forged certificate: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	if n := o.forged.Load(); n != forgeries {
		t.Errorf("%d of %d were noticed", n, forgeries)
	}
	if err := o.admits(shown(honest.Leaf)); err != nil {
		t.Errorf("the honest one: %v", err)
	}
	// Under the id of one that is on record, too, also by the same key: it is not that one, byte for byte.
	id, _ := issuer.IDOf(honest.Leaf)
	recorded, err := f.certificate(issuer.NewID())
	if err != nil {
		t.Fatal(err)
	}
	known := o.record(t, recorded, f.issuing)
	if err := o.admits(shown(recorded)); err != nil {
		t.Fatalf("one by the key that is on record: %v", err)
	}
	for what, id := range map[string]issuer.ID{"by another key": id, "by the same key": known} {
		twin, err := f.named("root").certificate(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.admits(shown(twin)); !errors.Is(err, issued.ErrForged) {
			t.Errorf("a twin %s: %v", what, err)
		}
	}
	// What only says that an issuing key signed it is no forgery, and no alarm: anybody can make it.
	before := o.forged.Load()
	fake := *f
	fake.signer = newKey(t)
	liar, err := fake.certificate(issuer.NewID())
	if err != nil {
		t.Fatal(err)
	}
	if err := o.admits(shown(liar)); err == nil || errors.Is(err, issued.ErrForged) || o.forged.Load() != before {
		t.Errorf("one that no issuing key signed: %v", err)
	}
}

// forger signs past the record, by an issuing key that counts.
type forger struct {
	tbs     []byte // of one, in which each other one has another id
	id      issuer.ID
	signer  *ecdsa.PrivateKey
	issuing *x509.Certificate
}

// named makes them for somebody else.
func (f *forger) named(name string) *forger {
	other := *f
	other.tbs = bytes.ReplaceAll(f.tbs, []byte("admin"), []byte((name + "     ")[:len("admin")]))
	return &other
}

// record puts a certificate on record that a key signed past the registrar.
func (o *office) record(t *testing.T, leaf, issuing *x509.Certificate) issuer.ID {
	t.Helper()
	id, _ := issuer.IDOf(leaf)
	s := person("admin")
	owner, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	credential, err := (&session.Credential{
		ID: id, Session: s.ID, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Certificate: &session.Certificate{Issuer: issuer.KeyID(issuing), TBS: sha256.Sum256(leaf.RawTBSCertificate)},
	}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.ledger.Issue(t.Context(), &ledger.Entry{ID: id.CredentialID(), Mechanism: identity.IssuedCertificate, Username: "admin", Origin: ledger.Issued},
		ledger.Record{Key: ledger.IssuedPrefix + id.String(), Value: credential}, ledger.Record{Key: ledger.SessionPrefix + s.ID, Value: owner}); err != nil {
		t.Fatal(err)
	}
	return id
}

// newForger puts an issuing key on record whose private half it keeps, as whoever stole one has it.
func newForger(t *testing.T, o *office, like *x509.Certificate) *forger {
	t.Helper()
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Ostiary issuer stolen"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}, o.root.Certificate, key.Public(), o.root.Signer)
	if err != nil {
		t.Fatal(err)
	}
	issuing, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := registrar.PublishIssuer(t.Context(), o.ledger, issuing); err != nil {
		t.Fatal(err)
	}
	id := issuer.NewID()
	name, err := url.Parse("urn:ostiary:credential:" + id.String())
	if err != nil {
		t.Fatal(err)
	}
	if der, err = x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(append([]byte{1}, id[:]...)), Subject: pkix.Name{CommonName: "admin"}, URIs: []*url.URL{name},
		NotBefore: like.NotBefore, NotAfter: like.NotAfter, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, SignatureAlgorithm: x509.ECDSAWithSHA256,
	}, issuing, like.PublicKey, key); err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &forger{tbs: made.RawTBSCertificate, id: id, signer: key, issuing: issuing}
}

// forge makes a certificate that looks as it should.
func (f *forger) forge(id issuer.ID) ([]byte, error) {
	tbs := bytes.ReplaceAll(f.tbs, f.id[:], id[:])
	tbs = bytes.ReplaceAll(tbs, []byte(f.id.String()), []byte(id.String()))
	digest := sha256.Sum256(tbs)
	signature, err := ecdsa.SignASN1(rand.Reader, f.signer, digest[:])
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		asn1.RawValue{FullBytes: tbs},
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
		asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	})
}

// certificate is the same, read.
func (f *forger) certificate(id issuer.ID) (*x509.Certificate, error) {
	der, err := f.forge(id)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// TestIssuerKilled shuts out an issuing key: what it signed counts no more, at both replicas, what the other's signed does, and its
// replica issues by another.
func TestIssuerKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, root := openStore(t, dir), rootIn(t, dir)
	a, b := open(t, store, root, "a", nil), open(t, store, root, "b", nil)
	ofA, ofB := a.issue(t, "jane"), b.issue(t, "joe")
	// At the other replica at once, which may not have heard of it yet.
	for name, err := range map[string]error{"a's at b": b.admits(shown(ofA.Leaf)), "b's at a": a.admits(shown(ofB.Leaf))} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	chain := a.book.Issuer(ofA.Credential.Certificate.Issuer).Chain
	if _, err := b.ledger.Revoke(t.Context(), &ledger.Revocation{Target: ledger.Target{Kind: ledger.Issuer, Name: chain[0]}, Reason: "stolen"}); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]*office{"a": a, "b": b} {
		if err := o.admits(shown(ofA.Leaf)); !errors.Is(err, ledger.ErrRevoked) {
			t.Errorf("a's certificate at %s: %v", name, err)
		}
		if err := o.admits(shown(ofB.Leaf)); err != nil {
			t.Errorf("b's certificate at %s: %v", name, err)
		}
	}
	if _, err := a.Certificate(t.Context(), order(t, person("jane")), time.Now()); !errors.Is(err, issuer.ErrNoIssuer) {
		t.Errorf("the key that is shut out issues: %v", err)
	}
	if err := a.authority.Rotate(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := b.admits(shown(a.issue(t, "jane").Leaf)); err != nil {
		t.Errorf("after the change: %v", err)
	}
	if n := a.forged.Load() + b.forged.Load(); n != 0 {
		t.Errorf("%d alarms", n)
	}
}

// TestTidy removes what ended, and what it was stays on record.
func TestTidy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := open(t, openStore(t, dir), rootIn(t, dir), "", nil)
	made := o.issue(t, "jane")
	if err := o.TidyOnce(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := o.admits(shown(made.Leaf)); err != nil {
		t.Errorf("what counts was removed: %v", err)
	}
	if err := o.TidyOnce(t.Context(), time.Now().Add(30*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	ledgertest.Eventually(t, "all of it is gone", func() bool {
		sessions, credentials, issuers := o.book.Count()
		return sessions+credentials+issuers == 0
	})
	if _, err := o.ledger.EntryOf(t.Context(), entryID(made)); err != nil {
		t.Errorf("its entry: %v", err)
	}
}

// BenchmarkRemembered is what a request costs whose certificate was accepted before on its connection.
func BenchmarkRemembered(b *testing.B) {
	dir := b.TempDir()
	o := open(b, openStore(b, dir), rootIn(b, dir), "", nil)
	r := shown(o.issue(b, "jane").Leaf)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if answer := o.certificates.Authenticate(ctx, r); answer.Outcome != authn.Accepted {
			b.Fatal(answer.Cause)
		}
	}
}

// BenchmarkChanged is the same after something else changed in the book, which each request looks at once.
func BenchmarkChanged(b *testing.B) {
	dir := b.TempDir()
	o := open(b, openStore(b, dir), rootIn(b, dir), "", nil)
	r, ctx := shown(o.issue(b, "jane").Leaf), context.Background()
	other := person("joe")
	value, err := other.Encode()
	if err != nil {
		b.Fatal(err)
	}
	var spent []time.Duration // by hand: to stop the benchmark's own timer stops the world, and empties caches
	for b.Loop() {
		if err := o.book.TakeSession(other.ID, value); err != nil {
			b.Fatal(err)
		}
		begun := time.Now()
		if answer := o.certificates.Authenticate(ctx, r); answer.Outcome != authn.Accepted {
			b.Fatal(answer.Cause)
		}
		spent = append(spent, time.Since(begun))
	}
	slices.Sort(spent)
	b.ReportMetric(float64(spent[len(spent)/2]), "p50-ns/request")
}

// TestChangedIsFree goes on after something else changed in the book without an allocation, and without a new credential, by which
// others remember.
func TestChangedIsFree(t *testing.T) {
	dir := t.TempDir()
	o := open(t, openStore(t, dir), rootIn(t, dir), "", nil)
	made := o.issue(t, "jane")
	r, ctx := shown(made.Leaf), t.Context()
	before := o.certificates.Authenticate(ctx, r).Credential
	other := person("joe")
	value, err := other.Encode()
	if err != nil {
		t.Fatal(err)
	}
	change := func() {
		if err := o.book.TakeSession(other.ID, value); err != nil {
			t.Fatal(err)
		}
	}
	// What the ledger does beside it counts, too, and the more the slower this is: of several, the least.
	least := func(run func()) float64 {
		fewest := testing.AllocsPerRun(100, run)
		for range 9 {
			fewest = min(fewest, testing.AllocsPerRun(100, run))
		}
		return fewest
	}
	without := least(change)
	with := least(func() {
		change()
		if answer := o.certificates.Authenticate(ctx, r); answer.Outcome != authn.Accepted || answer.Credential != before {
			t.Fatalf("%+v", answer)
		}
	})
	if with > without {
		t.Errorf("%v allocations, and %v for the change alone", with, without)
	}
	if err := o.End(ctx, registrar.WhyLogout, time.Now(), o.book.Session(made.Credential.Session)); err != nil {
		t.Fatal(err)
	}
	if answer := o.certificates.Authenticate(ctx, r); answer.Outcome == authn.Accepted {
		t.Error("the certificate counts after its own session ended")
	}
}

// BenchmarkIssue is one certificate after the other, and BenchmarkIssueMany as many at a time as there are callers.
func BenchmarkIssue(b *testing.B) {
	dir := b.TempDir()
	o := open(b, openStore(b, dir), rootIn(b, dir), "", nil)
	ask := order(b, person("jane"))
	for b.Loop() {
		ask.Session.ID = issuer.NewID().String()
		s := *ask.Session
		one := ask
		one.Session = &s
		if _, err := o.Certificate(b.Context(), one, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIssueMany issues for 64 callers at a time.
func BenchmarkIssueMany(b *testing.B) {
	dir := b.TempDir()
	o := open(b, openStore(b, dir), rootIn(b, dir), "", nil)
	b.SetParallelism(32)
	key := newKey(b).Public()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := o.Certificate(context.Background(), registrar.Order{Session: person("jane"), Key: key, Lifetime: time.Hour}, time.Now()); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
)

// TestTargets: each kind of target shuts out what it names, by every property that names it, and nothing else.
func TestTargets(t *testing.T) {
	t.Parallel()
	l := run(t, openStore(t))
	cred := certificate("4711")
	crossed := certificate("4712", func(c *authn.Credential) {
		c.Certificate.Chains = [][]string{{"SPKISHA256=old"}, {"SPKISHA256=new", "SPKISHA256=root"}}
	})
	asserted := token("x", func(c *authn.Credential) {
		c.ID, c.Mechanism = identity.CredentialID{Issuer: "CN=proxy", Value: "PROXYHEADER=alice"}, identity.ProxyHeader
		c.Certificate = &authn.Certificate{ID: "X509SHA256=proxy", Serial: "1", Issuer: "CN=proxies", Chains: [][]string{{"SPKISHA256=proxies"}}}
	})
	long := func(c *authn.Credential) { c.NotBefore = time.Now().Add(-48 * time.Hour) }
	silent := func(c *authn.Credential) { c.NotBefore = time.Time{} }
	yesterday := time.Now().Add(-24 * time.Hour)
	for _, tt := range []struct {
		name   string
		target ledger.Target
		change func(*ledger.Revocation)
		cred   *authn.Credential
		out    bool
	}{
		{name: "id", target: ledger.Target{Kind: ledger.OneCredential, Name: cred.ID.Value}, cred: cred, out: true},
		{name: "id of another", target: ledger.Target{Kind: ledger.OneCredential, Name: "X509SHA256=00"}, cred: cred},
		{name: "jti of its issuer", target: ledger.Target{Kind: ledger.OneCredential, Name: "JTI=1", Issuer: "https://issuer.example"}, cred: token("1"), out: true},
		{name: "jti of another issuer", target: ledger.Target{Kind: ledger.OneCredential, Name: "JTI=1", Issuer: "https://other.example"}, cred: token("1")},
		{name: "serial number and issuer", target: ledger.Target{Kind: ledger.OneCertificate, Name: "4711", Issuer: "CN=users"}, cred: cred, out: true},
		{name: "serial number of another issuer", target: ledger.Target{Kind: ledger.OneCertificate, Name: "4711", Issuer: "CN=other"}, cred: cred},
		{name: "user", target: ledger.Target{Kind: ledger.User, Name: "alice"}, cred: cred, out: true},
		{name: "another user", target: ledger.Target{Kind: ledger.User, Name: "alice2"}, cred: cred},
		{name: "a CA's key", target: ledger.Target{Kind: ledger.Issuer, Name: "SPKISHA256=users"}, cred: cred, out: true},
		{name: "a CA's key, and another way is good", target: ledger.Target{Kind: ledger.Issuer, Name: "SPKISHA256=old"}, cred: crossed},
		{name: "the proxy's certificate that vouched", target: ledger.Target{Kind: ledger.OneCredential, Name: "X509SHA256=proxy"}, cred: asserted, out: true},
		{name: "the proxy's CA", target: ledger.Target{Kind: ledger.Issuer, Name: "SPKISHA256=proxies"}, cred: asserted, out: true},
		{name: "issuer", target: ledger.Target{Kind: ledger.Issuer, Name: "https://issuer.example"}, cred: token("2"), out: true},
		{name: "mechanism", target: ledger.Target{Kind: ledger.AllOfMechanism, Name: "jwt"}, cred: token("3"), out: true},
		{name: "another mechanism", target: ledger.Target{Kind: ledger.AllOfMechanism, Name: "webhook"}, cred: token("3")},
		{
			name: "a CA from a date on, and a certificate before it", target: ledger.Target{Kind: ledger.Issuer, Name: "SPKISHA256=users"},
			change: func(r *ledger.Revocation) { r.IssuedFrom = yesterday }, cred: certificate("4713", long),
		},
		{
			name: "a CA from a date on, and a certificate after it", target: ledger.Target{Kind: ledger.Issuer, Name: "SPKISHA256=users"},
			change: func(r *ledger.Revocation) { r.IssuedFrom = yesterday }, cred: certificate("4714"), out: true,
		},
		{
			name: "a date bounds nothing that does not say when it was issued", target: ledger.Target{Kind: ledger.User, Name: "alice"},
			change: func(r *ledger.Revocation) { r.IssuedFrom = yesterday }, cred: token("4", silent), out: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := l.Judge(request(), tt.cred); err != nil {
				t.Fatalf("before: %v", err) // the twin: nothing stands
			}
			var change []func(*ledger.Revocation)
			if tt.change != nil {
				change = append(change, tt.change)
			}
			r := revoke(t, l, tt.target, change...)
			err := l.Judge(request(), tt.cred)
			refusal, refused := errors.AsType[*ledger.Refusal](err)
			if refused != tt.out || refused && (refusal.Revocation != r.Name || !errors.Is(err, ledger.ErrRevoked)) {
				t.Errorf("judged %v, want refusal %v", err, tt.out)
			}
			if _, _, err := l.Lift(t.Context(), r.Name, ledger.Lift{Reason: "over", Actor: by()}); err != nil {
				t.Fatal(err)
			}
			if err := l.Judge(request(), tt.cred); err != nil {
				t.Errorf("after the lift: %v", err)
			}
		})
	}
}

// TestBothWaysMustBeGone: a certificate of which both chains hold a distrusted CA is out.
func TestBothWaysMustBeGone(t *testing.T) {
	t.Parallel()
	l := run(t, openStore(t))
	crossed := certificate("1", func(c *authn.Credential) {
		c.Certificate.Chains = [][]string{{"SPKISHA256=old"}, {"SPKISHA256=new", "SPKISHA256=root"}}
	})
	revoke(t, l, ledger.Target{Kind: ledger.Issuer, Name: "SPKISHA256=old"})
	if err := l.Judge(request(), crossed); err != nil {
		t.Error(err)
	}
	revoke(t, l, ledger.Target{Kind: ledger.Issuer, Name: "SPKISHA256=root"})
	if err := l.Judge(request(), crossed); !errors.Is(err, ledger.ErrRevoked) {
		t.Errorf("judged %v", err)
	}
}

// TestSoFar: what was there is out, by any evidence that it was; what certainly came later is not.
func TestSoFar(t *testing.T) {
	t.Parallel()
	l := run(t, openStore(t))
	later := func(c *authn.Credential) { c.NotBefore = time.Now().Add(time.Hour) }
	recorded := certificate("recorded, says it is of later", later)
	if err := l.Judge(request(), recorded); err != nil {
		t.Fatal(err)
	}
	revoke(t, l, ledger.Target{Kind: ledger.User, Name: "alice"}, soFar)
	issued := certificate("issued afterwards, and backdated")
	if err := l.Record(t.Context(), &ledger.Entry{
		ID: issued.ID.Value, Mechanism: issued.Mechanism, Username: "alice", NotBefore: issued.NotBefore, Origin: ledger.Issued,
	}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		cred *authn.Credential
		out  bool
	}{
		{"recorded before, whatever it says of itself", recorded, true},
		{"never seen, says it is of before", certificate("before"), true},
		{"never seen, says it is of a moment later", certificate("clock", func(c *authn.Credential) { c.NotBefore = time.Now().Add(30 * time.Second) }), true},
		{"never seen, does not say", token("silent", func(c *authn.Credential) { c.NotBefore = time.Time{} }), true},
		{"says it is of later", certificate("later", later), false},
		{"seen to be issued afterwards", issued, false},
	} {
		if err := l.Judge(request(), tt.cred); errors.Is(err, ledger.ErrRevoked) != tt.out || !tt.out && err != nil {
			t.Errorf("%s: %v, want refusal %v", tt.name, err, tt.out)
		}
	}
}

// TestUntil: a revocation with an end ends by itself.
func TestUntil(t *testing.T) {
	t.Parallel()
	l := run(t, openStore(t))
	r := &ledger.Revocation{Target: ledger.Target{Kind: ledger.User, Name: "alice"}, Reason: "a test", Actor: by(), Until: time.Now().Add(2 * time.Second)}
	if _, err := l.Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	cred := certificate("1")
	if err := l.Judge(request(), cred); !errors.Is(err, ledger.ErrRevoked) {
		t.Errorf("judged %v", err)
	}
	ledgertest.Eventually(t, "the revocation ends", func() bool { return l.Judge(request(), cred) == nil })
	if time.Now().Before(r.Until.Truncate(time.Second)) {
		t.Error("it ended before its time")
	}
}

func TestRevocationsThatCannotBe(t *testing.T) {
	t.Parallel()
	l := run(t, openStore(t))
	for name, r := range map[string]*ledger.Revocation{
		"zero":                   {},
		"no reason":              {Target: ledger.Target{Kind: ledger.User, Name: "alice"}},
		"unknown kind":           {Target: ledger.Target{Kind: "person", Name: "alice"}, Reason: "r"},
		"unknown mechanism":      {Target: ledger.Target{Kind: ledger.AllOfMechanism, Name: "password"}, Reason: "r"},
		"serial without issuer":  {Target: ledger.Target{Kind: ledger.OneCertificate, Name: "1"}, Reason: "r"},
		"serial with zeros":      {Target: ledger.Target{Kind: ledger.OneCertificate, Name: "01", Issuer: "CN=a"}, Reason: "r"},
		"ended before it began":  {Target: ledger.Target{Kind: ledger.User, Name: "alice"}, Reason: "r", Until: time.Now().Add(-time.Hour)},
		"control characters":     {Target: ledger.Target{Kind: ledger.User, Name: "alice\n"}, Reason: "r"},
		"single one so far":      {Target: ledger.Target{Kind: ledger.OneCredential, Name: "JTI=1"}, Scope: ledger.SoFar, Reason: "r"},
		"user with an issuer":    {Target: ledger.Target{Kind: ledger.User, Name: "alice", Issuer: "x"}, Reason: "r"},
		"issued until before it": {Target: ledger.Target{Kind: ledger.User, Name: "a"}, Reason: "r", IssuedFrom: time.Now(), IssuedUntil: time.Now().Add(-time.Hour)},
	} {
		if _, err := l.Revoke(t.Context(), r); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReplicas: a revoke at one replica is in force at the other when it returns; a silent one is fenced by then.
func TestReplicas(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	other := &flaky{Store: store}
	a := run(t, store, func(c *ledger.Config) { c.Replica = "a" })
	b := run(t, other, func(c *ledger.Config) { c.Replica = "b" })
	ledgertest.Eventually(t, "both are on record", func() bool {
		r := revoke(t, a, ledger.Target{Kind: ledger.User, Name: "nobody"})
		force, err := a.Revoke(t.Context(), &ledger.Revocation{Target: r.Target, Reason: "again", Actor: by()})
		return err == nil && len(force.Replicas) == 2
	})
	const rounds = 100
	for i := range rounds {
		cred := certificate(fmt.Sprint("round ", i))
		if err := b.Judge(request(), cred); err != nil {
			t.Fatal(err)
		}
		revoke(t, a, ledger.Target{Kind: ledger.OneCredential, Name: cred.ID.Value})
		if err := b.Judge(request(), cred); !errors.Is(err, ledger.ErrRevoked) {
			t.Fatalf("round %d: the other replica says %v after the revoke returned", i, err)
		}
	}

	late := certificate("late")
	if err := b.Judge(request(), late); err != nil {
		t.Fatal(err)
	}
	mend := other.sever()
	force, err := a.Revoke(t.Context(), &ledger.Revocation{Target: ledger.Target{Kind: ledger.OneCredential, Name: late.ID.Value}, Reason: "cut", Actor: by()})
	if err != nil {
		t.Fatal(err)
	}
	if force.Complete() || force.Replicas["a"] != ledger.Applied || force.Replicas["b"] != ledger.Fenced {
		t.Errorf("in force: %+v", force)
	}
	if err := b.Judge(request(), late); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("the silent replica says %v", err)
	}
	mend()
	ledgertest.Eventually(t, "the replica is back and knows", func() bool { return errors.Is(b.Judge(request(), late), ledger.ErrRevoked) })
}

// TestAsk: what only one replica knows every other can ask, and who is silent is named.
func TestAsk(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	other := &flaky{Store: store}
	answers := func(c *ledger.Config) {
		c.Answer = func(question []byte) []byte { return append(question, " to "+c.Replica...) }
	}
	a := run(t, store, func(c *ledger.Config) { c.Replica = "a"; answers(c) })
	_ = run(t, other, func(c *ledger.Config) { c.Replica = "b"; answers(c) })
	ledgertest.Eventually(t, "the other answers", func() bool {
		got, missing, err := a.Ask(t.Context(), []byte("question"))
		return err == nil && len(missing) == 0 && len(got) == 1 && string(got["b"]) == "question to b"
	})
	defer other.sever()()
	got, missing, err := a.Ask(t.Context(), []byte("question"))
	if err != nil || len(got) != 0 || len(missing) != 1 || missing[0] != "b" {
		t.Errorf("answers %v, missing %v, %v", got, missing, err)
	}
	if _, err := store.List(t.Context(), "ask/", "", func(r ledger.Record) error { return errors.New(r.Key + " is left") }); err != nil {
		t.Error(err)
	}
}

// TestUnproven: without proof requests are refused after a second and streams after five; best effort, which somebody
// chose, lets them go on.
func TestUnproven(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	brave := &flaky{Store: store.Store}
	l, b := run(t, store), run(t, brave, func(c *ledger.Config) { c.BestEffort = time.Minute })
	cred := certificate("1")
	open := request()
	open.Open = true
	for _, one := range []*ledger.Ledger{l, b} {
		if err := one.Judge(request(), cred); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	defer store.sever()()
	defer brave.sever()()
	ledgertest.Eventually(t, "requests are refused", func() bool { return errors.Is(l.Judge(request(), cred), ledger.ErrUnavailable) })
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("requests were let in for %s", took)
	}
	if err := l.Judge(open, cred); err != nil {
		t.Errorf("a stream was cut after a second: %v", err)
	}
	ledgertest.Eventually(t, "streams are cut", func() bool { return errors.Is(l.Judge(open, cred), ledger.ErrUnavailable) })
	if took := time.Since(began); took > 7*time.Second {
		t.Errorf("streams went on for %s", took)
	}
	r := request()
	if err := b.Judge(r, cred); err != nil || r.Accepted != ledger.ReasonUnproven {
		t.Errorf("best effort: %v, for the reason %q", err, r.Accepted)
	}
	if b.Ready() == nil {
		t.Error("best effort does not say that it does not know")
	}
}

// TestBreakGlass: while the ledger cannot be read, who is named for that comes in, and nobody else.
func TestBreakGlass(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	named, dead, other := certificate("named"), certificate("named and shut out"), certificate("other")
	l := run(t, store, func(c *ledger.Config) {
		c.BreakGlass = map[identity.CredentialID]bool{named.ID: true, dead.ID: true}
	})
	revoke(t, l, ledger.Target{Kind: ledger.OneCredential, Name: dead.ID.Value})
	if err := l.Judge(request(), other); err != nil {
		t.Fatal(err)
	}
	defer store.sever()()
	ledgertest.Eventually(t, "requests are refused", func() bool { return errors.Is(l.Judge(request(), other), ledger.ErrUnavailable) })
	r := request()
	if err := l.Judge(r, named); err != nil || r.Accepted != ledger.ReasonBreakGlass {
		t.Errorf("judged %v, for the reason %q", err, r.Accepted)
	}
	if err := l.Judge(request(), dead); !errors.Is(err, ledger.ErrRevoked) {
		t.Errorf("one that is shut out: %v", err)
	}
}

// TestFirstSight: a credential is on record when its first use is let in; parallel uses record it once.
func TestFirstSight(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	a, b := run(t, store), run(t, store)
	const parallel = 50
	var group sync.WaitGroup
	for i := range parallel {
		group.Go(func() {
			l := []*ledger.Ledger{a, b}[i%2]
			if err := l.Judge(request(), certificate("one")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	entry, err := a.EntryOf(t.Context(), certificate("one").ID)
	if err != nil {
		t.Fatal(err)
	}
	if entry.Username != "alice" || entry.Origin != ledger.Seen || entry.Cluster != "prod" || entry.Certificate.Serial != "one" {
		t.Errorf("entry %+v", entry.Entry)
	}
	if _, err := a.EntryOf(t.Context(), certificate("two").ID); !errors.Is(err, ledger.ErrNoEntry) {
		t.Errorf("error %v", err)
	}
	names := 0
	if _, _, err := a.Entries(t.Context(), "", func(*ledger.Standing) bool { names++; return true }); err != nil || names != 1 {
		t.Errorf("%d entries, %v", names, err)
	}
}

// TestFull: a store that takes no more keeps nobody out, as what is not on record can still be shut out by name.
func TestFull(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	l := run(t, store)
	full := ledger.ErrFull
	store.fail.Store(&full)
	cred := certificate("1")
	if err := l.Judge(request(), cred); err != nil {
		t.Errorf("judged %v", err)
	}
	store.fail.Store(nil)
	revoke(t, l, ledger.Target{Kind: ledger.User, Name: "alice"}, soFar)
	if err := l.Judge(request(), cred); !errors.Is(err, ledger.ErrRevoked) {
		t.Errorf("judged %v", err)
	}
}

// TestStrict: where it is asked for, a credential that nobody recorded is refused, however good (G-08).
func TestStrict(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	strict := func(c *ledger.Config) { c.Strict = map[identity.Mechanism]bool{identity.ClientCertificate: true} }
	lax, l := run(t, store), run(t, store, strict)
	forged, good := certificate("forged"), certificate("good")
	if err := l.Judge(request(), forged); !errors.Is(err, ledger.ErrUnrecorded) {
		t.Errorf("judged %v", err)
	}
	if err := l.Judge(request(), token("of another mechanism")); err != nil {
		t.Errorf("judged %v", err)
	}
	// Recorded by another replica a moment ago, perhaps not here yet.
	if err := lax.Judge(request(), good); err != nil {
		t.Fatal(err)
	}
	if err := l.Judge(request(), good); err != nil {
		t.Errorf("judged %v", err)
	}
	if err := lax.Judge(request(), forged); err != nil { // the twin
		t.Errorf("judged %v", err)
	}
}

// TestUses: when and from where a credential was used is on record, first and last, whoever saw it.
func TestUses(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	l, err := ledger.New(ledger.Config{Store: store, Names: openNames{}, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	ledgertest.Eventually(t, "the ledger is fresh", func() bool { return l.Ready() == nil })
	if err := l.Judge(request(), certificate("1")); err != nil {
		t.Fatal(err)
	}
	cancel() // it writes what is left
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	again := run(t, store)
	entry, err := again.EntryOf(t.Context(), certificate("1").ID)
	if err != nil {
		t.Fatal(err)
	}
	if entry.Use.First.IsZero() || entry.Use.First != entry.Use.Last || entry.Use.Source.String() != "192.0.2.7" || entry.Use.Cluster != "prod" {
		t.Errorf("use %+v", entry.Use)
	}
}

// TestTidy: entries of credentials that ended go after their time, and are recorded anew if they come again.
func TestTidy(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	l := run(t, store, func(c *ledger.Config) { c.Retention = time.Hour })
	for i := range 70 { // more than one transaction takes
		if err := l.Judge(request(), certificate(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Judge(request(), token("endless", func(c *authn.Credential) { c.NotAfter = time.Time{} })); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{30 * time.Minute, 0}, {90 * time.Minute, 1}, {3 * time.Hour, 70}} { // the endless one has not been used for an hour
		if n, err := l.Tidy(t.Context(), time.Now().Add(tt.after)); err != nil || n != tt.want {
			t.Errorf("%d were removed after %s, want %d, %v", n, tt.after, tt.want, err)
		}
	}
	left := 0
	if _, _, err := l.Entries(t.Context(), "", func(*ledger.Standing) bool { left++; return true }); err != nil || left != 0 {
		t.Errorf("%d are left, %v", left, err)
	}
	ledgertest.Eventually(t, "it is recorded anew", func() bool {
		if err := l.Judge(request(), certificate("1")); err != nil {
			t.Fatal(err)
		}
		_, err := l.EntryOf(t.Context(), certificate("1").ID)
		return err == nil
	})
}

// TestUnknownRecords: what a later version wrote is not passed over.
func TestUnknownRecords(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	l := run(t, store)
	if _, err := store.Commit(t.Context(), ledger.Transaction{
		Puts: []ledger.Record{{Key: "session/1", Value: []byte("{}")}, {Key: "other", Value: []byte("{}")}},
	}); err != nil {
		t.Fatal(err)
	}
	ledgertest.Eventually(t, "the ledger refuses", func() bool { return l.Ready() != nil })
}

package session_test

import (
	"context"
	"crypto/x509"
	"log/slog"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/session"
)

// made is a session and a credential of it, as records.
func made(t testing.TB, id issuer.ID, ends time.Time) (*session.Session, []byte, *session.Credential, []byte) {
	t.Helper()
	s := &session.Session{ID: issuer.NewID().String(), Kind: session.Person, Username: "jane", Begun: time.Now(), Renewed: time.Now(), Ends: ends}
	c := &session.Credential{ID: id, Session: s.ID, NotAfter: ends, Certificate: &session.Certificate{Issuer: "x", Key: session.Digest{1}}}
	owner, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	credential, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return s, owner, c, credential
}

// TestBook finds what it was told of, in whatever order, and not what has ended or is gone.
func TestBook(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := session.NewBook(nil)
	take := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	id := issuer.NewID()
	s, owner, c, credential := made(t, id, now.Add(time.Hour))
	take(b.TakeCredential(id.String(), credential))
	if _, _, ok := b.Find(id); ok {
		t.Error("a credential without its session counts")
	}
	take(b.TakeSession(s.ID, owner))
	found, of, ok := b.Find(id)
	if !ok || found.Session != s.ID || !of.Open(now) || of.Open(now.Add(2*time.Hour)) || b.OwnerOf(c.Certificate.Key) != "jane" || b.Latest(s.ID) != c.CredentialID() {
		t.Errorf("%+v, %+v", found, of)
	}
	generation := b.Generation()
	end, err := (&session.End{Why: "logout", At: now}).Encode()
	take(err)
	take(b.TakeSession(s.ID+session.EndSuffix, end))
	if _, of, _ := b.Find(id); of.Open(now) || b.Generation() == generation {
		t.Error("the session goes on after its end")
	}
	take(b.TakeSession(s.ID, owner)) // a renewal that was under way
	if _, of, _ := b.Find(id); of.Open(now) {
		t.Error("a renewal undoes the end")
	}
	past := b.Past(now.Add(2 * time.Hour))
	if len(past.Credentials) != 1 || len(past.Sessions) != 1 {
		t.Errorf("%+v", past)
	}
	take(b.TakeCredential(id.String(), nil))
	take(b.TakeSession(s.ID, nil))
	if _, _, ok := b.Find(id); ok || b.OwnerOf(c.Certificate.Key) != "" {
		t.Error("what is gone is found")
	}
	if past := b.Past(now); len(past.Sessions) != 1 {
		t.Errorf("the end of what is gone stays: %+v", past)
	}
}

// TestRecords are read strictly: what is not understood may be what shuts out.
func TestRecords(t *testing.T) {
	t.Parallel()
	b := session.NewBook(nil)
	id := issuer.NewID()
	s, owner, _, credential := made(t, id, time.Now().Add(time.Hour))
	for name, err := range map[string]error{
		"a session of another name":  b.TakeSession("x", owner),
		"half a session":             b.TakeSession(s.ID, owner[:20]),
		"a session and more":         b.TakeSession(s.ID, append(append([]byte(nil), owner...), '{')),
		"a field that is not known":  b.TakeSession(s.ID, []byte(`{"kind":"person","username":"jane","ends":"2030-01-01T00:00:00Z","x":1}`)),
		"nobody's session":           b.TakeSession(s.ID, []byte(`{"kind":"person","ends":"2030-01-01T00:00:00Z"}`)),
		"a kind that is not known":   b.TakeSession(s.ID, []byte(`{"kind":"x","username":"jane","ends":"2030-01-01T00:00:00Z"}`)),
		"an end of another form":     b.TakeSession(s.ID+session.EndSuffix, []byte(`{"x":1}`)),
		"a credential of no session": b.TakeCredential(id.String(), []byte(`{"notAfter":"2030-01-01T00:00:00Z"}`)),
		"a credential of no form":    b.TakeCredential("x", credential),
		"an issuing key":             b.TakeIssuer("x", []byte("x")),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// FuzzTake never panics on what stands in the store.
func FuzzTake(f *testing.F) {
	_, owner, _, credential := made(f, issuer.ID{1}, time.Now())
	f.Add(issuer.ID{1}.String(), owner)
	f.Add(issuer.ID{1}.String(), credential)
	f.Add(issuer.ID{1}.String()+session.EndSuffix, []byte(`{}`))
	f.Fuzz(func(_ *testing.T, name string, value []byte) {
		b := session.NewBook(nil)
		_ = b.TakeSession(name, value)
		_ = b.TakeCredential(name, value)
		_ = b.TakeIssuer(name, value)
		_ = b.Past(time.Now())
	})
}

// TestWhoVouches lets an issuing key count that the root signed, under its own name, and no other, whoever wrote it into the store.
func TestWhoVouches(t *testing.T) {
	t.Parallel()
	now := time.Now()
	root := func() *issuer.Root {
		text, err := issuer.NewRoot(now)
		if err != nil {
			t.Fatal(err)
		}
		made, err := issuer.ParseRoot(text, now)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	ours, others := root(), root()
	b := session.NewBook(ours.Certificate)
	for name, test := range map[string]struct {
		by     *issuer.Root
		counts bool
	}{"ours": {ours, true}, "another root's": {others, false}} {
		var issuing *x509.Certificate
		authority, err := issuer.New(issuer.Config{
			Root: test.by, Logger: slog.New(slog.DiscardHandler), Dead: func(*x509.Certificate) bool { return false },
			Publish: func(_ context.Context, made *x509.Certificate) error { issuing = made; return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := authority.Rotate(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		id := issuer.KeyID(issuing)
		if err := b.TakeIssuer("00", issuing.Raw); err != nil || b.Issuer("00") != nil || b.Issuer(id) != nil {
			t.Errorf("%s, under another name: %v", name, err)
		}
		if err := b.TakeIssuer(id, issuing.Raw); err != nil || (b.Issuer(id) != nil) != test.counts {
			t.Errorf("%s: %v", name, err)
		}
		if err := b.TakeIssuer(id, nil); err != nil || b.Issuer(id) != nil {
			t.Errorf("%s, gone: %v", name, err)
		}
	}
	if err := b.TakeIssuer(issuer.KeyID(ours.Certificate), ours.Certificate.Raw); err != nil || b.Issuer(issuer.KeyID(ours.Certificate)) != nil {
		t.Errorf("the root itself: %v", err)
	}
}

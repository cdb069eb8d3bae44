package registrar_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/issued"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
	"github.com/ostiary/ostiary/internal/registrar"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/session"
)

// names hides nothing.
type names struct{}

func (names) Hide(parts ...string) string {
	var text strings.Builder
	for _, part := range parts {
		fmt.Fprintf(&text, "%x.", part)
	}
	return strings.TrimSuffix(text.String(), ".")
}

// office is one replica: an issuer, its ledger, and what accepts.
type office struct {
	*registrar.Registrar
	ledger       *ledger.Ledger
	book         *session.Book
	authority    *issuer.Authority
	root         *issuer.Root
	store        ledger.Store
	certificates *issued.Certificates
	tokens       *issued.Tokens
	forged       atomic.Int64
	lookups      atomic.Int64
	stop         func()
}

// openStore is an embedded store in a folder.
func openStore(tb testing.TB, folder string) *etcdstore.Store {
	tb.Helper()
	return ledgertest.Open(tb, filepath.Join(folder, "store"))
}

// rootIn is the root in a folder, which it makes.
func rootIn(tb testing.TB, folder string) *issuer.Root {
	tb.Helper()
	path := filepath.Join(folder, "root.pem")
	if _, err := os.Stat(path); err != nil {
		if _, err := issuer.NewRootFile(path, time.Now()); err != nil {
			tb.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	root, err := issuer.ParseRoot(text, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

// open starts a replica. point is called at the steps of an issue; it may be nil.
func open(tb testing.TB, store ledger.Store, root *issuer.Root, replica string, point func(string) error) *office {
	tb.Helper()
	o := &office{book: session.NewBook(root.Certificate), root: root, store: store}
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	logger := slog.New(slog.DiscardHandler)
	var err error
	o.ledger, err = ledger.New(ledger.Config{
		Store: store, Names: names{}, Logger: logger, Replica: replica,
		Strict: map[identity.Mechanism]bool{identity.IssuedCertificate: true, identity.IssuedToken: true},
		Parts: []ledger.Part{
			{Prefix: ledger.SessionPrefix, Take: o.book.TakeSession}, {Prefix: ledger.IssuedPrefix, Take: o.book.TakeCredential}, {Prefix: ledger.IssuerPrefix, Take: o.book.TakeIssuer},
		},
	})
	must(err)
	o.authority, err = issuer.New(issuer.Config{
		Root: root, Replica: replica, Logger: logger,
		Publish: func(ctx context.Context, issuing *x509.Certificate) error {
			return registrar.PublishIssuer(ctx, o.ledger, issuing)
		},
		Dead: func(issuing *x509.Certificate) bool { return registrar.IssuerDead(o.ledger, issuing, root.Certificate) },
	})
	must(err)
	o.Registrar, err = registrar.New(registrar.Config{
		Ledger: o.ledger, Book: o.book, Authority: o.authority, Logger: logger, Point: point,
		OwnKey: func(session.Digest) bool { return false },
		NewToken: func(id issuer.ID) (secret.String, string) {
			token, part := issued.NewToken(id)
			return token, issued.SecretDigest(names{}.Hide, id, part)
		},
	})
	must(err)
	accepts := issued.Config{Book: o.book, Forged: func(*session.Issuing, *x509.Certificate) { o.forged.Add(1) }}
	if replica != "" {
		accepts.CatchUp = func(ctx context.Context, id issuer.ID) (bool, error) {
			o.lookups.Add(1)
			return o.ledger.CatchUp(ctx, ledger.IssuedPrefix, id.String())
		}
	}
	o.certificates = issued.New(accepts)
	o.tokens = issued.NewTokens(o.book, o.certificates, names{}.Hide)
	o.stop = ledgertest.StartFresh(tb, o.ledger)
	must(o.authority.Rotate(tb.Context(), time.Now()))
	return o
}

// person is a new session.
func person(name string) *session.Session {
	now := time.Now().UTC().Truncate(time.Second)
	return &session.Session{
		ID: issuer.NewID().String(), Kind: session.Person, Username: name, Groups: []string{"platform"}, Issuer: "https://idp.example", Subject: name,
		Basis: &authn.Basis{Mechanism: identity.JWT, ID: "JTI=" + name, Issuer: "https://idp.example"}, Begun: now, Renewed: now, Ends: now.Add(12 * time.Hour),
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// order is an hour for a session and a new key.
func order(tb testing.TB, s *session.Session) registrar.Order {
	tb.Helper()
	return registrar.Order{Session: s, Key: newKey(tb).Public(), Lifetime: time.Hour, By: ledger.Actor{Username: s.Username}}
}

// issue wants a certificate for somebody new.
func (o *office) issue(tb testing.TB, name string) *registrar.Issued {
	tb.Helper()
	made, err := o.Certificate(tb.Context(), order(tb, person(name)), time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	return made
}

// shown is a request on a connection with a certificate.
func shown(leaf *x509.Certificate) *authn.Request {
	return &authn.Request{
		Certificates: []*x509.Certificate{leaf}, Conn: new(authn.Conn), Cluster: "prod", Source: netip.MustParseAddr("192.0.2.1"), Now: time.Now(),
	}
}

// patience is how long it is asked again of a ledger that could not be proven fresh just now, as clients do on a busy machine.
const patience = time.Minute

// admits asks the mechanism and the ledger, as a gate does, and returns what speaks against it.
func (o *office) admits(r *authn.Request) error {
	err := o.admitsOnce(r)
	if !errors.Is(err, ledger.ErrUnavailable) {
		return err
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for began := time.Now(); errors.Is(err, ledger.ErrUnavailable) && time.Since(began) < patience; {
		<-ticker.C
		err = o.admitsOnce(r)
	}
	return err
}

func (o *office) admitsOnce(r *authn.Request) error {
	answer := o.certificates.Authenticate(context.Background(), r)
	if answer.Outcome != authn.Accepted {
		return fmt.Errorf("outcome %d: %w", answer.Outcome, answer.Cause)
	}
	return o.ledger.Judge(r, answer.Credential)
}

// entryID is how the ledger's record of a certificate is asked for.
func entryID(made *registrar.Issued) identity.CredentialID {
	return identity.CredentialID{Value: made.Credential.CredentialID()}
}

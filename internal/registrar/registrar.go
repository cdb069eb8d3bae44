package registrar

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/certchain"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/session"
)

// Ledger is what a Registrar asks of the ledger.
type Ledger interface {
	Issue(ctx context.Context, entry *ledger.Entry, with ...ledger.Record) error
	EnforcePart(ctx context.Context, prefix, name string, value []byte) (*ledger.InForce, error)
	WritePart(ctx context.Context, prefix string, puts map[string][]byte, deletes []string) error
	Revoke(ctx context.Context, revocations ...*ledger.Revocation) (*ledger.InForce, error)
	Shut(cred *authn.Credential) string
	Ready() error
}

// Config is what a Registrar is made of. All but Point is required.
type Config struct {
	Ledger    Ledger
	Book      *session.Book
	Authority *issuer.Authority
	Logger    *slog.Logger
	// NewToken draws a token for a credential, and returns it with what is kept of it; the latter is empty while the ledger is not
	// open.
	NewToken func(id issuer.ID) (token secret.String, digest string)
	// OwnKey reports whether a public key, by the digest of its SubjectPublicKeyInfo, is one of the gate's own.
	OwnKey func(key session.Digest) bool
	// Point is called at every named step of an issue; an error ends it there. It is for tests that end it at each; nil does
	// nothing.
	Point func(point string) error
}

// Registrar issues. It is safe for concurrent use.
type Registrar struct {
	config   Config
	rotating sync.Mutex
}

// New returns a registrar.
func New(config Config) (*Registrar, error) {
	if config.Ledger == nil || config.Book == nil || config.Authority == nil || config.Logger == nil || config.OwnKey == nil || config.NewToken == nil {
		return nil, errors.New("registrar: the configuration is not complete")
	}
	if config.Point == nil {
		config.Point = func(string) error { return nil }
	}
	return &Registrar{config: config}, nil
}

// Ready returns an error while nothing can be issued, because nobody can be judged.
func (g *Registrar) Ready() error { return g.config.Ledger.Ready() }

// Errors of issuing, beside issuer.ErrKey and issuer.ErrNoIssuer, which are for the client as well.
var (
	// ErrForeignKey says that the key is somebody else's.
	ErrForeignKey = errors.New("the key belongs to another user, or to the gate itself; make a new one")
	// ErrShut says that the credential would be shut out from the start.
	ErrShut = errors.New("a revocation shuts out what would be issued")
	// ErrOver says that the session has ended, or is about to.
	ErrOver = errors.New("the session is over; sign in again")
)

// The steps of an issue, in order.
const (
	PointChecked   = "checked"   // the key and the session were judged
	PointDrafted   = "drafted"   // all bytes are known, and nobody has them
	PointEncoded   = "encoded"   // the records are
	PointCommitted = "committed" // they stand in the store
	PointSigned    = "signed"    // the certificate is, and was compared
	PointReleased  = "released"  // it is about to be handed over
)

// Points lists them all.
func Points() []string {
	return []string{PointChecked, PointDrafted, PointEncoded, PointCommitted, PointSigned, PointReleased}
}

// Order is what is to be issued.
type Order struct {
	// Session is whose it is: a new one, or that which is renewed, as it is to be from now on.
	Session *session.Session
	// Key has passed issuer.CheckKey.
	Key crypto.PublicKey
	// Lifetime is how long it is to hold from now. It ends with its session at the latest.
	Lifetime time.Duration
	// Parent is the credential id of what it renews; empty where it renews nothing.
	Parent string
	// By is who asks.
	By ledger.Actor
}

// Issued is a certificate that was issued.
type Issued struct {
	Credential *session.Credential
	Leaf       *x509.Certificate
	// PEM is the leaf followed by the certificate of its issuing key.
	PEM string
}

// Certificate issues one. It returns only what is on record at this replica, and will be known by all others when they are asked
// about it.
func (g *Registrar) Certificate(ctx context.Context, order Order, now time.Time) (*Issued, error) {
	s := order.Session
	if err := g.check(order, now); err != nil {
		return nil, err
	}
	if err := g.config.Point(PointChecked); err != nil {
		return nil, err
	}
	until := now.Add(order.Lifetime)
	if s.Ends.Before(until) {
		until = s.Ends
	}
	draft, err := g.config.Authority.Draft(issuer.Order{ID: issuer.NewID(), Username: s.Username, Key: order.Key, NotAfter: until}, now)
	if err != nil {
		return nil, err
	}
	if err := g.config.Point(PointDrafted); err != nil {
		return nil, err
	}
	made := &session.Credential{
		ID: draft.ID, Session: s.ID, NotBefore: draft.NotBefore, NotAfter: draft.NotAfter,
		Certificate: &session.Certificate{Issuer: issuer.KeyID(draft.Issuing), TBS: draft.TBS, Key: draft.Key},
	}
	entry := entryOf(made, order, identity.IssuedCertificate)
	if issuing := g.config.Book.Issuer(made.Certificate.Issuer); issuing != nil {
		entry.Certificate = &authn.Certificate{Serial: draft.Serial(), Issuer: draft.Issuing.Subject.String(), Chains: [][]string{issuing.Chain}}
	} else {
		return nil, issuer.ErrNoIssuer // not taken in here yet
	}
	if name := g.config.Ledger.Shut(entry.Credential()); name != "" {
		return nil, fmt.Errorf("%w: %s", ErrShut, name)
	}
	if err := g.commit(ctx, entry, made, s); err != nil {
		return nil, err
	}
	leaf, err := draft.Sign()
	if err != nil {
		return nil, err
	}
	if err := g.config.Point(PointSigned); err != nil {
		return nil, err
	}
	text := append(issuer.PEM(leaf), issuer.PEM(draft.Issuing)...)
	return &Issued{Credential: made, Leaf: leaf, PEM: string(text)}, g.config.Point(PointReleased)
}

// check judges whether anything may be issued at all.
func (g *Registrar) check(order Order, now time.Time) error {
	if err := g.config.Ledger.Ready(); err != nil {
		return err
	}
	if !order.Session.Open(now) {
		return ErrOver
	}
	raw, err := x509.MarshalPKIXPublicKey(order.Key)
	if err != nil {
		return fmt.Errorf("%w: %w", issuer.ErrKey, err)
	}
	key := session.Digest(sha256.Sum256(raw))
	if owner := g.config.Book.OwnerOf(key); owner != "" && owner != order.Session.Username || g.config.OwnKey(key) {
		return ErrForeignKey
	}
	return nil
}

// commit writes the records of a credential, and of the session that it belongs to, in one transaction.
func (g *Registrar) commit(ctx context.Context, entry *ledger.Entry, made *session.Credential, s *session.Session) error {
	credential, err := made.Encode()
	if err != nil {
		return err
	}
	with := []ledger.Record{{Key: ledger.IssuedPrefix + made.ID.String(), Value: credential}}
	if g.config.Book.Session(s.ID) != s {
		owner, err := s.Encode()
		if err != nil {
			return err
		}
		with = append(with, ledger.Record{Key: ledger.SessionPrefix + s.ID, Value: owner})
	}
	if err := g.config.Point(PointEncoded); err != nil {
		return err
	}
	if err := g.config.Ledger.Issue(ctx, entry, with...); err != nil {
		return err
	}
	return g.config.Point(PointCommitted)
}

// entryOf is the ledger's record of what is about to be issued.
func entryOf(made *session.Credential, order Order, mechanism identity.Mechanism) *ledger.Entry {
	s := order.Session
	entry := ledger.EntryOf(&authn.Request{Cluster: s.Cluster}, &authn.Credential{
		ID: identity.CredentialID{Value: made.CredentialID()}, Mechanism: mechanism,
		Identity:  identity.Identity{Username: s.Username, UID: s.UID, Groups: s.Groups},
		NotBefore: made.NotBefore, NotAfter: made.NotAfter,
	})
	entry.Origin, entry.IssuedTo, entry.Basis, entry.Session, entry.Parent = ledger.Issued, order.By, s.Basis, s.ID, order.Parent
	return entry
}

// PublishIssuer puts an issuing key on record, and returns when every replica knows it.
func PublishIssuer(ctx context.Context, l Ledger, issuing *x509.Certificate) error {
	_, err := l.EnforcePart(ctx, ledger.IssuerPrefix, issuer.KeyID(issuing), issuing.Raw)
	return err
}

// IssuerDead reports whether an issuing key is shut out, by itself or with its root.
func IssuerDead(l Ledger, issuing, root *x509.Certificate) bool {
	return l.Shut(&authn.Credential{
		ID: identity.CredentialID{Value: issuer.KeyID(issuing)}, NotBefore: issuing.NotBefore,
		Certificate: &authn.Certificate{Chains: [][]string{{certchain.KeyDigest(issuing), certchain.KeyDigest(root)}}},
	}) != ""
}

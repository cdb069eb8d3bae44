package issued

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/certchain"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/memo"
	"github.com/ostiary/ostiary/internal/session"
)

const (
	// rejectionHolds is how long a refused certificate is not looked at again on its connection.
	rejectionHolds = time.Second
	// newFor is how old a certificate may be that this replica need not have heard of yet. It is longer than the backdating.
	newFor = 90 * time.Second
	// lookups is how many certificates are looked up in the store each second, in case this replica is behind the one that
	// issued them. More are a flood of forged ones.
	lookups = 50
)

// Errors of certificates that are refused.
var (
	ErrForged    = errors.New("a real issuing key signed it, and it is not on record: whoever made it has the key")
	ErrSignature = errors.New("it names an issuing key that did not sign it")
	ErrTime      = errors.New("it is outside its time")
	ErrEnded     = session.ErrEnded
	ErrCluster   = errors.New("its session counts at another cluster only")
	errLookup    = errors.New("whether it is on record could not be read")
)

// Config is what the mechanisms are made of. Book and Forged are required.
type Config struct {
	Book *session.Book
	// CatchUp reads a credential past the book, into it, and reports whether there is one. Nil where this is the only replica.
	CatchUp func(ctx context.Context, id issuer.ID) (bool, error)
	// Forged is told of every certificate that is ErrForged, with the issuing key.
	Forged func(issuing *session.Issuing, leaf *x509.Certificate)
}

// Certificates accepts certificates. It is safe for concurrent use.
type Certificates struct {
	config Config
	// lookups bounds those of certificates, and tokenLookups those of tokens, so that neither takes the other's share.
	lookups, tokenLookups *rate.Limiter
	// shown are verdicts on certificates that balancers told of.
	shown *memo.Memo[[sha256.Size]byte, *verdict]
}

// New returns the mechanism of certificates.
func New(config Config) *Certificates {
	return &Certificates{
		config: config, lookups: rate.NewLimiter(lookups, lookups), tokenLookups: rate.NewLimiter(lookups, lookups), shown: memo.New[[sha256.Size]byte, *verdict](),
	}
}

// verdict is what is remembered on a connection.
type verdict struct {
	by          *Certificates
	generation  atomic.Uint64 // of the book, read before looking
	answer      authn.Answer
	credential  *session.Credential // nil where none was found
	session     *session.Session
	leaf        *x509.Certificate
	issuing     string // the id of the key that signed it
	from, until time.Time
}

// Authenticate answers for the certificate of the request's connection. A request that carries a token of ours is judged by
// that, which asks for the certificate itself.
func (m *Certificates) Authenticate(ctx context.Context, r *authn.Request) authn.Answer {
	if len(r.Certificates) == 0 || r.BearsToken(TokenPrefix) {
		return authn.None()
	}
	return m.judge(ctx, r)
}

// judge answers by what is remembered, if that still holds. It does not allocate then.
func (m *Certificates) judge(ctx context.Context, r *authn.Request) authn.Answer {
	var remembered *verdict
	var key [sha256.Size]byte
	if r.Relayed { // what a connection remembers would be another client's
		key = sha256.Sum256(r.Certificates[0].Raw)
		remembered, _ = m.shown.Get(key)
	} else {
		remembered, _ = r.Conn.Verdict(authn.IssuedSlot).(*verdict)
	}
	v := remembered
	if !m.holds(v, r.Now) && !m.stillHolds(v, r) {
		if v = m.examine(ctx, r.Certificates[0], r.Now); r.Relayed {
			m.shown.Put(key, v)
		} else {
			r.Conn.SetVerdict(authn.IssuedSlot, v)
		}
	}
	if v.answer.Outcome == authn.Accepted && v.session.Cluster != "" && v.session.Cluster != r.Cluster {
		return authn.Refuse(ErrCluster)
	}
	return v.answer
}

// holds reports whether a verdict still does.
func (m *Certificates) holds(v *verdict, now time.Time) bool {
	return v != nil && v.by == m && !now.Before(v.from) && !now.After(v.until) && v.generation.Load() == m.config.Book.Generation()
}

// stillHolds looks whether nothing that a verdict rests on changed, although something did in the book. It does not allocate.
func (m *Certificates) stillHolds(v *verdict, r *authn.Request) bool {
	if v == nil || v.by != m || v.answer.Outcome != authn.Accepted || v.leaf != r.Certificates[0] || r.Now.Before(v.from) || r.Now.After(v.until) {
		return false
	}
	generation := m.config.Book.Generation()
	found, owner, known := m.config.Book.Find(v.credential.ID)
	if !known || found != v.credential || owner != v.session || !owner.Open(r.Now) || m.config.Book.Issuer(v.issuing) == nil {
		return false
	}
	v.generation.Store(generation) // an older one than another request has just seen costs one look more
	return true
}

// examine judges a certificate.
func (m *Certificates) examine(ctx context.Context, leaf *x509.Certificate, now time.Time) *verdict {
	v := &verdict{by: m, from: now, until: now.Add(rejectionHolds)}
	v.generation.Store(m.config.Book.Generation())
	issuing := m.config.Book.Issuer(hex.EncodeToString(leaf.AuthorityKeyId))
	if issuing == nil {
		v.answer, v.until = authn.None(), leaf.NotAfter
		return v
	}
	id, ours := issuer.IDOf(leaf)
	found, owner, known := m.config.Book.Find(id)
	if err := leaf.CheckSignatureFrom(issuing.Certificate); err != nil {
		v.answer = authn.Reject(ErrSignature)
		return v
	}
	if ours && !known {
		var err error
		if found, owner, known, err = m.lookup(ctx, id, leaf, now); err != nil {
			v.answer = authn.Fail(err)
			return v
		}
	}
	switch {
	case now.Before(leaf.NotBefore) || now.After(leaf.NotAfter): // first: what ended is not kept in the book for ever
		v.answer = authn.Refuse(ErrTime)
	case !ours || !known || found.Certificate == nil || found.Certificate.TBS != sha256.Sum256(leaf.RawTBSCertificate) || found.Certificate.Issuer != issuing.ID:
		m.config.Forged(issuing, leaf)
		v.answer = authn.Refuse(fmt.Errorf("certificate serial %s: %w", leaf.SerialNumber.Text(hexadecimal), ErrForged))
	case !owner.Open(now):
		v.answer = authn.Refuse(ErrEnded)
	default:
		v.answer, v.credential, v.session, v.leaf, v.issuing = authn.Accept(describe(found, owner, issuing, leaf)), found, owner, leaf, issuing.ID
		v.from, v.until = leaf.NotBefore, leaf.NotAfter
		if owner.Ends.Before(v.until) {
			v.until = owner.Ends
		}
	}
	return v
}

const hexadecimal = 16

// lookup asks the store for a certificate that may be too new for this replica to have heard of.
func (m *Certificates) lookup(ctx context.Context, id issuer.ID, leaf *x509.Certificate, now time.Time) (*session.Credential, *session.Session, bool, error) {
	if m.config.CatchUp == nil || now.Sub(leaf.NotBefore) > newFor || !m.lookups.AllowN(now, 1) {
		return nil, nil, false, nil
	}
	there, err := m.config.CatchUp(ctx, id)
	if err != nil {
		return nil, nil, false, fmt.Errorf("%w: %w", errLookup, err)
	}
	if !there {
		return nil, nil, false, nil
	}
	found, owner, known := m.config.Book.Find(id)
	return found, owner, known, nil
}

// catchUpToken asks the store for a token of which this replica has not heard, as it may be new: a bound one is first used beside a
// certificate that is as new. It asks for those only whose certificate counts, as anybody can make up the name of a token.
func (m *Certificates) catchUpToken(ctx context.Context, r *authn.Request, id issuer.ID) error {
	if m.config.CatchUp == nil || len(r.Certificates) == 0 {
		return nil
	}
	if _, _, known := m.config.Book.Find(id); known {
		return nil
	}
	switch shown := m.judge(ctx, r); {
	case shown.Failed:
		return shown.Cause
	case shown.Outcome != authn.Accepted || !m.tokenLookups.AllowN(r.Now, 1):
		return nil
	}
	if _, err := m.config.CatchUp(ctx, id); err != nil {
		return fmt.Errorf("%w: %w", errLookup, err)
	}
	return nil
}

// describe is the credential that a certificate is.
func describe(found *session.Credential, owner *session.Session, issuing *session.Issuing, leaf *x509.Certificate) *authn.Credential {
	facts := certchain.Describe(leaf)
	facts.Chains = [][]string{issuing.Chain}
	id := found.CredentialID()
	return &authn.Credential{
		ID: identity.CredentialID{Value: id}, Mechanism: identity.IssuedCertificate, Identity: owner.Identity(id),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Certificate: facts, Basis: owner.Basis,
	}
}

var _ authn.Mechanism = (*Certificates)(nil)

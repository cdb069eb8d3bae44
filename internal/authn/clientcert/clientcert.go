package clientcert

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/certchain"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/memo"
)

// rejectionHolds is how long a rejected certificate is not verified again on its connection. It keeps a client that
// repeats a bad certificate from costing a signature check a request, and is short enough that a certificate whose
// time comes is not kept out for long.
const rejectionHolds = time.Second

// uidAttribute is the subject attribute that carries the UID (X509-10).
var uidAttribute = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2} //nolint:gochecknoglobals // a constant that Go cannot express

// ErrUID rejects a certificate for its subject; other errors are those of certchain.
var ErrUID = errors.New("the subject's UID attribute is empty, not text, or stands there more than once")

// Mechanism verifies client certificates against one generation of CAs. It is immutable and safe for concurrent use;
// a changed CA bundle makes a new Mechanism, and thereby voids all remembered verdicts.
type Mechanism struct {
	roots *x509.CertPool
	// shown are verdicts on certificates that balancers told of, by a digest of all that were sent.
	shown *memo.Memo[[sha256.Size]byte, *verdict]
}

// New returns a mechanism that trusts roots. With no roots it answers "no credential" to everything (X509-2).
func New(roots *x509.CertPool) *Mechanism {
	return &Mechanism{roots: roots, shown: memo.New[[sha256.Size]byte, *verdict]()}
}

// verdict is what is remembered on a connection.
type verdict struct {
	by     *Mechanism
	answer authn.Answer
	// from and until bound the time in which the answer holds.
	from, until time.Time
}

// Authenticate answers for the certificate of the request's connection.
func (m *Mechanism) Authenticate(_ context.Context, r *authn.Request) authn.Answer {
	if len(r.Certificates) == 0 || m.roots == nil {
		return authn.None()
	}
	if r.Relayed {
		return m.relayed(r)
	}
	if v, ok := r.Conn.Verdict(authn.CertificateSlot).(*verdict); ok && v.by == m && !r.Now.Before(v.from) && !r.Now.After(v.until) {
		return v.answer
	}
	v := m.verify(r.Certificates, r.Now)
	r.Conn.SetVerdict(authn.CertificateSlot, v)
	return v.answer
}

// relayed answers for a certificate that a balancer told of. What a connection remembers would be another client's.
func (m *Mechanism) relayed(r *authn.Request) authn.Answer {
	digest, key := sha256.New(), [sha256.Size]byte{}
	for _, certificate := range r.Certificates {
		digest.Write(certificate.Raw) // DER says where it ends
	}
	digest.Sum(key[:0])
	v, ok := m.shown.Get(key)
	if !ok || r.Now.Before(v.from) || r.Now.After(v.until) {
		v = m.verify(r.Certificates, r.Now)
		m.shown.Put(key, v)
	}
	return v.answer
}

// verify builds a chain and reads the identity (X509-3 to X509-10).
func (m *Mechanism) verify(presented []*x509.Certificate, now time.Time) *verdict {
	verified, err := certchain.Verify(presented, m.roots, now)
	if err != nil {
		return &verdict{by: m, from: now, until: now.Add(rejectionHolds), answer: authn.Reject(err)}
	}
	return &verdict{by: m, from: verified.From, until: verified.Until, answer: identify(presented[0], verified.Certificate())}
}

// Describe reads who a certificate names that nobody has presented yet. It verifies nothing; ok is false if nobody could
// come in with it.
func Describe(leaf *x509.Certificate) (cred *authn.Credential, ok bool) {
	answer := identify(leaf, certchain.Describe(leaf))
	return answer.Credential, answer.Outcome == authn.Accepted
}

// identify reads who a verified certificate names.
func identify(leaf *x509.Certificate, facts *authn.Certificate) authn.Answer {
	if leaf.Subject.CommonName == "" {
		return authn.None() // X509-7, before any check of the UID
	}
	uid, err := subjectUID(leaf)
	if err != nil {
		return authn.Reject(fmt.Errorf("certificate serial %s: %w", leaf.SerialNumber, err))
	}
	return authn.Accept(&authn.Credential{
		ID:        identity.CredentialID{Value: facts.ID},
		Mechanism: identity.ClientCertificate,
		Identity: identity.Identity{
			Username: leaf.Subject.CommonName,
			UID:      uid,
			Groups:   leaf.Subject.Organization,
			Extra:    map[string][]string{identity.ExtraCredentialID: {facts.ID}},
		},
		NotBefore:   leaf.NotBefore,
		NotAfter:    leaf.NotAfter,
		Certificate: facts,
	})
}

// subjectUID reads the UID attribute: absent is fine, anything but one non-empty text is not (X509-10).
func subjectUID(leaf *x509.Certificate) (string, error) {
	uid, seen := "", false
	for _, attribute := range leaf.Subject.Names {
		if !attribute.Type.Equal(uidAttribute) {
			continue
		}
		text, ok := attribute.Value.(string)
		if !ok || text == "" || seen {
			return "", ErrUID
		}
		uid, seen = text, true
	}
	return uid, nil
}

var _ authn.Mechanism = (*Mechanism)(nil)

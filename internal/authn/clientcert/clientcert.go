package clientcert

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

// rejectionHolds is how long a rejected certificate is not verified again on its connection. It keeps a client that
// repeats a bad certificate from costing a signature check a request, and is short enough that a certificate whose
// time comes is not kept out for long.
const rejectionHolds = time.Second

// maxChainLength bounds the certificates that a client may send along. Kubernetes has no bound of its own; real chains
// have two or three, and each further one costs signature checks.
const maxChainLength = 10

// uidAttribute is the subject attribute that carries the UID (X509-10).
var uidAttribute = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2} //nolint:gochecknoglobals // a constant that Go cannot express

// Errors that tell why a certificate was rejected; errors of chain building are x509's own.
var (
	ErrUID   = errors.New("the subject's UID attribute is empty, not text, or stands there more than once")
	ErrChain = fmt.Errorf("more than %d certificates were sent", maxChainLength)
)

// Mechanism verifies client certificates against one generation of CAs. It is immutable and safe for concurrent use;
// a changed CA bundle makes a new Mechanism, and thereby voids all remembered verdicts.
type Mechanism struct{ roots *x509.CertPool }

// New returns a mechanism that trusts roots. With no roots it answers "no credential" to everything (X509-2).
func New(roots *x509.CertPool) *Mechanism { return &Mechanism{roots: roots} }

// verdict is what is remembered on a connection.
type verdict struct {
	by     *Mechanism
	answer authn.Answer
	// from and until bound the time in which the answer holds.
	from, until time.Time
}

// Authenticate answers for the certificate of the request's connection.
func (m *Mechanism) Authenticate(_ context.Context, r *authn.Request) authn.Answer {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || m.roots == nil {
		return authn.None()
	}
	if v, ok := r.Conn.Certificate().(*verdict); ok && v.by == m && !r.Now.Before(v.from) && !r.Now.After(v.until) {
		return v.answer
	}
	v := m.verify(r.TLS.PeerCertificates, r.Now)
	r.Conn.SetCertificate(v)
	return v.answer
}

// verify builds a chain and reads the identity (X509-3 to X509-10).
func (m *Mechanism) verify(presented []*x509.Certificate, now time.Time) *verdict {
	leaf := presented[0]
	v := &verdict{by: m, from: now, until: now.Add(rejectionHolds)}
	if len(presented) > maxChainLength {
		v.answer = authn.Reject(ErrChain)
		return v
	}
	intermediates := x509.NewCertPool()
	for _, certificate := range presented[1:] {
		intermediates.AddCert(certificate)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots:         m.roots,
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		v.answer = authn.Reject(fmt.Errorf("certificate serial %s: %w", leaf.SerialNumber, err))
		return v
	}
	v.answer = identify(leaf)
	v.from, v.until = validity(chains)
	return v
}

// validity is the time in which at least one of the chains holds as a whole. The widest single chain is taken, since
// a gap between two chains must not count as valid.
func validity(chains [][]*x509.Certificate) (from, until time.Time) {
	for _, chain := range chains {
		var chainFrom, chainUntil time.Time
		for _, certificate := range chain {
			if certificate.NotBefore.After(chainFrom) {
				chainFrom = certificate.NotBefore
			}
			if chainUntil.IsZero() || certificate.NotAfter.Before(chainUntil) {
				chainUntil = certificate.NotAfter
			}
		}
		if chainUntil.After(until) {
			from, until = chainFrom, chainUntil
		}
	}
	return from, until
}

// identify reads who a verified certificate names.
func identify(leaf *x509.Certificate) authn.Answer {
	if leaf.Subject.CommonName == "" {
		return authn.None() // X509-7, before any check of the UID
	}
	uid, err := subjectUID(leaf)
	if err != nil {
		return authn.Reject(fmt.Errorf("certificate serial %s: %w", leaf.SerialNumber, err))
	}
	fingerprint := sha256.Sum256(leaf.Raw)
	id := "X509SHA256=" + hex.EncodeToString(fingerprint[:])
	return authn.Accept(&authn.Credential{
		ID:        identity.CredentialID{Value: id},
		Mechanism: identity.ClientCertificate,
		Identity: identity.Identity{
			Username: leaf.Subject.CommonName,
			UID:      uid,
			Groups:   leaf.Subject.Organization,
			Extra:    map[string][]string{identity.ExtraCredentialID: {id}},
		},
		NotBefore: leaf.NotBefore,
		NotAfter:  leaf.NotAfter,
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

// Package certchain verifies the certificates that a client presents, as kube-apiserver does (X509-3, X509-5): the chain
// to one of the given CAs, at a given time, for client authentication. Who the leaf names is its callers' business.
package certchain

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
)

// MaxLength bounds the certificates that a client may send along. Kubernetes has no bound of its own; real chains have
// two or three, and each further one costs signature checks.
const MaxLength = 10

// ErrLength refuses longer ones.
var ErrLength = fmt.Errorf("more than %d certificates were sent", MaxLength)

// Verified is a verdict, and the time in which it holds.
type Verified struct {
	From, Until time.Time
	chains      [][]*x509.Certificate
}

// Verify checks the certificates that were presented, the leaf first, at the time now. Errors are ErrLength or those of
// crypto/x509, with the leaf's serial number.
func Verify(presented []*x509.Certificate, roots *x509.CertPool, now time.Time) (*Verified, error) {
	if len(presented) > MaxLength {
		return nil, ErrLength
	}
	leaf := presented[0]
	intermediates := x509.NewCertPool()
	for _, certificate := range presented[1:] {
		intermediates.AddCert(certificate)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, fmt.Errorf("certificate serial %s: %w", leaf.SerialNumber, err)
	}
	from, until := validity(chains)
	return &Verified{From: from, Until: until, chains: chains}, nil
}

// Certificate describes the leaf.
func (v *Verified) Certificate() *authn.Certificate {
	facts := Describe(v.chains[0][0])
	for _, chain := range v.chains {
		keys := make([]string, 0, len(chain)-1)
		for _, authority := range chain[1:] {
			keys = append(keys, KeyDigest(authority))
		}
		facts.Chains = append(facts.Chains, keys)
	}
	return facts
}

// Describe says of a certificate what it says itself; how it is verified is left open.
func Describe(leaf *x509.Certificate) *authn.Certificate {
	return &authn.Certificate{ID: ID(leaf), Serial: leaf.SerialNumber.Text(hexadecimal), Issuer: leaf.Issuer.String()}
}

const hexadecimal = 16

// ID is the credential id of a certificate, as Kubernetes spells it (X509-9).
func ID(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return "X509SHA256=" + hex.EncodeToString(sum[:])
}

// KeyDigest names a CA by its key: "SPKISHA256=" and the SHA-256 of the SubjectPublicKeyInfo in hex, as RFC 7469 pins keys. A CA
// whose certificate was renewed keeps it, and one of the same name with another key does not share it.
func KeyDigest(authority *x509.Certificate) string {
	sum := sha256.Sum256(authority.RawSubjectPublicKeyInfo)
	return "SPKISHA256=" + hex.EncodeToString(sum[:])
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

// Package certchain verifies the certificates that a client presents, as kube-apiserver does (X509-3, X509-5): the chain
// to one of the given CAs, at a given time, for client authentication. Who the leaf names is its callers' business.
package certchain

import (
	"crypto/x509"
	"fmt"
	"time"
)

// MaxLength bounds the certificates that a client may send along. Kubernetes has no bound of its own; real chains have
// two or three, and each further one costs signature checks.
const MaxLength = 10

// ErrLength refuses longer ones.
var ErrLength = fmt.Errorf("more than %d certificates were sent", MaxLength)

// Verify checks the certificates that were presented, the leaf first, at the time now. It returns the time in which the
// verdict holds. Errors are ErrLength or those of crypto/x509, with the leaf's serial number.
func Verify(presented []*x509.Certificate, roots *x509.CertPool, now time.Time) (from, until time.Time, err error) {
	if len(presented) > MaxLength {
		return from, until, ErrLength
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
		return from, until, fmt.Errorf("certificate serial %s: %w", leaf.SerialNumber, err)
	}
	from, until = validity(chains)
	return from, until, nil
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

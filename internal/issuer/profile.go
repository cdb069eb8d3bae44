package issuer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"time"
)

const (
	// HardCap bounds every certificate, whatever is configured: first second and last one included, and the backdating.
	HardCap = 24 * time.Hour
	// urnPrefix starts the one alternative name, which says what the certificate is.
	urnPrefix = "urn:ostiary:credential:"
)

// Order is what a certificate is to be.
type Order struct {
	ID ID
	// Username is shown to people as the common name; nobody decides by it.
	Username string
	// Key has passed CheckKey.
	Key crypto.PublicKey
	// NotAfter is shortened to what the issuing key and HardCap allow.
	NotAfter time.Time
}

// Draft is a certificate that is not signed: all its bytes are known, and nobody accepts it.
type Draft struct {
	ID                  ID
	NotBefore, NotAfter time.Time
	// TBS is the SHA-256 of what is going to be signed, and Key that of the subject's SubjectPublicKeyInfo.
	TBS, Key [sha256.Size]byte
	// Issuing is the certificate of the key that is going to sign.
	Issuing *x509.Certificate

	tbs    []byte
	signer crypto.Signer
}

// Errors of the own checks: each is a mistake of this program, and nothing was issued.
var (
	ErrLint     = errors.New("the certificate would not be as it must be")
	ErrMismatch = errors.New("the signed certificate is not the one that was put on record")
)

// draft builds what is going to be signed by issuing, and examines it: a key that exists for a moment signs it first, so that
// it can be read as every verifier would.
func draft(issuing *issuing, order Order, now time.Time) (*Draft, error) {
	from := now.Add(-backdate)
	if from.Before(issuing.certificate.NotBefore) {
		from = issuing.certificate.NotBefore
	}
	from = from.UTC().Truncate(time.Second)
	until := order.NotAfter.UTC().Truncate(time.Second)
	for _, bound := range []time.Time{issuing.certificate.NotAfter, from.Add(HardCap - time.Second)} {
		if bound.Before(until) {
			until = bound
		}
	}
	if !until.After(now) {
		return nil, fmt.Errorf("%w: it would have ended at %s", ErrLint, until.Format(time.RFC3339))
	}
	name, err := url.Parse(urnPrefix + order.ID.String())
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(order.Key)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	digest := sha256.Sum256(spki)
	template := &x509.Certificate{
		SerialNumber: order.ID.serial(), Subject: pkix.Name{CommonName: order.Username},
		NotBefore: from, NotAfter: until, URIs: []*url.URL{name},
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		SubjectKeyId: digest[:20], SignatureAlgorithm: x509.ECDSAWithSHA256,
	}
	trial, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	parent := *issuing.certificate
	parent.PublicKey = trial.Public()
	der, err := x509.CreateCertificate(rand.Reader, template, &parent, order.Key, trial)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	read, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLint, err)
	}
	if err := lint(read, issuing.certificate, order, spki); err != nil {
		return nil, err
	}
	return &Draft{
		ID: order.ID, NotBefore: from, NotAfter: until, TBS: sha256.Sum256(read.RawTBSCertificate), Key: digest,
		Issuing: issuing.certificate, tbs: read.RawTBSCertificate, signer: issuing.signer,
	}, nil
}

// The extensions of a certificate, all of them.
func extensions() []asn1.ObjectIdentifier {
	return []asn1.ObjectIdentifier{
		{2, 5, 29, 15}, {2, 5, 29, 37}, {2, 5, 29, 19}, {2, 5, 29, 14}, {2, 5, 29, 35}, {2, 5, 29, 17},
	}
}

// lint reads a certificate as a stranger would, and refuses all but what this package means to issue (RFC 5280).
func lint(c, issuing *x509.Certificate, order Order, spki []byte) error {
	wrong := func(what string) error { return fmt.Errorf("%w: %s", ErrLint, what) }
	id, ours := IDOf(c)
	switch {
	case c.Version != 3: //nolint:mnd // the only version with extensions
		return wrong("its version")
	case !ours || id != order.ID:
		return wrong("its serial number")
	case !bytes.Equal(c.RawIssuer, issuing.RawSubject) || !bytes.Equal(c.AuthorityKeyId, issuing.SubjectKeyId):
		return wrong("its issuer")
	case c.NotBefore.Before(issuing.NotBefore) || c.NotAfter.After(issuing.NotAfter):
		return wrong("it outlives its issuer")
	case c.NotAfter.Sub(c.NotBefore)+time.Second > HardCap || !c.NotAfter.After(c.NotBefore):
		return wrong("its lifetime")
	case c.Subject.CommonName != order.Username || order.Username == "" || len(c.Subject.Names) != 1:
		return wrong("its subject")
	case len(c.URIs) != 1 || c.URIs[0].String() != urnPrefix+order.ID.String() || len(c.DNSNames)+len(c.EmailAddresses)+len(c.IPAddresses) > 0:
		return wrong("its alternative names")
	case c.IsCA || !c.BasicConstraintsValid || c.KeyUsage != x509.KeyUsageDigitalSignature:
		return wrong("its usage")
	case len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || len(c.UnknownExtKeyUsage) > 0:
		return wrong("its extended usage")
	case !bytes.Equal(c.RawSubjectPublicKeyInfo, spki):
		return wrong("its key")
	case c.SignatureAlgorithm != x509.ECDSAWithSHA256:
		return wrong("its signature algorithm")
	case len(c.Extensions) != len(extensions()):
		return wrong("its extensions")
	}
	for i, want := range extensions() {
		if !c.Extensions[i].Id.Equal(want) {
			return wrong("its extensions")
		}
	}
	return nil
}

// algorithmECDSAWithSHA256 is ecdsa-with-SHA256 (RFC 5758).
func algorithmECDSAWithSHA256() pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
}

// Sign makes the certificate of a draft that is on record. It signs the bytes that were examined, reads the result back, and
// returns it only if it is the one that was put on record.
func (d *Draft) Sign() (*x509.Certificate, error) {
	digest := sha256.Sum256(d.tbs)
	signature, err := d.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("issuer: the issuing key does not sign: %w", err)
	}
	der, err := asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: d.tbs}, algorithmECDSAWithSHA256(), asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	if sha256.Sum256(made.RawTBSCertificate) != d.TBS || made.CheckSignatureFrom(d.Issuing) != nil {
		return nil, ErrMismatch
	}
	return made, nil
}

// Serial is the serial number in the form of authn.Certificate.
func (d *Draft) Serial() string { return d.ID.serial().Text(hexadecimal) }

const hexadecimal = 16

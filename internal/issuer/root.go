package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	// rootLifetime is how long a root lasts. Whoever replaces it earlier makes a new one, and everybody signs in anew.
	rootLifetime = 10 * 365 * 24 * time.Hour
	// backdate is how far the start of a certificate lies before its issue, for clocks of clients that are behind.
	backdate = time.Minute
	// serialBytes is the length of serial numbers: one version byte, so that none is negative or zero, and 128 random bits.
	serialBytes = 1 + idBytes
	// serialVersion is the first byte of a serial number.
	serialVersion = 1

	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

// Root is what issuing keys are signed by. Signer may be anything that holds a key: a file's, a TPM's, a KMS's.
type Root struct {
	Certificate *x509.Certificate
	Signer      crypto.Signer
}

// ErrRoot is wrapped by all errors about a root that cannot be used.
var ErrRoot = errors.New("not a root of an Ostiary issuer; make one with ostiary issuer new-root")

// NewRoot makes a root: its private key and its certificate, PEM.
func NewRoot(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	id := NewID()
	template := &x509.Certificate{
		SerialNumber: id.serial(), Subject: pkix.Name{CommonName: "Ostiary root " + hex.EncodeToString(id[:4])},
		NotBefore: now.Add(-backdate).UTC(), NotAfter: now.Add(rootLifetime).UTC(),
		BasicConstraintsValid: true, IsCA: true, MaxPathLen: 1, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: raw})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der})...), nil
}

// ParseRoot reads what NewRoot made: one key and its certificate, in any order, and nothing else. Errors are ErrRoot and never
// hold a part of the key.
func ParseRoot(text []byte, now time.Time) (*Root, error) {
	root := new(Root)
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		switch {
		case block.Type == pemKey && root.Signer == nil:
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			signer, ok := key.(*ecdsa.PrivateKey)
			if err != nil || !ok || signer.Curve != elliptic.P256() {
				return nil, fmt.Errorf("%w: its key is not one of P-256", ErrRoot)
			}
			root.Signer = signer
		case block.Type == pemCertificate && root.Certificate == nil:
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%w: its certificate cannot be read", ErrRoot)
			}
			root.Certificate = certificate
		default:
			return nil, fmt.Errorf("%w: it holds a PEM block %q more than one key and one certificate", ErrRoot, block.Type)
		}
	}
	return root, root.check(now)
}

func (r *Root) check(now time.Time) error {
	switch {
	case r.Signer == nil || r.Certificate == nil:
		return fmt.Errorf("%w: it must hold a key and its certificate", ErrRoot)
	case !samePublic(r.Signer.Public(), r.Certificate.PublicKey):
		return fmt.Errorf("%w: its key and its certificate do not belong together", ErrRoot)
	case !r.Certificate.IsCA || !r.Certificate.BasicConstraintsValid || r.Certificate.KeyUsage != x509.KeyUsageCertSign || r.Certificate.MaxPathLen != 1:
		return fmt.Errorf("%w: its certificate is not one for signing issuing keys", ErrRoot)
	case now.Before(r.Certificate.NotBefore) || !now.Add(issuerLifetime).Before(r.Certificate.NotAfter):
		return fmt.Errorf("%w: its certificate ends at %s, before the next issuing key would", ErrRoot, r.Certificate.NotAfter.UTC().Format(time.RFC3339))
	case r.Certificate.CheckSignatureFrom(r.Certificate) != nil:
		return fmt.Errorf("%w: its certificate is not signed by its own key", ErrRoot)
	}
	return nil
}

// samePublic compares public keys.
func samePublic(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// idBytes is the length of a credential's id.
const idBytes = 16

// ID is a credential's id, and most of its serial number: 128 random bits.
type ID [idBytes]byte

// NewID draws an id.
func NewID() ID {
	var id ID
	_, _ = rand.Read(id[:]) // never fails (Go 1.24)
	return id
}

// String gives the id in hex.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String gives; ok is false for anything else.
func ParseID(text string) (id ID, ok bool) {
	if len(text) != hex.EncodedLen(idBytes) {
		return ID{}, false
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err == nil && id.String() == text
}

// CredentialPrefix starts the credential id (identity.CredentialID) of what Ostiary issues.
const CredentialPrefix = "OSTIARY="

// CredentialID gives the form in which logs and revocations name the credential.
func (id ID) CredentialID() string { return CredentialPrefix + id.String() }

// serial is the id as a serial number.
func (id ID) serial() *big.Int {
	return new(big.Int).SetBytes(append([]byte{serialVersion}, id[:]...))
}

// IDOf reads the id in a certificate's serial number; ok is false where it is not one of ours.
func IDOf(certificate *x509.Certificate) (id ID, ok bool) {
	var raw [serialBytes]byte
	if certificate.SerialNumber.Sign() <= 0 || certificate.SerialNumber.BitLen() > 8*serialBytes {
		return ID{}, false
	}
	certificate.SerialNumber.FillBytes(raw[:])
	return ID(raw[1:]), raw[0] == serialVersion
}

package collect

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
)

// errNoCertificate refuses files in which there is nothing to describe.
var errNoCertificate = errors.New("holds no PEM certificate")

// Certificates describes the certificates of a PEM bundle.
func Certificates(data []byte) ([]facts.Certificate, error) {
	var all []facts.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue // a key may stand beside it
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, Certificate(certificate))
	}
	if len(all) == 0 {
		return nil, errNoCertificate
	}
	return all, nil
}

// Certificate describes one certificate.
func Certificate(c *x509.Certificate) facts.Certificate {
	sum := sha256.Sum256(c.Raw)
	described := facts.Certificate{
		Fingerprint: hex.EncodeToString(sum[:]), KeyDigest: keyDigest(c.RawSubjectPublicKeyInfo),
		KeyID: hex.EncodeToString(c.SubjectKeyId), SignerKeyID: hex.EncodeToString(c.AuthorityKeyId),
		Serial: fmt.Sprintf("%x", c.SerialNumber), CommonName: c.Subject.CommonName, Organizations: c.Subject.Organization,
		Issuer: c.Issuer.String(), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
		Signature: c.SignatureAlgorithm.String(), CA: c.IsCA,
		ClientAuth: allows(c, x509.ExtKeyUsageClientAuth), ServerAuth: allows(c, x509.ExtKeyUsageServerAuth),
	}
	described.KeyType, described.KeyBits = keyKind(c.PublicKey)
	return described
}

// allows reports whether a certificate may be used for a purpose; one that names none may be used for all.
func allows(c *x509.Certificate, usage x509.ExtKeyUsage) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, usage) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

func keyDigest(subjectPublicKeyInfo []byte) string {
	sum := sha256.Sum256(subjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

func keyKind(key any) (kind string, bits int) {
	const ed25519Bits = 256
	switch key := key.(type) {
	case *rsa.PublicKey:
		return "RSA", key.N.BitLen()
	case *ecdsa.PublicKey:
		return "ECDSA", key.Curve.Params().BitSize
	case ed25519.PublicKey:
		return "Ed25519", ed25519Bits
	default:
		return "other", 0
	}
}

// publicKeys describes the keys of a file, public, private or inside certificates.
func publicKeys(name string, data []byte) ([]facts.PublicKey, error) {
	var all []facts.PublicKey
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		key, err := publicKey(block)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", len(all)+1, err)
		}
		spki, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", len(all)+1, err)
		}
		described := facts.PublicKey{File: name, KeyDigest: keyDigest(spki)}
		described.KeyType, described.KeyBits = keyKind(key)
		all = append(all, described)
	}
	if len(all) == 0 {
		return nil, errors.New("holds no PEM key")
	}
	return all, nil
}

func publicKey(block *pem.Block) (any, error) {
	private := func(key any, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			return key.Public(), nil
		case *ecdsa.PrivateKey:
			return key.Public(), nil
		case ed25519.PrivateKey:
			return key.Public(), nil
		default:
			return nil, errors.New("of a kind that is not known")
		}
	}
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		return private(key, err)
	case "EC PRIVATE KEY":
		key, err := x509.ParseECPrivateKey(block.Bytes)
		return private(key, err)
	case "PRIVATE KEY":
		return private(x509.ParsePKCS8PrivateKey(block.Bytes))
	default:
		return nil, fmt.Errorf("a PEM block of type %q", block.Type)
	}
}

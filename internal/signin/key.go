package signin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/ostiary/ostiary/internal/secret"
)

// expiryMargin is how long before its end a certificate counts as ended: clocks differ, and a request takes time.
const expiryMargin = 10 * time.Second

// NewKey makes a private key for a certificate: P-256, which every server and every kubectl takes.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	return key, nil
}

// Credential is a client certificate and its key. The zero value is none, and holds for no time. It is not changed once it was
// made, and never prints its key.
type Credential struct {
	// Certificate is the chain in PEM, the leaf first.
	Certificate string
	// Key is the private key in PEM (PKCS #8).
	Key secret.String
	// NotBefore and NotAfter are when it holds, by its own statement.
	NotBefore, NotAfter time.Time
	// ID is under which logs and the ledger have it.
	ID string
}

// newCredential checks that a chain in PEM is for a key, and puts the two together.
func newCredential(chain string, key *ecdsa.PrivateKey) (Credential, error) {
	block, _ := pem.Decode([]byte(chain))
	if block == nil || block.Type != "CERTIFICATE" {
		return Credential{}, errors.New("the answer holds no certificate in PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Credential{}, fmt.Errorf("the answer's certificate cannot be read: %w", err)
	}
	if public, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return Credential{}, errors.New("the answer's certificate is for another key")
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Credential{}, fmt.Errorf("cannot write the key: %w", err)
	}
	return Credential{
		Certificate: chain,
		Key:         secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))),
		NotBefore:   leaf.NotBefore, NotAfter: leaf.NotAfter,
	}, nil
}

// Holds reports whether the credential can be used at a time.
func (c Credential) Holds(now time.Time) bool {
	return c.Certificate != "" && now.Add(expiryMargin).Before(c.NotAfter)
}

// RenewAt is from when on a new one should be got: after two thirds of its life.
func (c Credential) RenewAt() time.Time { return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) * 2 / 3) }

// TLS returns the credential as the client's side of a handshake needs it.
func (c Credential) TLS() (tls.Certificate, error) {
	pair, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key.Reveal()))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot use the certificate: %w", err)
	}
	return pair, nil
}

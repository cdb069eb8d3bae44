// Package testca makes certificate authorities and certificates for tests, good and bad ones. Production code must not
// import it.
package testca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// CA is a certificate authority, root or intermediate.
type CA struct {
	Certificate *x509.Certificate
	key         crypto.Signer
}

// Option changes a certificate before it is signed.
type Option func(*x509.Certificate)

// Subject sets common name and organizations.
func Subject(commonName string, organizations ...string) Option {
	return func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: commonName, Organization: organizations} }
}

// Attribute adds an attribute to the subject.
func Attribute(oid asn1.ObjectIdentifier, value any) Option {
	return func(c *x509.Certificate) {
		c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: oid, Value: value})
	}
}

// Usage replaces the extended key usages; with none the extension is absent.
func Usage(usages ...x509.ExtKeyUsage) Option {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
}

// Valid sets the validity.
func Valid(from, until time.Time) Option {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, until }
}

// IsCA makes the certificate one that could sign others.
func IsCA() Option {
	return func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }
}

// New returns a self-signed CA.
func New(t testing.TB, name string) *CA {
	t.Helper()
	template := caTemplate(t, name)
	key := newKey(t)
	return &CA{Certificate: sign(t, template, template, key.Public(), key), key: key}
}

// Intermediate returns a CA signed by ca.
func (ca *CA) Intermediate(t testing.TB, name string, options ...Option) *CA {
	t.Helper()
	template := caTemplate(t, name)
	for _, option := range options {
		option(template)
	}
	key := newKey(t)
	return &CA{Certificate: sign(t, template, ca.Certificate, key.Public(), ca.key), key: key}
}

// Issue returns a certificate with its key: for client authentication, for 127.0.0.1 and localhost, valid from an hour
// ago for a day, unless the options say otherwise.
func (ca *CA) Issue(t testing.TB, options ...Option) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(t),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(23 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	for _, option := range options {
		option(template)
	}
	key := newKey(t)
	leaf := sign(t, template, ca.Certificate, key.Public(), ca.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// Pool returns a pool that holds the CA alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Certificate)
	return pool
}

// PEM returns the CA's certificate.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate.Raw})
}

// PEM returns a certificate's chain and its key.
func PEM(t testing.TB, certificate tls.Certificate) (chain, key []byte) {
	t.Helper()
	for _, der := range certificate.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func caTemplate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	return &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	number, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

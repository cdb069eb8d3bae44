// Package pki makes the certificates that the end-to-end tests and the demo need: authorities, intermediates, and
// leaves of every shape, well-formed or not.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	// authorityLifetime and leafLifetime outlast any test or demo.
	authorityLifetime = 10 * 365 * 24 * time.Hour
	leafLifetime      = 24 * time.Hour
	// backdate lets clocks differ a little.
	backdate = 5 * time.Minute
	// rsaBits is the smallest size that current guidance accepts; larger ones only take longer to make.
	rsaBits = 2048
	// serialBits is what RFC 5280, section 4.1.2.2, allows (20 octets), less the sign.
	serialBits = 128
)

// Algorithm is a kind of key. The zero value is ECDSA P-256.
type Algorithm int

// The kinds of keys.
const (
	ECDSAP256 Algorithm = iota
	RSA2048
)

// NewKey makes a key.
func NewKey(a Algorithm) (crypto.Signer, error) {
	switch a {
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		return nil, fmt.Errorf("make a key: no algorithm number %d", a)
	}
}

// UIDAttribute is the object identifier of the subject attribute from which Kubernetes takes the UID of a user
// (X509-10).
func UIDAttribute() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2}
}

// Authority is a certificate authority. It is safe for concurrent use.
type Authority struct {
	cert  *x509.Certificate
	key   crypto.Signer
	chain [][]byte // DER of this authority and those above it, without the root; empty for a root
}

// NewAuthority makes a root authority with an ECDSA P-256 key.
func NewAuthority(commonName string) (*Authority, error) {
	return newAuthority(commonName, nil)
}

// Intermediate makes an authority under this one. Leaves that it issues carry its certificate in their chain.
func (a *Authority) Intermediate(commonName string) (*Authority, error) {
	return newAuthority(commonName, a)
}

func newAuthority(commonName string, parent *Authority) (*Authority, error) {
	key, err := NewKey(ECDSAP256)
	if err != nil {
		return nil, fmt.Errorf("make authority %q: %w", commonName, err)
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	issuer := &Authority{cert: template, key: key}
	if parent != nil {
		issuer = parent
	}
	cert, err := issuer.sign(template, key.Public())
	if err != nil {
		return nil, fmt.Errorf("make authority %q: %w", commonName, err)
	}
	made := &Authority{cert: cert, key: key}
	if parent != nil {
		made.chain = append([][]byte{cert.Raw}, parent.chain...)
	}
	return made, nil
}

func (a *Authority) sign(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Certificate is the authority's own certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Key is the authority's private key.
func (a *Authority) Key() crypto.Signer { return a.key }

// PEM is the authority's own certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: a.cert.Raw})
}

// Pool holds the authority's own certificate only.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Leaf is what a certificate says. The zero value is a certificate for client authentication that names nobody.
type Leaf struct {
	// CommonName and Organizations are Kubernetes' user name and groups (X509-6, X509-8).
	CommonName    string
	Organizations []string
	// UIDs become subject attributes of their own, in this order. Kubernetes takes one; more than one is an attack.
	UIDs []string
	// ExtraNames are further subject attributes, for example a second common name.
	ExtraNames []pkix.AttributeTypeAndValue
	// DNSNames and IPs are what a server's certificate is for.
	DNSNames []string
	IPs      []net.IP
	// ExtKeyUsage is what the certificate may be used for; nil means client authentication.
	ExtKeyUsage []x509.ExtKeyUsage
	// NotBefore and NotAfter bound its validity; zero values mean five minutes ago and in a day.
	NotBefore, NotAfter time.Time
	// Algorithm is the kind of its key.
	Algorithm Algorithm
	// Change, if not nil, has the last word on the template before it is signed.
	Change func(*x509.Certificate)
}

// Server is a server's certificate for 127.0.0.1, localhost and the given names.
func Server(commonName string, names ...string) Leaf {
	return Leaf{
		CommonName:  commonName,
		DNSNames:    append([]string{"localhost"}, names...),
		IPs:         []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// Client is a person's or a program's certificate.
func Client(user string, groups ...string) Leaf {
	return Leaf{CommonName: user, Organizations: groups}
}

// Issue signs a leaf with a new key.
func (a *Authority) Issue(leaf Leaf) (*KeyPair, error) {
	key, err := NewKey(leaf.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %q: %w", leaf.CommonName, err)
	}
	subject := pkix.Name{CommonName: leaf.CommonName, Organization: leaf.Organizations}
	for _, uid := range leaf.UIDs {
		subject.ExtraNames = append(subject.ExtraNames, pkix.AttributeTypeAndValue{Type: UIDAttribute(), Value: uid})
	}
	subject.ExtraNames = append(subject.ExtraNames, leaf.ExtraNames...)
	now := time.Now()
	template := &x509.Certificate{
		Subject:               subject,
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(leafLifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           leaf.ExtKeyUsage,
		DNSNames:              leaf.DNSNames,
		IPAddresses:           leaf.IPs,
		BasicConstraintsValid: true,
	}
	if leaf.Algorithm == RSA2048 {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	if leaf.ExtKeyUsage == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if !leaf.NotBefore.IsZero() {
		template.NotBefore = leaf.NotBefore
	}
	if !leaf.NotAfter.IsZero() {
		template.NotAfter = leaf.NotAfter
	}
	if leaf.Change != nil {
		leaf.Change(template)
	}
	cert, err := a.sign(template, key.Public())
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %q: %w", leaf.CommonName, err)
	}
	return &KeyPair{Certificate: cert, Key: key, chain: append([][]byte{cert.Raw}, a.chain...)}, nil
}

// Package configtest makes the files that a configuration names: CAs, key pairs, token files. It is for tests only.
package configtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority is a CA that signs certificates for tests.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes a CA of that name, valid for a day around now.
func NewAuthority(name string) (*Authority, error) {
	a := &Authority{}
	_, err := a.generate(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, true)
	return a, err
}

// PEM returns the CA's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// Issue signs a certificate for a new key and returns both as PEM. Serial number and, where it is left out, validity
// (a day around now) are filled into template.
func (a *Authority) Issue(template *x509.Certificate) (certPEM, keyPEM []byte, err error) {
	pair, err := a.generate(template, false)
	if err != nil {
		return nil, nil, err
	}
	return pair.cert, pair.key, nil
}

type pemPair struct{ cert, key []byte }

func (a *Authority) generate(template *x509.Certificate, selfSigned bool) (pemPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pemPair{}, fmt.Errorf("making a key: %w", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return pemPair{}, fmt.Errorf("making a serial number: %w", err)
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-12*time.Hour), time.Now().Add(12*time.Hour)
	}
	parent, signer := a.certificate, a.key
	if selfSigned {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return pemPair{}, fmt.Errorf("signing a certificate: %w", err)
	}
	if selfSigned {
		a.key = key
		if a.certificate, err = x509.ParseCertificate(der); err != nil {
			return pemPair{}, fmt.Errorf("reading a certificate back: %w", err)
		}
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pemPair{}, fmt.Errorf("encoding a key: %w", err)
	}
	return pemPair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// Server is the template of a certificate for a server on the loopback address.
func Server() *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// Client is the template of a client certificate.
func Client(name string, groups ...string) *x509.Certificate {
	return &x509.Certificate{
		Subject:  pkix.Name{CommonName: name, Organization: groups},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// Write puts files, relative to dir, in place with mode 0600, and makes the folders that they need.
func Write(dir string, files map[string][]byte) error {
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// WriteAll fills dir with everything that the configuration Example names.
func WriteAll(dir string) error {
	files, err := Files()
	if err != nil {
		return err
	}
	return Write(dir, files)
}

// Files returns everything that the configuration Example names, with new keys.
func Files() (map[string][]byte, error) {
	files := map[string][]byte{
		"tokens.csv":                        []byte("4c8d1e9f02a7b6533fd0e1c29a8475b61d7e0f3c5a924b86e13f7d20c9b8a654,alice,u1,\"dev,ops\"\n"),
		"authentication-configuration.yaml": []byte(AuthenticationConfiguration),
		"gate.kubeconfig":                   []byte(Kubeconfig),
		"token":                             []byte("sa-token\n"),
	}
	for _, issue := range []struct {
		ca, name string
		template *x509.Certificate
	}{
		{"cluster-ca", "tls", Server()},
		{"users-ca", "alice", Client("alice", "dev")},
		{"front-proxy-ca", "front", Client("front-proxy-client")},
	} {
		authority, err := NewAuthority(issue.ca)
		if err != nil {
			return nil, err
		}
		files[issue.ca+".crt"] = authority.PEM()
		if files[issue.name+".crt"], files[issue.name+".key"], err = authority.Issue(issue.template); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// AuthenticationConfiguration is Kubernetes' own configuration of one issuer.
const AuthenticationConfiguration = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: https://idp.example
    audiences: [kubernetes]
  claimMappings:
    username: {claim: sub, prefix: "oidc:"}
`

// Kubeconfig is the gate's access to a cluster in impersonation mode.
const Kubeconfig = `apiVersion: v1
kind: Config
current-context: gate
contexts:
- {name: gate, context: {user: gate, cluster: prod}}
clusters:
- {name: prod, cluster: {server: "https://10.0.0.1:6443"}}
users:
- {name: gate, user: {tokenFile: token}}
`

//go:embed example.yaml
var example string

// Example is a configuration that uses every part, with files that WriteAll makes. The reference shows it as well.
func Example() string { return example }

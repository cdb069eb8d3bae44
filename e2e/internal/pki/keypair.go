package pki

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	certificateBlock = "CERTIFICATE"
	privateKeyBlock  = "PRIVATE KEY"
	publicKeyBlock   = "PUBLIC KEY"
)

// KeyPair is a certificate with its chain and private key. It must not be changed.
type KeyPair struct {
	// Certificate is the leaf.
	Certificate *x509.Certificate
	// Key is its private key.
	Key   crypto.Signer
	chain [][]byte
}

// PairOf is a certificate that somebody else signed, with its key and the certificates between it and its root.
func PairOf(leaf *x509.Certificate, key crypto.Signer, intermediates ...[]byte) *KeyPair {
	return &KeyPair{Certificate: leaf, Key: key, chain: append([][]byte{leaf.Raw}, intermediates...)}
}

// Files are the names of the two files of a key pair.
type Files struct {
	Cert, Key string
}

// CertPEM is the certificate, followed by its intermediates.
func (k *KeyPair) CertPEM() []byte {
	var out bytes.Buffer
	for _, der := range k.chain {
		// Writing to a bytes.Buffer cannot fail.
		_ = pem.Encode(&out, &pem.Block{Type: certificateBlock, Bytes: der})
	}
	return out.Bytes()
}

// KeyPEM is the private key in PKCS #8.
func (k *KeyPair) KeyPEM() ([]byte, error) { return PrivateKeyPEM(k.Key) }

// TLS is the key pair as crypto/tls takes it.
func (k *KeyPair) TLS() tls.Certificate {
	return tls.Certificate{Certificate: k.chain, PrivateKey: k.Key, Leaf: k.Certificate}
}

// Write writes <name>.crt and <name>.key into dir. A file that is there already is replaced in one step, so that a
// program that watches it never sees half of it.
func (k *KeyPair) Write(dir, name string) (Files, error) {
	key, err := k.KeyPEM()
	if err != nil {
		return Files{}, err
	}
	files := Files{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
	if err := WriteFile(files.Key, key); err != nil {
		return Files{}, err
	}
	if err := WriteFile(files.Cert, k.CertPEM()); err != nil {
		return Files{}, err
	}
	return files, nil
}

// Write writes the authority's certificate as <name>.crt into dir and returns the file's name.
func (a *Authority) Write(dir, name string) (string, error) {
	file := filepath.Join(dir, name+".crt")
	return file, WriteFile(file, a.PEM())
}

// WriteWithKey writes <name>.crt and <name>.key into dir, for programs that issue certificates themselves.
func (a *Authority) WriteWithKey(dir, name string) (Files, error) {
	return (&KeyPair{Certificate: a.cert, Key: a.key, chain: [][]byte{a.cert.Raw}}).Write(dir, name)
}

// PrivateKeyPEM is a private key in PKCS #8.
func PrivateKeyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write a private key as PEM: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateKeyBlock, Bytes: der}), nil
}

// PublicKeyPEM is a public key in PKIX form.
func PublicKeyPEM(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("write a public key as PEM: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicKeyBlock, Bytes: der}), nil
}

// WriteFile writes a file that only its owner may read, replacing the old one in one step. It may be called for the same
// file several times at once; one of the contents stays.
func WriteFile(file string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.new") // mode 0600
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Close()); err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return os.Rename(temporary.Name(), file)
}

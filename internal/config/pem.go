package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	pemCertificate = "CERTIFICATE"
	pemStart       = "-----BEGIN"
)

// pair reads a certificate and its key and sees that they belong together. It returns nil after reporting why not.
func (c *checker) pair(p *field.Path, written KeyPair) *Pair {
	certPEM, certFile := c.read(p.Child("certFile"), written.CertFile, maxPEMBytes)
	keyPEM, keyFile := c.read(p.Child("keyFile"), written.KeyFile, maxPEMBytes)
	if certPEM == nil || keyPEM == nil {
		return nil
	}
	c.warnReadable(p.Child("keyFile"), keyFile)
	if isEncrypted(keyPEM) {
		c.invalid(p.Child("keyFile"), written.KeyFile, "the key is encrypted and there is nobody to ask for the passphrase; store it decrypted, readable by the gate only")
		return nil
	}
	certificate, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		c.invalid(p, field.OmitValueType{}, "%s and %s are not a certificate and its private key, both PEM: %s", certFile, keyFile, err)
		return nil
	}
	return &Pair{
		Certificate: certificate, CertFile: certFile, KeyFile: keyFile,
		Digest: digestOf(certPEM, keyPEM),
	}
}

func isEncrypted(keyPEM []byte) bool {
	for block, rest := pem.Decode(keyPEM); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return true
		}
	}
	return false
}

// serverPair is a pair to serve TLS with. An expired certificate is a warning, not an error: clients refuse it by
// themselves, so it lets nobody in, whereas refusing the configuration would keep at a reload whatever the operator
// meant to take away, such as a CA that must no longer be trusted.
func (c *checker) serverPair(p *field.Path, written KeyPair) *Pair {
	pair := c.pair(p, written)
	if pair == nil {
		return nil
	}
	leaf := pair.Certificate.Leaf
	if !allowsUsage(leaf, x509.ExtKeyUsageServerAuth) {
		c.invalid(p.Child("certFile"), written.CertFile, "the certificate is not for servers (extended key usage serverAuth); issue one that is")
	}
	if problem := outsideValidity(leaf, c.now); problem != "" {
		c.warn(p.Child("certFile"), "the certificate %s: clients will refuse it; renew it", problem)
	}
	if len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 {
		c.warn(p.Child("certFile"), "the certificate has no subject alternative name: clients will refuse it; issue one with the names and addresses that clients use")
	}
	return pair
}

// allowsUsage applies Go's own rule for leaf certificates: no extension allows everything (X509-5).
func allowsUsage(leaf *x509.Certificate, usage x509.ExtKeyUsage) bool {
	return len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 ||
		slices.Contains(leaf.ExtKeyUsage, usage) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// outsideValidity says in words why the certificate is not valid at now; empty if it is.
func outsideValidity(certificate *x509.Certificate, now time.Time) string {
	switch {
	case now.After(certificate.NotAfter):
		return "expired on " + certificate.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(certificate.NotBefore):
		return "is not valid before " + certificate.NotBefore.UTC().Format(time.RFC3339)
	default:
		return ""
	}
}

// bundle reads CA certificates from files[i], named by the field at paths(i). It returns nil after reporting what is
// wrong with any of them.
func (c *checker) bundle(files []string, at func(int) *field.Path) *Bundle {
	bundle := &Bundle{}
	var contents [][]byte
	for i, name := range files {
		data, path := c.read(at(i), name, maxPEMBytes)
		if data == nil {
			bundle = nil
			continue
		}
		certificates := c.certificates(at(i), name, path, data)
		if certificates == nil || bundle == nil {
			bundle = nil
			continue
		}
		bundle.Certificates = append(bundle.Certificates, certificates...)
		bundle.Files = append(bundle.Files, path)
		contents = append(contents, data)
	}
	if bundle != nil {
		bundle.Digest = digestOf(contents...)
	}
	return bundle
}

// certificates parses a bundle. Text between the PEM blocks is comment, as OpenSSL writes it; every block must be a
// certificate, and whole. Kubernetes skips what it does not know, which turns a truncated bundle into distrust and a
// private key in a public file into a secret.
func (c *checker) certificates(p *field.Path, name, path string, data []byte) []*x509.Certificate {
	var certificates []*x509.Certificate
	rest := data
	for number := 1; ; number++ {
		block, after := pem.Decode(rest)
		consumed := rest[:len(rest)-len(after)]
		if block == nil {
			consumed = rest
		}
		starts := bytes.Count(consumed, []byte(pemStart))
		if (block == nil && starts > 0) || starts > 1 {
			c.invalid(p, name, "%s: PEM block %d is damaged or cut off; write the file anew", path, number)
			return nil
		}
		if block == nil {
			break
		}
		rest = after
		if block.Type != pemCertificate {
			c.invalid(p, name, "%s: PEM block %d is a %s, not a CERTIFICATE; a CA bundle must hold nothing else", path, number, block.Type)
			return nil
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			c.invalid(p, name, "%s: PEM block %d is not a certificate: %s", path, number, err)
			return nil
		}
		c.warnAuthority(p, path, certificate)
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		c.invalid(p, name, "%s holds no certificate; it must hold CA certificates as PEM", path)
	}
	return certificates
}

// warnAuthority warns of certificates in a bundle from which nobody can come. They let nobody in, so they are no error.
func (c *checker) warnAuthority(p *field.Path, path string, certificate *x509.Certificate) {
	if problem := outsideValidity(certificate, c.now); problem != "" {
		c.warn(p, "%s: the certificate of %q %s: nothing that it signed is accepted; remove or renew it", path, certificate.Subject, problem)
	}
	if !certificate.IsCA {
		c.warn(p, "%s: the certificate of %q is not a CA (basic constraints): nothing that it signed is accepted, only itself; remove it", path, certificate.Subject)
	}
}

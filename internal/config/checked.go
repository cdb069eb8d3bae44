package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// Checked is a configuration that Load has found good, with its defaults filled in and the content of every file that
// it names. Nothing in it has to be validated again, except what belongs to one mechanism alone: StaticToken.Content
// and JWT.Content. It is never changed after Load returned it, so it is safe for concurrent use; treat what it holds as
// read-only.
//
// Every part that is costly to rebuild, or that should outlive a reload when nothing about it changed, has a Digest of
// its settings and of its files' content.
type Checked struct {
	Listen   CheckedListen
	Admin    *CheckedAdmin    // nil: no such listener
	Clusters []CheckedCluster // never empty; the first is the default

	// Audiences are the API audiences (AUD-1); may be empty.
	Audiences []string
	// The mechanisms; nil means off. At least one is set.
	ProxyHeader          *CheckedProxyHeader
	ClientCertificate    *CheckedClientCertificate
	StaticToken          *CheckedStaticToken
	ServiceAccountSecret *CheckedServiceAccountSecret
	TokenRequest         *CheckedTokenRequest
	BootstrapToken       *CheckedBootstrapToken
	JWT                  *CheckedJWT
	Webhook              *CheckedWebhook
	Anonymous            *CheckedAnonymous

	// GroupRules are as written, with patterns known to be well formed.
	GroupRules []GroupRule
	// TokenRequests is about tokens that are requested through the gate.
	TokenRequests CheckedTokenRequests
	TokenReview   *CheckedTokenReview // nil: no such listener
	Ledger        *CheckedLedger      // nil: nothing can be revoked
	Issuer        *CheckedIssuer      // nil: nothing is issued
	SignIn        *CheckedSignIn      // nil: nobody can sign in
	Lockout       CheckedLockout
	AccessLog     CheckedAccessLog
	Tracing       *CheckedTracing // nil: no traces

	// Warnings are what an operator should mend although the configuration is in force.
	Warnings []Mistake
	// Digest changes with anything in the configuration or in a file that it names.
	Digest Digest

	written Configuration
	files   []string
}

// Configuration returns the written form with the defaults filled in. The caller must not change it.
func (c *Checked) Configuration() *Configuration { return &c.written }

// Files returns the absolute names of all files that were read, the configuration first, each once. Symbolic links are
// not followed: in a Kubernetes volume it is the link that changes.
func (c *Checked) Files() []string { return slices.Clone(c.files) }

// CheckedListen is the gate's own listener.
type CheckedListen struct {
	// Address is "host:port" for net.Listen; the host may be empty or a name, the port may be 0.
	Address string
	TLS     Pair
	// Limits has no zero fields.
	Limits Limits
	// Balancers are those in front; the zero value where there are none.
	Balancers CheckedBalancers
	// DrainTimeout is at least a second.
	DrainTimeout time.Duration
}

// CheckedAdmin is the listener for probes and metrics.
type CheckedAdmin struct {
	// Address is "host:port" for net.Listen, and not the gate's own.
	Address string
	// TLS is nil for plain HTTP.
	TLS *Pair
}

// CheckedCluster is one API server. Exactly one of RequestHeader and Impersonation is set.
type CheckedCluster struct {
	Name string
	// Server has the scheme https and a host, and nothing else.
	Server *url.URL
	// Authorities are the only CAs that may have signed the API server's certificate.
	Authorities Bundle
	// TLSServerName is the name to verify; empty means the host of Server.
	TLSServerName string
	// RequestHeader is the front-proxy certificate: valid now, and for client authentication.
	RequestHeader *Pair
	// StripHeaders and StripHeaderPrefixes are header names that the API server takes from a proxy, beside X-Remote-*.
	StripHeaders, StripHeaderPrefixes []string

	Impersonation *CheckedImpersonation
	// Audiences are the API audiences (AUD-1); may be empty.
	Audiences []string
	// Access is the gate's own account; nil where there is none.
	Access *CheckedAccess
	// ServiceAccounts is nil where no token of theirs is recognised.
	ServiceAccounts *CheckedServiceAccounts
	// BootstrapTokens says that the cluster's own bootstrap tokens are taken.
	BootstrapTokens bool
	Digest          Digest
}

// CheckedAccess is the gate's own account on a cluster.
type CheckedAccess struct {
	// Kubeconfig is its absolute name; relative names inside it are relative to its folder.
	Kubeconfig string
	// Content has a current context whose user has a credential, and no impersonation of its own.
	Content []byte
}

// CheckedImpersonation is the account by which the gate impersonates its callers.
type CheckedImpersonation struct {
	CheckedAccess
	// LegacyOnly leaves the constrained modes of impersonation out.
	LegacyOnly bool
}

// CheckedPolicy restricts what a mechanism may bring in.
type CheckedPolicy struct {
	// Kubernetes turns off what Ostiary adds to the mechanism.
	Kubernetes bool
	// AllowedNetworks are in canonical form; empty means from anywhere.
	AllowedNetworks []netip.Prefix
	// AllowedSystemNames all start with "system:"; a "*" stands at the end only.
	AllowedSystemNames []string
}

// CheckedClientCertificate is the client-certificate mechanism.
type CheckedClientCertificate struct {
	Authorities Bundle
	// MaxLifetime bounds notAfter - notBefore; 0 means no bound.
	MaxLifetime time.Duration
	CheckedPolicy
	Digest Digest
}

// CheckedStaticToken is the static-token mechanism.
type CheckedStaticToken struct {
	// File is the CSV's absolute name, for messages.
	File string
	// Content is the CSV as read; not empty, otherwise unchecked. Whoever parses it clears it.
	Content        []byte
	AllowClearText bool
	CheckedPolicy
	Digest Digest
}

// CheckedJWT is the JWT mechanism.
type CheckedJWT struct {
	// File is the absolute name of the AuthenticationConfiguration, or empty where it is written in place.
	File string
	// Content is the AuthenticationConfiguration, YAML or JSON, of the right group and kind; otherwise unchecked.
	Content []byte
	// MaxLifetime bounds exp - iat; 0 means no bound.
	MaxLifetime time.Duration
	CheckedPolicy
	Digest Digest
}

// CheckedAnonymous is anonymous access.
type CheckedAnonymous struct {
	// Paths all start with "/"; empty means all paths.
	Paths []string
	// AllowedNetworks are in canonical form; empty means from anywhere.
	AllowedNetworks []netip.Prefix
	Digest          Digest
}

// CheckedAccessLog is where decisions are recorded.
type CheckedAccessLog struct {
	// File is an absolute name in a folder that exists; empty means standard output.
	File string
}

// CheckedTracing is where traces go.
type CheckedTracing struct {
	// Endpoint has the scheme http or https, a host and maybe a path.
	Endpoint *url.URL
	// Authorities are the CAs of an https endpoint; nil means the host's roots.
	Authorities        *Bundle
	SamplingPerMillion int
	Digest             Digest
}

// Pair is a certificate with its private key, known to belong together.
type Pair struct {
	// Certificate has its Leaf set.
	Certificate tls.Certificate
	// CertFile and KeyFile are absolute names, for messages.
	CertFile, KeyFile string
	Digest            Digest
}

// Bundle is a non-empty set of CA certificates.
type Bundle struct {
	Certificates []*x509.Certificate
	// Files are the absolute names that they were read from, for messages.
	Files  []string
	Digest Digest
}

// Pool returns a new pool of the bundle's certificates.
func (b *Bundle) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, certificate := range b.Certificates {
		pool.AddCert(certificate)
	}
	return pool
}

// PEM returns the bundle's certificates.
func (b *Bundle) PEM() []byte {
	var text []byte
	for _, certificate := range b.Certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	return text
}

// Digest is a SHA-256 over settings and file content. Equal digests mean that nothing changed.
type Digest [sha256.Size]byte

// String returns the digest in hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// digestOf hashes the parts, each after its length, so that no two lists of parts give the same input.
func digestOf(parts ...[]byte) Digest {
	hash := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		hash.Write(length[:])
		hash.Write(part)
	}
	return Digest(hash.Sum(nil))
}

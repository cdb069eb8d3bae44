package config

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ServiceAccounts says how tokens of a cluster's ServiceAccounts are recognised. Whether the account still exists is asked
// of the cluster itself, by the account in access.
type ServiceAccounts struct {
	// The cluster's issuers, its --service-account-issuer flags, exactly.
	Issuers []string `json:"issuers" jsonschema:"minItems=1"`
	// PEM files of the keys that sign the tokens, its --service-account-key-file flags. RSA or EC; public keys,
	// certificates or private keys.
	KeyFiles []string `json:"keyFiles,omitempty"`
	// Fetch the keys from the cluster's own /openid/v1/jwks instead.
	KeysFromCluster bool `json:"keysFromCluster,omitempty"`
}

// ServiceAccountSecret accepts ServiceAccount tokens that are kept in Secrets, of every cluster whose serviceAccounts is
// set. They never expire by themselves: left out, they are refused (G-19).
type ServiceAccountSecret struct {
	// Longest time since the Secret was created, at least 1h; left out, there is no bound (G-19).
	MaxAge Duration `json:"maxAge,omitzero"`
	// Longest time since the token was last used, by the day, at least 24h; left out, there is no bound (G-19).
	MaxIdle         Duration `json:"maxIdle,omitzero"`
	MechanismPolicy `json:",inline"`
}

// TokenRequest accepts ServiceAccount tokens that were requested for a time and an audience, of every cluster whose
// serviceAccounts is set.
type TokenRequest struct {
	// Longest exp - iat that is accepted (G-24), at least 10m; left out, there is no bound. A token without either is
	// refused where there is one.
	MaxLifetime     Duration `json:"maxLifetime,omitzero"`
	MechanismPolicy `json:",inline"`
}

// CheckedServiceAccounts is how a cluster's ServiceAccount tokens are recognised.
type CheckedServiceAccounts struct {
	Issuers []string
	// Keys are public keys, RSA or EC; empty where they come from the cluster.
	Keys []crypto.PublicKey
	// KeysFromCluster fetches them from the cluster.
	KeysFromCluster bool
}

// CheckedServiceAccountSecret is the mechanism for tokens in Secrets.
type CheckedServiceAccountSecret struct {
	// MaxAge and MaxIdle are 0 where there is no bound.
	MaxAge, MaxIdle time.Duration
	CheckedPolicy
}

// CheckedTokenRequest is the mechanism for requested tokens.
type CheckedTokenRequest struct {
	// MaxLifetime is 0 where there is no bound.
	MaxLifetime time.Duration
	CheckedPolicy
}

const (
	// minTokenLifetime: the API server issues no token for less (TREQ-5).
	minTokenLifetime = 10 * time.Minute
	// minSecretAge: below it, a token would be of no use before its Secret was mounted anywhere.
	minSecretAge = time.Hour
	// minSecretIdle: the cluster notes uses by the day (SAL-11).
	minSecretIdle = 24 * time.Hour
	// maxKeyBytes bounds a file of keys.
	maxKeyBytes = 1 << 20
)

func (c *checker) serviceAccountSecret(p *field.Path, written *ServiceAccountSecret) *CheckedServiceAccountSecret {
	checked := &CheckedServiceAccountSecret{
		MaxAge: time.Duration(written.MaxAge), MaxIdle: time.Duration(written.MaxIdle), CheckedPolicy: c.policy(p, written.MechanismPolicy),
	}
	for _, bound := range []struct {
		name   string
		value  Duration
		lowest time.Duration
	}{{"maxAge", written.MaxAge, minSecretAge}, {"maxIdle", written.MaxIdle, minSecretIdle}} {
		at := p.Child(bound.name)
		c.durationInRange(at, bound.value, bound.lowest, maxMaxLifetime)
		if bound.value != 0 && checked.Kubernetes {
			c.excludedByProfile(at)
		}
	}
	return checked
}

func (c *checker) tokenRequest(p *field.Path, written *TokenRequest) *CheckedTokenRequest {
	checked := &CheckedTokenRequest{MaxLifetime: time.Duration(written.MaxLifetime), CheckedPolicy: c.policy(p, written.MechanismPolicy)}
	at := p.Child("maxLifetime")
	c.durationInRange(at, written.MaxLifetime, minTokenLifetime, maxMaxLifetime)
	if written.MaxLifetime != 0 && checked.Kubernetes {
		c.excludedByProfile(at)
	}
	return checked
}

// serviceAccounts checks how a cluster's tokens are recognised, as kube-apiserver checks its flags.
func (c *checker) serviceAccounts(p *field.Path, written *ServiceAccounts, cluster *CheckedCluster) *CheckedServiceAccounts {
	checked := &CheckedServiceAccounts{Issuers: written.Issuers, KeysFromCluster: written.KeysFromCluster}
	issuers := p.Child("issuers")
	if len(written.Issuers) == 0 {
		c.required(issuers, "the cluster's --service-account-issuer")
	}
	c.names(issuers, written.Issuers, "an issuer")
	for i, issuer := range written.Issuers {
		if _, err := url.Parse(issuer); err != nil && strings.Contains(issuer, ":") {
			c.invalid(issuers.Index(i), issuer, "has a colon and is no URL")
		}
	}
	if cluster.Access == nil {
		c.required(p, "needs clusters[].access: whether a ServiceAccount still exists is for the cluster to say")
	}
	switch {
	case written.KeysFromCluster && len(written.KeyFiles) > 0:
		c.forbidden(p, "keyFiles and keysFromCluster exclude each other; remove one")
	case !written.KeysFromCluster && len(written.KeyFiles) == 0:
		c.required(p.Child("keyFiles"), "name the files of --service-account-key-file, or set keysFromCluster")
	}
	files := p.Child("keyFiles")
	c.names(files, written.KeyFiles, "a file")
	for i, name := range written.KeyFiles {
		checked.Keys = append(checked.Keys, c.publicKeys(files.Index(i), name)...)
	}
	return checked
}

// publicKeys reads all keys of a PEM file. A private key stands for its public one, as in kube-apiserver.
func (c *checker) publicKeys(p *field.Path, name string) []crypto.PublicKey {
	data, path := c.read(p, name, maxKeyBytes)
	if data == nil {
		return nil
	}
	var keys []crypto.PublicKey
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		key := publicKey(block)
		if key == nil {
			c.invalid(p, name, "%s: block %d is no RSA or EC key, nor a certificate of one", path, len(keys)+1)
			return nil
		}
		if block.Type != "PUBLIC KEY" && block.Type != pemCertificate {
			c.warn(p, "%s holds a private key, of which only the public one is used; give the gate the public one alone", path)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		c.invalid(p, name, "%s holds no PEM key", path)
	}
	return keys
}

// publicKey reads one PEM block; nil for anything but a key that can sign tokens (SAB-4).
func publicKey(block *pem.Block) crypto.PublicKey {
	var key any
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKIXPublicKey,
		func(der []byte) (any, error) { return x509.ParsePKCS1PublicKey(der) },
		func(der []byte) (any, error) {
			certificate, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, err
			}
			return certificate.PublicKey, nil
		},
		x509.ParsePKCS8PrivateKey,
		func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
		func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
	} {
		if parsed, err := parse(block.Bytes); err == nil {
			key = parsed
			break
		}
	}
	if private, ok := key.(crypto.Signer); ok {
		key = private.Public()
	}
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return key
	default:
		return nil
	}
}

// keyParts are the contents of a cluster's key files, for its digest.
func (c *checker) keyParts(written *ServiceAccounts) [][]byte {
	var parts [][]byte
	for _, name := range slices.Sorted(slices.Values(written.KeyFiles)) {
		parts = append(parts, c.contents[c.absolute(name)].data)
	}
	return parts
}

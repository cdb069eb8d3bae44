// Package minter is an issuer of hostile tokens: it serves discovery and keys over TLS as an OpenID Connect provider
// does, and signs whatever it is told to. Honest tokens come from package oidcprovider.
package minter

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512

	"github.com/go-jose/go-jose/v4"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// readHeaderTimeout bounds a request's headers.
const readHeaderTimeout = 30 * time.Second

// Minter is an issuer that runs. Its methods are safe for concurrent use.
type Minter struct {
	// Issuer is its URL.
	Issuer string
	// CA is the PEM of what signed its certificate.
	CA []byte

	server *http.Server
	done   chan struct{}

	mu        sync.Mutex
	keys      map[string]crypto.Signer // by key id
	published map[string]string        // key id to the algorithm it is published for; may be empty
	fetches   int
}

// Start starts an issuer that has no keys yet. Whoever calls it must call Stop.
func Start(ctx context.Context) (*Minter, error) {
	authority, err := pki.NewAuthority("minter-ca")
	if err != nil {
		return nil, err
	}
	pair, err := authority.Issue(pki.Server("minter"))
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the minter: %w", err)
	}
	m := &Minter{
		Issuer: "https://" + listener.Addr().String(), CA: authority.PEM(),
		done: make(chan struct{}), keys: map[string]crypto.Signer{}, published: map[string]string{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", m.discovery)
	mux.HandleFunc("GET /keys", m.keySet)
	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: readHeaderTimeout}
	go func() {
		defer close(m.done)
		// Serve returns when Stop closes the server; there is nobody to tell of another end.
		_ = m.server.Serve(tls.NewListener(listener, &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair.TLS()},
		}))
	}()
	return m, nil
}

// Stop ends the issuer.
func (m *Minter) Stop() error {
	err := m.server.Close()
	<-m.done
	return err
}

// NewKey makes a key for an algorithm (RS256 to ES512) and publishes it under the given id.
func (m *Minter) NewKey(id, algorithm string) (crypto.Signer, error) {
	key, err := m.NewSecretKey(id, algorithm)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.published[id] = algorithm
	return key, nil
}

// NewSecretKey makes a key that is not published: nobody can verify what it signs.
func (m *Minter) NewSecretKey(id, algorithm string) (crypto.Signer, error) {
	var key crypto.Signer
	var err error
	switch algorithm {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		key, err = pki.NewKey(pki.RSA2048)
	case "ES256":
		key, err = pki.NewKey(pki.ECDSAP256)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	default:
		err = errors.New("no keys are made for it")
	}
	if err != nil {
		return nil, fmt.Errorf("make a key for %q: %w", algorithm, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys[id] = key
	return key, nil
}

// AddKey makes the minter sign with a key that exists already, and is not published.
func (m *Minter) AddKey(id string, key crypto.Signer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys[id] = key
}

// Withdraw takes a key out of the published ones. Tokens can still be signed with it.
func (m *Minter) Withdraw(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.published, id)
}

// KeyFetches is how often the keys were asked for.
func (m *Minter) KeyFetches() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fetches
}

func (m *Minter) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"issuer":                                m.Issuer,
		"jwks_uri":                              m.Issuer + "/keys",
		"authorization_endpoint":                m.Issuer + "/authorize",
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (m *Minter) keySet(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fetches++
	var set jose.JSONWebKeySet
	for _, id := range slices.Sorted(maps.Keys(m.published)) {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: m.keys[id].Public(), KeyID: id, Algorithm: m.published[id], Use: "sig",
		})
	}
	answer(w, set)
}

func answer(w http.ResponseWriter, content any) {
	w.Header().Set("Content-Type", "application/json")
	// Who asked has gone: nobody is left to tell.
	_ = json.NewEncoder(w).Encode(content)
}

// Claims are those of an honest token of this issuer, good for an hour. Change them at will.
func (m *Minter) Claims(subject, audience string, groups ...string) map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": m.Issuer, "sub": subject, "aud": audience, "groups": groups, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

// Token is what is to be minted.
type Token struct {
	// Algorithm is how it is signed: RS256 to ES512, HS256 to HS512, or "none" for no signature at all. It is what the
	// header says, unless Header says otherwise.
	Algorithm string
	// KeyID is the key that signs, for RS, PS and ES, and what the header says, unless Header says otherwise.
	KeyID string
	// Secret is what HS signs with: the PEM of a public key, for example.
	Secret []byte
	// Header is laid over {"alg","kid","typ"}; a nil value removes.
	Header map[string]any
	// Claims are the payload.
	Claims map[string]any
	// Payload, if not nil, is the payload instead, as it is.
	Payload []byte
}

// Mint signs a token.
func (m *Minter) Mint(t Token) (string, error) {
	header := map[string]any{"alg": t.Algorithm, "typ": "JWT"}
	if t.KeyID != "" {
		header["kid"] = t.KeyID
	}
	for key, value := range t.Header {
		if value == nil {
			delete(header, key)
		} else {
			header[key] = value
		}
	}
	head, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	payload := t.Payload
	if payload == nil {
		if payload, err = json.Marshal(t.Claims); err != nil {
			return "", fmt.Errorf("mint a token: %w", err)
		}
	}
	signed := encode(head) + "." + encode(payload)
	signature, err := m.sign(t, signed)
	if err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	return signed + "." + encode(signature), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (m *Minter) sign(t Token, text string) ([]byte, error) {
	if t.Algorithm == "none" {
		return nil, nil
	}
	hash, ok := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[strings.TrimLeft(t.Algorithm, "RSPEH")]
	if !ok {
		return nil, fmt.Errorf("no algorithm %q", t.Algorithm)
	}
	if strings.HasPrefix(t.Algorithm, "HS") {
		mac := hmac.New(hash.New, t.Secret)
		_, _ = mac.Write([]byte(text)) // never fails
		return mac.Sum(nil), nil
	}
	m.mu.Lock()
	key := m.keys[t.KeyID]
	m.mu.Unlock()
	h := hash.New()
	_, _ = h.Write([]byte(text)) // never fails
	digest := h.Sum(nil)
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if strings.HasPrefix(t.Algorithm, "PS") {
			return rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(rand.Reader, key, hash, digest)
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		// Two numbers of fixed size, RFC 7518, section 3.4.
		size := (key.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	default:
		return nil, fmt.Errorf("there is no key %q", t.KeyID)
	}
}

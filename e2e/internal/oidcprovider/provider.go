// Package oidcprovider runs a real OpenID Connect provider, that of github.com/zitadel/oidc, over TLS on a free port,
// with users and groups in memory and a sign-in page.
package oidcprovider

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

const (
	// defaultLifetime of ID tokens: that of common providers.
	defaultLifetime = time.Hour
	// readHeaderTimeout bounds a request's headers.
	readHeaderTimeout = 30 * time.Second
	// defaultClientID is the client as which people sign in.
	defaultClientID = "kubernetes"
)

// User is somebody who can sign in.
type User struct {
	// Name is the subject of the tokens, and what is typed on the sign-in page.
	Name string
	// Password is the other thing that is typed there. A user without one cannot sign in.
	Password string
	// Email is a claim of the tokens, always verified.
	Email string
	// Groups is a claim of the tokens.
	Groups []string
}

// Options are what one provider has that another has not.
type Options struct {
	// Users are all that there are.
	Users []User
	// ClientID is the public client (no secret, PKCE) as which people sign in; empty means "kubernetes".
	ClientID string
	// Algorithm signs the tokens, jose.RS256 or jose.ES256; empty means RS256.
	Algorithm jose.SignatureAlgorithm
	// SessionIDs puts a sid into ID tokens, which names the sign-in.
	SessionIDs bool
	// IDTokenLifetime is how long ID tokens hold; 0 means an hour.
	IDTokenLifetime time.Duration
}

// Provider is one that runs. Its methods are safe for concurrent use.
type Provider struct {
	// Issuer is its URL, the "iss" of its tokens.
	Issuer string
	// ClientID is the "aud" of its tokens.
	ClientID string
	// CA is the PEM of what signed its certificate.
	CA []byte

	authority *pki.Authority
	storage   *storage
	// interrupted says that the provider answers nothing.
	interrupted atomic.Bool
	server      *http.Server
	done        chan struct{}
}

// Start starts a provider. Whoever calls it must call Stop.
func Start(ctx context.Context, options Options) (*Provider, error) {
	if options.ClientID == "" {
		options.ClientID = defaultClientID
	}
	if options.Algorithm == "" {
		options.Algorithm = jose.RS256
	}
	if options.IDTokenLifetime == 0 {
		options.IDTokenLifetime = defaultLifetime
	}
	p, listener, err := newProvider(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("start the OpenID Connect provider: %w", err)
	}
	go func() {
		defer close(p.done)
		// Serve returns when Stop closes the server; there is nobody to tell of another end.
		_ = p.server.Serve(listener)
	}()
	return p, nil
}

func newProvider(ctx context.Context, options Options) (*Provider, net.Listener, error) {
	authority, err := pki.NewAuthority("oidc-provider-ca")
	if err != nil {
		return nil, nil, err
	}
	pair, err := authority.Issue(pki.Server("oidc-provider"))
	if err != nil {
		return nil, nil, err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	p := &Provider{
		Issuer: "https://" + listener.Addr().String(), ClientID: options.ClientID, CA: authority.PEM(),
		authority: authority, done: make(chan struct{}),
	}
	if p.storage, err = newStorage(options); err != nil {
		return nil, nil, errors.Join(err, listener.Close())
	}
	handler, err := newHandler(p.Issuer, p.storage)
	if err != nil {
		return nil, nil, errors.Join(err, listener.Close())
	}
	interruptible := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.interrupted.Load() {
			http.Error(w, "interrupted", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	})
	p.server = &http.Server{Handler: interruptible, ReadHeaderTimeout: readHeaderTimeout}
	return p, tls.NewListener(listener, &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair.TLS()}, NextProtos: []string{"http/1.1"},
	}), nil
}

func newHandler(issuer string, s *storage) (http.Handler, error) {
	config := &op.Config{CodeMethodS256: true, CryptoKeyId: "e2e", GrantTypeRefreshToken: true, DeviceAuthorization: deviceConfig()}
	// Reading random bytes does not fail.
	_, _ = rand.Read(config.CryptoKey[:])
	provider, err := op.NewProvider(config, s, op.StaticIssuer(issuer))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	intercept := op.NewIssuerInterceptor(provider.IssuerFromRequest)
	page := &signIn{storage: s, callback: op.AuthCallbackURL(provider)}
	mux.HandleFunc("GET "+signInPath, page.show)
	mux.Handle("POST "+signInPath, intercept.Handler(http.HandlerFunc(page.check)))
	mux.HandleFunc("GET "+devicePath, page.showDevice)
	mux.HandleFunc("POST "+devicePath, page.checkDevice)
	mux.Handle("/", provider)
	return mux, nil
}

// Stop ends the provider.
func (p *Provider) Stop() error {
	err := p.server.Close()
	<-p.done
	return err
}

// HTTPClient trusts the provider's certificate and nothing else.
func (p *Provider) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.authority.Pool()},
	}}
}

// AuthenticationConfiguration is a file of that kind (CFG-1) that accepts the provider's tokens: the subject is the
// user name, the groups claim the groups, both without a prefix.
func (p *Provider) AuthenticationConfiguration() ([]byte, error) {
	return AuthenticationConfiguration(p.Issuer, p.CA, p.ClientID)
}

// AuthenticationConfiguration is that of any issuer.
func AuthenticationConfiguration(issuer string, ca []byte, audiences ...string) ([]byte, error) {
	return yaml.Marshal(map[string]any{
		"apiVersion": "apiserver.config.k8s.io/v1",
		"kind":       "AuthenticationConfiguration",
		"jwt": []any{map[string]any{
			"issuer": map[string]any{"url": issuer, "certificateAuthority": string(ca), "audiences": audiences},
			"claimMappings": map[string]any{
				"username": map[string]any{"claim": "sub", "prefix": ""},
				"groups":   map[string]any{"claim": "groups", "prefix": ""},
			},
		}},
	})
}

package jwt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

const (
	// verifiedHolds is how long a verified token is remembered: kube-apiserver's own figure (CACHE-2).
	verifiedHolds = 10 * time.Second
	// maxTokenBytes bounds what is parsed. kube-apiserver takes what fits its header limit; tokens with the claims of
	// a person in hundreds of groups stay below 32 KiB.
	maxTokenBytes = 64 << 10
	// maxStrangers bounds the strangers' tokens that are verified at a time. One that names an unknown key may wait for its
	// issuer for as long as that takes, and must not keep what is judged by others from being judged meanwhile.
	maxStrangers = 128
)

// Errors of this package; those of verification are Kubernetes' own.
var (
	errNotInitialised = errors.New("the issuer's keys could not be fetched yet")
	errTooLong        = fmt.Errorf("the token is longer than %d bytes", maxTokenBytes)
)

// Mechanism verifies the tokens of all configured issuers. It is safe for concurrent use.
type Mechanism struct {
	issuers  []issuer
	verified authenticator.Token
	stop     context.CancelFunc
	room     *authn.Room
}

// issuer is one entry of the AuthenticationConfiguration, and Kubernetes' authenticator for it.
type issuer struct {
	url           string
	authenticator oidc.AuthenticatorTokenWithHealthCheck
}

// New starts an authenticator for each issuer. Their keys are fetched in the background, again and again until that
// succeeds; Ready tells how far that is. Close ends it.
func New(ctx context.Context, configuration *Configuration) (*Mechanism, error) {
	ctx, stop := context.WithCancel(ctx)
	m := &Mechanism{stop: stop, room: authn.NewRoom("JSON Web Tokens", maxStrangers)}
	compiler := authenticationcel.NewDefaultCompiler()
	for _, entry := range configuration.issuers {
		client, err := newClient(entry.Issuer.CertificateAuthority)
		if err != nil {
			stop()
			return nil, fmt.Errorf("issuer %s: %w", entry.Issuer.URL, err)
		}
		authenticator, err := oidc.New(ctx, oidc.Options{
			JWTAuthenticator:     entry,
			Client:               client,
			Compiler:             compiler,
			SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(), // CFG-1
		})
		if err != nil {
			stop()
			return nil, fmt.Errorf("issuer %s: %w", entry.Issuer.URL, err)
		}
		m.issuers = append(m.issuers, issuer{url: entry.Issuer.URL, authenticator: authenticator})
	}
	m.verified = cache.New(authenticator.TokenFunc(m.verify), false, verifiedHolds, 0)
	return m, nil
}

// Close stops fetching keys. The mechanism must not be used any more.
func (m *Mechanism) Close() { m.stop() }

// Ready returns an error that names every issuer whose keys have not been fetched yet.
func (m *Mechanism) Ready() error {
	var errs []error
	for _, issuer := range m.issuers {
		if err := issuer.authenticator.HealthCheck(); err != nil {
			errs = append(errs, fmt.Errorf("issuer %s: %w", issuer.url, err))
		}
	}
	return errors.Join(errs...)
}

// AuthenticateToken answers for one token. A token of none of the issuers is no credential of this mechanism (OIDC-1).
func (m *Mechanism) AuthenticateToken(ctx context.Context, r *authn.Request, token secret.String) authn.Answer {
	raw := token.Reveal()
	if len(raw) > maxTokenBytes {
		return authn.Reject(errTooLong)
	}
	leave, err := m.room.Enter(r)
	if err != nil {
		return authn.Fail(err)
	}
	defer leave()
	response, ok, err := m.verified.AuthenticateToken(ctx, raw)
	switch {
	case err != nil && (errors.Is(err, errNotInitialised) || ctx.Err() != nil):
		return authn.Fail(err)
	case err != nil:
		return authn.Reject(err)
	case !ok:
		return authn.None()
	}
	verified, ok := response.User.(*verifiedUser)
	if !ok {
		return authn.Fail(fmt.Errorf("unexpected user type %T", response.User))
	}
	return authn.Accept(verified.credential)
}

// verifiedUser carries the credential through Kubernetes' cache.
type verifiedUser struct {
	user.DefaultInfo
	credential *authn.Credential
}

// verify asks the issuers in order. At most one has an opinion, as issuer URLs are unique (CHAIN-7).
func (m *Mechanism) verify(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	for _, issuer := range m.issuers {
		missing := issuer.authenticator.HealthCheck() // before asking: the keys may come while it answers
		response, ok, err := issuer.authenticator.AuthenticateToken(ctx, token)
		if err != nil {
			if missing != nil {
				return nil, false, fmt.Errorf("issuer %s: %w", issuer.url, errNotInitialised)
			}
			return nil, false, fmt.Errorf("issuer %s: %w", issuer.url, err)
		}
		if !ok {
			continue
		}
		credential, err := newCredential(issuer.url, token, response.User)
		if err != nil {
			return nil, false, fmt.Errorf("issuer %s: %w", issuer.url, err)
		}
		return &authenticator.Response{User: &verifiedUser{credential: credential}}, true, nil
	}
	return nil, false, nil
}

// newCredential describes a verified token.
func newCredential(issuerURL, token string, info user.Info) (*authn.Credential, error) {
	claims, err := parseClaims(token)
	if err != nil {
		return nil, err
	}
	// A token without jti is named by its digest. The signature makes that useless for guessing.
	id := identity.CredentialID{Issuer: issuerURL}
	if named := info.GetExtra()[identity.ExtraCredentialID]; len(named) == 1 { // OIDC-17, reserved by CFG-7
		id.Value = named[0]
	} else {
		digest := sha256.Sum256([]byte(token))
		id.Value = "JWTSHA256=" + hex.EncodeToString(digest[:])
	}
	return &authn.Credential{
		ID:        id,
		Mechanism: identity.JWT,
		Identity: identity.Identity{
			Username: info.GetName(),
			UID:      info.GetUID(),
			Groups:   info.GetGroups(),
			Extra:    info.GetExtra(),
		},
		NotBefore: claims.IssuedAt,
		NotAfter:  claims.Expiry,
	}, nil
}

var _ authn.TokenMechanism = (*Mechanism)(nil)

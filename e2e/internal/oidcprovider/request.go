package oidcprovider

import (
	"net/url"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// redirectURI is where a program that signs somebody in on this machine waits for the code: any port of it
// (RFC 8252, section 7.3).
const redirectURI = "http://127.0.0.1/callback"

// authRequest is a sign-in. It is not changed once it was made.
type authRequest struct {
	id      string
	asked   oidc.AuthRequest
	subject string
	at      time.Time
}

// GetID is its key.
func (r *authRequest) GetID() string { return r.id }

// GetACR is empty: there is one way to sign in.
func (r *authRequest) GetACR() string { return "" }

// GetAMR is how the user signed in (RFC 8176).
func (r *authRequest) GetAMR() []string {
	if r.Done() {
		return []string{"pwd"}
	}
	return nil
}

// GetAudience is the client.
func (r *authRequest) GetAudience() []string { return []string{r.asked.ClientID} }

// GetAuthTime is when the user signed in.
func (r *authRequest) GetAuthTime() time.Time { return r.at }

// GetClientID is the client.
func (r *authRequest) GetClientID() string { return r.asked.ClientID }

// GetCodeChallenge is what the client has to match when it comes for the token (RFC 7636).
func (r *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	if r.asked.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: r.asked.CodeChallenge, Method: r.asked.CodeChallengeMethod}
}

// GetNonce is what the client wants to find in the token.
func (r *authRequest) GetNonce() string { return r.asked.Nonce }

// GetRedirectURI is where the code goes.
func (r *authRequest) GetRedirectURI() string { return r.asked.RedirectURI }

// GetResponseType is what the client asked for.
func (r *authRequest) GetResponseType() oidc.ResponseType { return r.asked.ResponseType }

// GetResponseMode is what the client asked for.
func (r *authRequest) GetResponseMode() oidc.ResponseMode { return r.asked.ResponseMode }

// GetScopes is what the client asked for.
func (r *authRequest) GetScopes() []string { return r.asked.Scopes }

// GetState is what the client wants back.
func (r *authRequest) GetState() string { return r.asked.State }

// GetSubject is who signed in.
func (r *authRequest) GetSubject() string { return r.subject }

// Done tells whether somebody signed in.
func (r *authRequest) Done() bool { return r.subject != "" }

// client is the one client: a program on a person's machine, without a secret.
type client struct {
	id       string
	lifetime time.Duration
}

// GetID is the "client_id".
func (c *client) GetID() string { return c.id }

// RedirectURIs is where codes may go.
func (c *client) RedirectURIs() []string { return []string{redirectURI} }

// PostLogoutRedirectURIs is empty: there are no sessions.
func (c *client) PostLogoutRedirectURIs() []string { return nil }

// ApplicationType is a program on a person's machine.
func (c *client) ApplicationType() op.ApplicationType { return op.ApplicationTypeNative }

// AuthMethod is none: PKCE takes its place.
func (c *client) AuthMethod() oidc.AuthMethod { return oidc.AuthMethodNone }

// ResponseTypes is the code only.
func (c *client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

// GrantTypes is codes of both kinds, and refreshes.
func (c *client) GrantTypes() []oidc.GrantType { return grantTypes() }

// LoginURL is the sign-in page.
func (c *client) LoginURL(id string) string {
	return signInPath + "?" + url.Values{requestField: {id}}.Encode()
}

// AccessTokenType is opaque.
func (c *client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }

// IDTokenLifetime is how long tokens hold.
func (c *client) IDTokenLifetime() time.Duration { return c.lifetime }

// DevMode is off: plain HTTP is for loopback redirects only.
func (c *client) DevMode() bool { return false }

// RestrictAdditionalIdTokenScopes lets all scopes through.
//
//nolint:revive,staticcheck // the interface spells it so
func (c *client) RestrictAdditionalIdTokenScopes() func([]string) []string { return keepScopes }

// RestrictAdditionalAccessTokenScopes lets all scopes through.
func (c *client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return keepScopes }

// IsScopeAllowed allows groups beside the standard ones.
func (c *client) IsScopeAllowed(scope string) bool { return scope == groupsClaim }

// IDTokenUserinfoClaimsAssertion puts the claims into the ID token, where Kubernetes looks for them.
func (c *client) IDTokenUserinfoClaimsAssertion() bool { return true }

// ClockSkew is none: all is one machine.
func (c *client) ClockSkew() time.Duration { return 0 }

func keepScopes(scopes []string) []string { return scopes }

var (
	_ op.AuthRequest = (*authRequest)(nil)
	_ op.Client      = (*client)(nil)
)

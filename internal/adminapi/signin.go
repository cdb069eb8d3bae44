package adminapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Where a gate signs people and pipelines in. These stand beside every cluster's paths, since a session serves all of the
// gate's clusters.
const (
	// SignInPath takes GET and answers with a SignIn, to everybody.
	SignInPath = "/.ostiary/signin"
	// TokenPath takes POST of a token exchange (RFC 8693) and answers with a TokenAnswer.
	TokenPath = "/.ostiary/token"
	// RevokePath takes POST of a revocation (RFC 7009).
	RevokePath = "/.ostiary/revoke"
	// IntrospectPath takes POST of an introspection (RFC 7662).
	IntrospectPath = "/.ostiary/introspect"
	// BackchannelLogoutPath takes, with a provider's name below it, POST of a logout token (OpenID Connect Back-Channel
	// Logout 1.0).
	BackchannelLogoutPath = "/.ostiary/logout/"
)

// The names that a token exchange is made of (RFC 8693 sections 2.1 and 3).
const (
	GrantTypeTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	TokenTypeIDToken       = "urn:ietf:params:oauth:token-type:id_token"
	TokenTypeJWT           = "urn:ietf:params:oauth:token-type:jwt"
	TokenTypeAccessToken   = "urn:ietf:params:oauth:token-type:access_token"
	// TokenTypeX509 asks for a certificate chain, in PEM, for the key of a certificate request.
	TokenTypeX509 = "urn:ostiary:params:oauth:token-type:x509"
)

// SignInKind is the kind of a SignIn.
const SignInKind = "SignIn"

// The ways in which a person can prove at a provider who they are.
const (
	// FlowCode is the authorization code flow with a browser on this machine (RFC 8252).
	FlowCode = "code"
	// FlowDevice is the device authorization flow (RFC 8628).
	FlowDevice = "device"
	// FlowPaste is the authorization code flow with a browser elsewhere, whose last address is typed in here.
	FlowPaste = "paste"
)

// ErrNotSignIn says that an answer is no SignIn.
var ErrNotSignIn = errors.New("the answer is no Ostiary sign-in document")

// SignIn says how a gate can be signed in to, and what is behind it.
type SignIn struct {
	TypeMeta `json:",inline"`
	// Providers are where people prove who they are. Empty where only pipelines can sign in.
	Providers []SignInProvider `json:"providers"`
	// Clusters are the API servers behind the gate, the default first.
	Clusters []SignInCluster `json:"clusters"`
}

// SignInProvider is an OpenID Connect provider, at which the client is a public one.
type SignInProvider struct {
	// Name is the provider's in the gate's configuration.
	Name string `json:"name"`
	// Issuer is its URL.
	Issuer string `json:"issuer"`
	// ClientID is the client's.
	ClientID string `json:"clientID"`
	// Scopes are what to ask for.
	Scopes []string `json:"scopes"`
	// Flows are the ways that may be used, the preferred first: FlowCode, FlowDevice, FlowPaste.
	Flows []string `json:"flows"`
	// CertificateAuthorityData is the PEM of the CAs that vouch for the provider; empty means those of the system.
	CertificateAuthorityData []byte `json:"certificateAuthorityData,omitempty"`
}

// SignInCluster is an API server behind a gate.
type SignInCluster struct {
	// Name is the cluster's in the gate's configuration.
	Name string `json:"name"`
	// Path is where it is found at the gate, for example "/clusters/prod".
	Path string `json:"path"`
}

// ParseSignIn reads the body of an answer to GET SignInPath. What is not JSON or states another type is refused with
// ErrNotSignIn. Fields that it does not know are ignored: the gate may be newer than its client.
func ParseSignIn(body []byte) (SignIn, error) {
	var document SignIn
	if err := json.Unmarshal(body, &document); err != nil {
		return SignIn{}, fmt.Errorf("%w: %w", ErrNotSignIn, err)
	}
	if err := document.Is(SignInKind); err != nil {
		return SignIn{}, fmt.Errorf("%w: %w", ErrNotSignIn, err)
	}
	return document, nil
}

// TokenAnswer is the answer to a token exchange (RFC 8693 section 2.2.1).
type TokenAnswer struct {
	// AccessToken is what was issued: a certificate chain in PEM, the leaf first, or an opaque token.
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	// TokenType is "N_A" for a certificate, and "Bearer" for a token.
	TokenType string `json:"token_type"`
	// ExpiresIn is for how many seconds it holds from now.
	ExpiresIn int64 `json:"expires_in"`
	// CredentialID is under which it is found in logs and in the ledger.
	CredentialID string `json:"credential_id"`
	// Session is the id of the session that it belongs to.
	Session string `json:"session"`
	// SessionExpiresAt is when the session ends, whatever is renewed until then.
	SessionExpiresAt time.Time `json:"session_expires_at"`
	// Username and Groups are whom the gate takes the bearer for.
	Username string   `json:"username"`
	Groups   []string `json:"groups,omitempty"`
}

// OAuthError is why a request to the endpoints of this file was refused (RFC 6749 section 5.2).
type OAuthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

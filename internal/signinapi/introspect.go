package signinapi

import (
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/impersonation"
	"github.com/ostiary/ostiary/internal/localapi"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/session"
)

// introspectResource is what roles name for those who may introspect; the verb is create.
const introspectResource = "introspections"

// introspection is the answer of RFC 7662 section 2.2. A token that is not provably good is not active, without a reason.
type introspection struct {
	Active    bool   `json:"active"`
	Username  string `json:"username,omitempty"`
	Subject   string `json:"sub,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	NotBefore int64  `json:"nbf,omitempty"`
	Expires   int64  `json:"exp,omitempty"`
	ID        string `json:"jti,omitempty"`
	// Confirmation is the certificate that it is bound to (RFC 8705 section 3.2).
	Confirmation map[string]string `json:"cnf,omitempty"`
}

// introspect says what a token of Ostiary's is. The caller is let in as to the first cluster, and must be allowed there.
func (a *API) introspect(x *exchange, form url.Values) {
	hub := &x.settings.Clusters[0]
	asked := *x.visitor.Asked
	asked.Cluster, asked.Audiences, asked.Header = hub.Name, hub.Audiences, x.r.Header
	d := hub.Chain.Decide(x.r.Context(), &asked)
	x.handled.Decision = d
	switch {
	case !d.Admitted() && d.Reason == authn.ReasonUnavailable:
		x.refused(&d)
		return
	case !d.Admitted() || d.Identity.IsAnonymous():
		x.w.Header().Set("WWW-Authenticate", "Bearer")
		x.fail(http.StatusUnauthorized, codeInvalidClient, "who asks must be let in, as to a cluster")
		return
	case impersonation.IsRequested(x.r.Header):
		x.fail(http.StatusBadRequest, codeInvalidRequest, "impersonation is not possible here")
		return
	}
	allowed, _, err := a.config.Authorizer.Authorize(x.r.Context(), d.Identity, localapi.Access{Verb: "create", Resource: introspectResource})
	switch {
	case err != nil:
		x.later(http.StatusServiceUnavailable, codeUnavailable, "the cluster could not be asked whether this is allowed; the gate's log says why")
		return
	case !allowed:
		x.fail(http.StatusForbidden, codeUnauthorizedClient, "it takes the right to create "+introspectResource+" of ostiary.dev")
		return
	}
	found, owner, _ := a.config.Tokens.Holder(secret.New(form.Get("token")))
	x.answer(http.StatusOK, a.describeToken(x, found, owner))
}

func (a *API) describeToken(x *exchange, found *session.Credential, owner *session.Session) introspection {
	now := x.visitor.Asked.Now
	if found == nil || !owner.Open(now) || now.After(found.NotAfter) || now.Before(found.NotBefore) {
		return introspection{}
	}
	if a.config.Registrar.Ready() != nil || a.config.Shut(&authn.Credential{
		ID: identity.CredentialID{Value: found.CredentialID()}, Mechanism: identity.IssuedToken,
		Identity: owner.Identity(found.CredentialID()), NotBefore: found.NotBefore, NotAfter: found.NotAfter, Basis: owner.Basis,
	}) != "" {
		return introspection{}
	}
	said := introspection{
		Active: true, Username: owner.Username, Subject: owner.Username, TokenType: "Bearer", ID: found.CredentialID(),
		IssuedAt: found.NotBefore.Unix(), NotBefore: found.NotBefore.Unix(), Expires: found.NotAfter.Unix(),
	}
	if bound := found.Token.Thumbprint; bound != nil {
		said.Confirmation = map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(bound[:])}
	}
	return said
}

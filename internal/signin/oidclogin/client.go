package oidclogin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/tlspolicy"
)

// answerTimeout bounds one request to a provider; some ask another provider in turn.
const answerTimeout = 30 * time.Second

// Client signs people in at one provider. It is safe for concurrent use. Close it to let go of its connections.
type Client struct {
	issuer   string
	flows    []string
	config   oauth2.Config
	verifier *oidc.IDTokenVerifier
	http     *http.Client
	// revocation is where refresh tokens are ended (RFC 7009); empty where the provider has no such place.
	revocation string
	// named says that the provider names itself in every answer of a browser (RFC 9207).
	named bool
}

// Tokens are what a provider gives for a sign-in or a refresh.
type Tokens struct {
	// ID is the ID token; its signature, issuer, audience, end and nonce were checked.
	ID secret.String
	// Refresh gets the next ones; empty where the provider gives none.
	Refresh secret.String
	// Subject is the provider's name for the person.
	Subject string
	// Ends is when the ID token ends.
	Ends time.Time
}

// New asks a provider where its endpoints are.
func New(ctx context.Context, provider adminapi.SignInProvider) (*Client, error) {
	var pool *x509.CertPool
	if len(provider.CertificateAuthorityData) > 0 {
		pool = x509.NewCertPool()
		if !pool.AppendCertsFromPEM(provider.CertificateAuthorityData) {
			return nil, fmt.Errorf("the gate names CAs for provider %q that hold no certificate in PEM", provider.Name)
		}
	}
	if issuer, err := url.Parse(provider.Issuer); err != nil || issuer.Scheme != "https" || issuer.Host == "" {
		return nil, fmt.Errorf("the issuer of provider %q is %q, which is no https URL", provider.Name, provider.Issuer)
	}
	client := &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlspolicy.Client(pool, "", nil), ForceAttemptHTTP2: true},
		Timeout:   answerTimeout,
	}
	discovered, err := oidc.NewProvider(oidc.ClientContext(ctx, client), provider.Issuer)
	if err != nil {
		client.CloseIdleConnections()
		return nil, &signin.NoAnswerError{From: provider.Issuer, Cause: err}
	}
	var more metadata
	err = discovered.Claims(&more)
	if err == nil {
		err = more.check()
	}
	if err != nil {
		client.CloseIdleConnections()
		return nil, &signin.NoAnswerError{From: provider.Issuer, Cause: err}
	}
	scopes := provider.Scopes
	if !slices.Contains(scopes, oidc.ScopeOpenID) {
		scopes = append([]string{oidc.ScopeOpenID}, scopes...)
	}
	endpoint := discovered.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams // a public client has nothing but its name
	return &Client{
		issuer: provider.Issuer, flows: provider.Flows, http: client, revocation: more.Revocation, named: more.Named,
		config:   oauth2.Config{ClientID: provider.ClientID, Endpoint: endpoint, Scopes: scopes},
		verifier: discovered.Verifier(&oidc.Config{ClientID: provider.ClientID}),
	}, nil
}

// metadata is what a provider says of itself (OpenID Connect Discovery 1.0, section 3).
type metadata struct {
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Keys          string `json:"jwks_uri"`
	Device        string `json:"device_authorization_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	Named         bool   `json:"authorization_response_iss_parameter_supported"`
}

// check returns an error unless all that is asked there, codes and refresh tokens among it, goes over TLS, and the browser is sent to
// a page of the web: what opens addresses opens files and starts programs by others.
func (m *metadata) check() error {
	for _, one := range []struct {
		name, address string
		optional      bool
	}{
		{"authorization_endpoint", m.Authorization, false},
		{"token_endpoint", m.Token, false},
		{"jwks_uri", m.Keys, false},
		{"device_authorization_endpoint", m.Device, true},
		{"revocation_endpoint", m.Revocation, true},
	} {
		if one.optional && one.address == "" {
			continue
		}
		if parsed, err := url.Parse(one.address); err != nil || parsed.Scheme != "https" || parsed.Host == "" {
			return fmt.Errorf("its %s is %q, which is no https URL", one.name, one.address)
		}
	}
	return nil
}

// Close lets go of connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// attempt is one sign-in by a code: the values that tie its answer to it.
type attempt struct {
	state, nonce, verifier string
	config                 oauth2.Config
}

// errOtherState says that an answer is not this attempt's.
var errOtherState = errors.New("the answer in the browser belongs to another sign-in; begin anew")

// begin makes an attempt that ends at a redirect address.
func (c *Client) begin(redirect string) *attempt {
	a := &attempt{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier(), config: c.config}
	a.config.RedirectURL = redirect
	return a
}

// url is where the person signs in.
func (a *attempt) url() string {
	return a.config.AuthCodeURL(a.state, oauth2.S256ChallengeOption(a.verifier), oidc.Nonce(a.nonce))
}

// code takes the code out of what the provider sent the browser to.
func (c *Client) code(a *attempt, answer url.Values) (string, error) {
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(a.state)) != 1 {
		return "", errOtherState
	}
	for name, values := range answer {
		if len(values) > 1 { // RFC 6749 section 3.1: which of them is meant, nobody knows
			return "", fmt.Errorf("the answer in the browser holds %s more than once", signin.Foreign(name))
		}
	}
	// RFC 9207: an answer that names another issuer was meant for somebody else, and so was one that names none where ours always does.
	switch iss := answer.Get("iss"); {
	case iss != "" && iss != c.issuer:
		return "", fmt.Errorf("the answer in the browser is by %s, not by %s", signin.Foreign(iss), c.issuer)
	case iss == "" && c.named:
		return "", fmt.Errorf("the answer in the browser does not say that it is by %s, as each of its answers does", c.issuer)
	}
	if code := answer.Get("error"); code != "" {
		return "", &signin.RefusedError{By: c.issuer, Code: code, Description: answer.Get("error_description")}
	}
	if answer.Get("code") == "" {
		return "", errors.New("the answer in the browser holds no code")
	}
	return answer.Get("code"), nil
}

// redeem gets the tokens for a code.
func (c *Client) redeem(ctx context.Context, a *attempt, code string) (*Tokens, error) {
	token, err := a.config.Exchange(oidc.ClientContext(ctx, c.http), code, oauth2.VerifierOption(a.verifier))
	if err != nil {
		return nil, c.failure(err)
	}
	return c.check(ctx, token, a.nonce)
}

// Refresh gets a new ID token. Where the provider gives no new refresh token, the old one goes on.
func (c *Client) Refresh(ctx context.Context, refresh secret.String, subject string) (*Tokens, error) {
	token, err := c.config.TokenSource(oidc.ClientContext(ctx, c.http), &oauth2.Token{RefreshToken: refresh.Reveal()}).Token()
	if err != nil {
		return nil, c.failure(err)
	}
	tokens, err := c.check(ctx, token, "")
	if err != nil {
		// A provider that rotates has ended the old one, so the new one must not be lost.
		return &Tokens{Refresh: secret.New(token.RefreshToken)}, err
	}
	if tokens.Subject != subject { // OpenID Connect Core, section 12.2
		return nil, &signin.RefusedError{By: c.issuer, Description: "it answered a refresh with somebody else's token"}
	}
	return tokens, nil
}

// check verifies the ID token of an answer. An empty nonce is not looked for: only answers in which a browser took part
// have one.
func (c *Client) check(ctx context.Context, token *oauth2.Token, nonce string) (*Tokens, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok || raw == "" {
		return nil, &signin.NoAnswerError{From: c.issuer, Cause: errors.New(`it gave no ID token: is the scope "openid" allowed to this client, and are ID tokens given for refreshes?`)}
	}
	verified, err := c.verifier.Verify(oidc.ClientContext(ctx, c.http), raw)
	if err != nil {
		return nil, &signin.NoAnswerError{From: c.issuer, Cause: err}
	}
	if nonce != "" && subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(nonce)) != 1 {
		return nil, &signin.NoAnswerError{From: c.issuer, Cause: errors.New("its ID token belongs to another sign-in (nonce)")}
	}
	return &Tokens{ID: secret.New(raw), Refresh: secret.New(token.RefreshToken), Subject: verified.Subject, Ends: verified.Expiry}, nil
}

// Revoke ends a refresh token at the provider, where it offers that.
func (c *Client) Revoke(ctx context.Context, refresh secret.String) error {
	if c.revocation == "" || refresh.IsEmpty() {
		return nil
	}
	form := url.Values{"token": {refresh.Reveal()}, "token_type_hint": {"refresh_token"}, "client_id": {c.config.ClientID}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := c.http.Do(request)
	if err != nil {
		return &signin.NoAnswerError{From: c.issuer, Cause: err}
	}
	if err := response.Body.Close(); err != nil {
		return &signin.NoAnswerError{From: c.issuer, Cause: err}
	}
	if response.StatusCode != http.StatusOK {
		return &signin.RefusedError{By: c.issuer, Status: response.StatusCode}
	}
	return nil
}

// failure tells a provider that says no from one that cannot answer.
func (c *Client) failure(err error) error {
	said, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok || said.ErrorCode == "" && said.Response.StatusCode >= http.StatusInternalServerError {
		return &signin.NoAnswerError{From: c.issuer, Cause: err}
	}
	refused := &signin.RefusedError{By: c.issuer, Code: said.ErrorCode, Description: said.ErrorDescription, Status: said.Response.StatusCode}
	switch said.ErrorCode {
	case "server_error", "temporarily_unavailable":
		return &signin.NoAnswerError{From: c.issuer, Cause: errors.New(refused.Error())} // no refusal: asking again may help
	default:
		return refused
	}
}

// Offers reports whether the gate lets people sign in at this provider by a flow.
func (c *Client) Offers(flow string) bool { return slices.Contains(c.flows, flow) }

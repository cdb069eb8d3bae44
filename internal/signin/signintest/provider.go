// Package signintest is the other side of a sign-in, for tests: an OpenID Connect provider that lets its one person in without
// asking, and a gate that speaks the sign-in contract. Both are strict where the standards are, and do wrong on demand.
package signintest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/ostiary/ostiary/internal/adminapi"
)

// clientID is the one client's.
const clientID = "kubernetes"

// Provider is an OpenID Connect provider. Its fields may be changed between requests, under Change.
type Provider struct {
	// Issuer is its URL, and CA the PEM that vouches for it.
	Issuer string
	CA     []byte

	key    *ecdsa.PrivateKey
	server *httptest.Server

	mu      sync.Mutex
	codes   map[string]url.Values // what was asked for at the authorization endpoint
	refresh map[string]bool
	devices map[string]bool // device code to whether the person has agreed
	state   State
	counts  map[string]int
}

// State is how a provider behaves. The zero value is a good one.
type State struct {
	// Subject is the person; empty means "jane".
	Subject string
	// Disabled refuses refreshes.
	Disabled bool
	// Down answers everything but discovery with 503, and Says is the body of that; empty means "down".
	Down bool
	Says string
	// Nonce replaces that of ID tokens.
	Nonce string
	// Audience replaces that of ID tokens.
	Audience string
	// ForeignKey signs ID tokens with a key that is not published.
	ForeignKey bool
	// NoIDTokenOnRefresh leaves the ID token out of refreshes.
	NoIDTokenOnRefresh bool
	// NoRefreshToken gives none.
	NoRefreshToken bool
	// Deny is an error code for the authorization endpoint.
	Deny string
	// Rotate gives a new refresh token at each refresh and ends the old one.
	Rotate bool
	// Named has answers of the authorization endpoint name the provider (RFC 9207).
	Named bool
	// Metadata replaces what the provider says of itself.
	Metadata map[string]any
}

// NewProvider starts a provider that ends with the test.
func NewProvider(t testing.TB) *Provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{key: key, codes: map[string]url.Values{}, refresh: map[string]bool{}, devices: map[string]bool{}, counts: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("POST /device", p.device)
	mux.HandleFunc("POST /revoke", p.revoke)
	p.server = httptest.NewTLSServer(mux)
	t.Cleanup(p.server.Close)
	p.Issuer = p.server.URL
	p.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	return p
}

// Config is how a gate describes the provider.
func (p *Provider) Config(name string, flows ...string) adminapi.SignInProvider {
	return adminapi.SignInProvider{
		Name: name, Issuer: p.Issuer, ClientID: clientID, Scopes: []string{"openid", "offline_access"}, Flows: flows, CertificateAuthorityData: p.CA,
	}
}

// Change sets how the provider behaves from now on.
func (p *Provider) Change(change func(*State)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.state)
}

// Count is how often an endpoint was asked: "authorize", "token", "device", "revoke", or a grant type.
func (p *Provider) Count(endpoint string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[endpoint]
}

// Browser is a person with a browser: it goes to an address and follows where it is sent, also out of the provider. It returns
// the last address.
func (p *Provider) Browser(t testing.TB, address string) *url.URL {
	t.Helper()
	response, err := get(t, p.server.Client(), address)
	if err != nil {
		t.Error(err)
		return &url.URL{}
	}
	defer func() { _ = response.Body.Close() }()
	return response.Request.URL
}

func get(t testing.TB, client *http.Client, address string) (*http.Response, error) {
	t.Helper()
	// A browser outlives the test that it was opened by, for as long as the last page takes.
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return client.Do(request)
}

// Answer goes to an address, and returns where the provider sends the browser without following.
func (p *Provider) Answer(t testing.TB, address string) string {
	t.Helper()
	client := *p.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := get(t, &client, address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	return response.Header.Get("Location")
}

// Agree is the person's yes to all device codes. It reports whether one waited for it.
func (p *Provider) Agree() (waited bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for code, agreed := range maps.Clone(p.devices) {
		p.devices[code], waited = true, waited || !agreed
	}
	return waited
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	document := map[string]any{
		"issuer": p.Issuer, "authorization_endpoint": p.Issuer + "/authorize", "token_endpoint": p.Issuer + "/token", "jwks_uri": p.Issuer + "/keys",
		"device_authorization_endpoint": p.Issuer + "/device", "revocation_endpoint": p.Issuer + "/revoke",
		"id_token_signing_alg_values_supported": []string{"ES256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
	}
	p.mu.Lock()
	maps.Copy(document, p.state.Metadata)
	p.mu.Unlock()
	send(w, http.StatusOK, document)
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	send(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
}

func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts["authorize"]++
	asked := r.URL.Query()
	redirect, err := url.Parse(asked.Get("redirect_uri"))
	if err != nil || redirect.Hostname() != "127.0.0.1" || redirect.Path != "/callback" || asked.Get("client_id") != clientID ||
		asked.Get("code_challenge_method") != "S256" || asked.Get("response_type") != "code" || asked.Get("nonce") == "" {
		http.Error(w, "this is no authorization request of a careful client: "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	answer := url.Values{"state": {asked.Get("state")}}
	if p.state.Named {
		answer.Set("iss", p.Issuer)
	}
	if p.state.Deny != "" {
		answer.Set("error", p.state.Deny)
	} else {
		code := rand.Text()
		p.codes[code] = asked
		answer.Set("code", code)
	}
	redirect.RawQuery = answer.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound) //nolint:gosec // to this machine alone, as was checked
}

func (p *Provider) device(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts["device"]++
	code := rand.Text()
	p.devices[code] = false
	send(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": "ABCD-EFGH", "verification_uri": p.Issuer + "/activate", "verification_uri_complete": p.Issuer + "/activate?code=ABCD-EFGH",
		"expires_in": 60, "interval": 1,
	})
}

func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts["revoke"]++
	delete(p.refresh, r.PostFormValue("token"))
	w.WriteHeader(http.StatusOK)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	grant := r.PostFormValue("grant_type")
	p.counts["token"]++
	p.counts[grant]++
	switch {
	case p.state.Down:
		http.Error(w, or(p.state.Says, "down"), http.StatusServiceUnavailable)
		return
	case r.PostFormValue("client_id") != clientID && grant != "":
		refuse(w, "invalid_client")
		return
	}
	nonce, withID := "", true
	switch grant {
	case "authorization_code":
		asked, ok := p.codes[r.PostFormValue("code")]
		delete(p.codes, r.PostFormValue("code"))
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if !ok || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") {
			refuse(w, "invalid_grant")
			return
		}
		nonce = asked.Get("nonce")
	case "refresh_token":
		token := r.PostFormValue("refresh_token")
		if p.state.Disabled || !p.refresh[token] {
			refuse(w, "invalid_grant")
			return
		}
		if p.state.Rotate {
			delete(p.refresh, token)
		}
		withID = !p.state.NoIDTokenOnRefresh
	case "urn:ietf:params:oauth:grant-type:device_code":
		agreed, ok := p.devices[r.PostFormValue("device_code")]
		switch {
		case !ok:
			refuse(w, "expired_token")
			return
		case !agreed:
			refuse(w, "authorization_pending")
			return
		}
	default:
		refuse(w, "unsupported_grant_type")
		return
	}
	answer := map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 300}
	if !p.state.NoRefreshToken && (grant != "refresh_token" || p.state.Rotate) {
		refresh := "refresh-" + rand.Text()
		p.refresh[refresh] = true
		answer["refresh_token"] = refresh
	}
	if withID {
		answer["id_token"] = p.idToken(nonce)
	}
	send(w, http.StatusOK, answer)
}

// idToken makes an ID token. The lock is held.
func (p *Provider) idToken(nonce string) string {
	key := p.key
	if p.state.ForeignKey {
		key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // it does not fail
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	if err != nil {
		return err.Error()
	}
	now := time.Now()
	claims := map[string]any{
		"iss": p.Issuer, "sub": or(p.state.Subject, "jane"), "aud": or(p.state.Audience, clientID),
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": rand.Text(),
	}
	if nonce = or(p.state.Nonce, nonce); nonce != "" {
		claims["nonce"] = nonce
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return err.Error()
	}
	return text
}

// subject verifies an ID token as a gate would, and returns its subject; empty for one that is no good.
func (p *Provider) subject(token string) string {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return ""
	}
	var claims jwt.Claims
	if parsed.Claims(p.key.Public(), &claims) != nil || claims.Validate(jwt.Expected{Issuer: p.Issuer, Time: time.Now()}) != nil {
		return ""
	}
	return claims.Subject
}

func or(first, second string) string {
	if first != "" {
		return first
	}
	return second
}

func refuse(w http.ResponseWriter, code string) {
	send(w, http.StatusBadRequest, adminapi.OAuthError{Code: code, Description: "the test says so"})
}

func send(w http.ResponseWriter, status int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object) // whoever asked has gone
}

package signin

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/tlspolicy"
	"github.com/ostiary/ostiary/internal/version"
)

const (
	// exchangeTimeout bounds one request to a gate. A revocation may wait for every replica, about a second; the rest is for
	// slow links.
	exchangeTimeout = 30 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes: a chain, or a person in some thousand groups.
	maxAnswer = 1 << 20
)

// Gate is a client of one gate's sign-in endpoints. It is safe for concurrent use. Close it to let go of its connections.
type Gate struct {
	address Address
	pool    *x509.CertPool
	client  *http.Client
}

// NewGate returns a client. Nothing goes over the network yet.
func NewGate(address Address) (*Gate, error) {
	spelled, err := ParseURL(address.URL)
	if err != nil {
		return nil, err
	}
	address.URL = spelled
	pool, err := address.pool()
	if err != nil {
		return nil, err
	}
	return &Gate{address: address, pool: pool, client: newClient(tlspolicy.Client(pool, address.ServerName, nil))}, nil
}

// newClient follows no redirects: tokens go to the gate that was named and to no other.
func newClient(config *tls.Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true, TLSHandshakeTimeout: exchangeTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       exchangeTimeout,
	}
}

// Close lets go of connections.
func (g *Gate) Close() { g.client.CloseIdleConnections() }

// SignIn asks how to sign in.
func (g *Gate) SignIn(ctx context.Context) (adminapi.SignIn, error) {
	body, err := g.do(ctx, g.client, http.MethodGet, adminapi.SignInPath, nil)
	if err != nil {
		if refused, ok := errors.AsType[*RefusedError](err); ok && refused.Code == "" {
			return adminapi.SignIn{}, fmt.Errorf("%w: is this an Ostiary gate at which one can sign in?", err)
		}
		return adminapi.SignIn{}, err
	}
	document, err := adminapi.ParseSignIn(body)
	if err != nil {
		return adminapi.SignIn{}, &NoAnswerError{From: g.address.URL, Cause: err}
	}
	return document, nil
}

// Exchange is a request for a certificate.
type Exchange struct {
	// Subject is the token that proves who asks.
	Subject secret.String
	// SubjectType is adminapi.TokenTypeIDToken or adminapi.TokenTypeJWT.
	SubjectType string
	// Session is the id of the session to renew; empty begins one.
	Session string
	// Cluster is whose mechanisms judge the subject token; empty means the gate's first cluster.
	Cluster string
	// Lifetime is a wish; 0 means the gate's default.
	Lifetime time.Duration
}

// Grant is a certificate and the session that it belongs to.
type Grant struct {
	Credential
	// Session is the session's id, and SessionEnds when it ends whatever is renewed until then.
	Session     string
	SessionEnds time.Time
	// Username and Groups are whom the gate takes the bearer for.
	Username string
	Groups   []string
}

// Exchange makes a new key and exchanges a subject token for a certificate for it. The key is in the result and nowhere else.
func (g *Gate) Exchange(ctx context.Context, exchange Exchange) (*Grant, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate request: %w", err)
	}
	form := url.Values{
		"grant_type":           {adminapi.GrantTypeTokenExchange},
		"subject_token":        {exchange.Subject.Reveal()},
		"subject_token_type":   {exchange.SubjectType},
		"requested_token_type": {adminapi.TokenTypeX509},
		"csr":                  {base64.RawURLEncoding.EncodeToString(request)},
	}
	exchange.add(form)
	answer, err := g.token(ctx, g.client, form, adminapi.TokenTypeX509)
	if err != nil {
		return nil, err
	}
	credential, err := newCredential(answer.AccessToken, key)
	if err != nil {
		return nil, &NoAnswerError{From: g.address.URL, Cause: err}
	}
	credential.ID = answer.CredentialID
	return &Grant{
		Credential: credential, Session: answer.Session, SessionEnds: answer.SessionExpiresAt,
		Username: answer.Username, Groups: answer.Groups,
	}, nil
}

// add puts what both kinds of exchange have in common into a form.
func (e Exchange) add(form url.Values) {
	if e.Session != "" {
		form.Set("session", e.Session)
	}
	if e.Cluster != "" {
		form.Set("cluster", e.Cluster)
	}
	if e.Lifetime > 0 {
		form.Set("expires_in", strconv.FormatInt(int64(e.Lifetime/time.Second), 10))
	}
}

// token posts to the token endpoint and checks that the answer holds what was asked for.
func (g *Gate) token(ctx context.Context, client *http.Client, form url.Values, want string) (*adminapi.TokenAnswer, error) {
	body, err := g.do(ctx, client, http.MethodPost, adminapi.TokenPath, form)
	if err != nil {
		return nil, err
	}
	answer, err := parseTokenAnswer(body, want)
	if err != nil {
		return nil, &NoAnswerError{From: g.address.URL, Cause: err}
	}
	return answer, nil
}

// parseTokenAnswer reads a grant of a type of token.
func parseTokenAnswer(body []byte, want string) (*adminapi.TokenAnswer, error) {
	var answer adminapi.TokenAnswer
	switch err := json.Unmarshal(body, &answer); {
	case err != nil:
		return nil, fmt.Errorf("the answer is no JSON: %w", err)
	case answer.IssuedTokenType != want || answer.AccessToken == "" || answer.Session == "" || answer.SessionExpiresAt.IsZero():
		return nil, errors.New("the answer is no grant of what was asked for")
	}
	return &answer, nil
}

// Revoke ends a session; it proves itself by a certificate of that session. It returns when the end is in force. To end what
// has ended is no error.
func (g *Gate) Revoke(ctx context.Context, session string, by Credential) error {
	client, err := g.as(by)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	_, err = g.do(ctx, client, http.MethodPost, adminapi.RevokePath, url.Values{"token": {session}})
	return err
}

// as returns a client that presents a certificate.
func (g *Gate) as(credential Credential) (*http.Client, error) {
	pair, err := credential.TLS()
	if err != nil {
		return nil, err
	}
	return newClient(tlspolicy.Client(g.pool, g.address.ServerName, &pair)), nil
}

// do makes one request and returns the body of an answer with status 200.
func (g *Gate) do(ctx context.Context, client *http.Client, method, path string, form url.Values) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, g.address.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "kubectl-ostiary/"+version.Get().Version)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, &NoAnswerError{From: g.address.URL, Cause: err}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if closeErr := response.Body.Close(); err == nil {
		err = closeErr
	}
	switch {
	case err != nil:
		return nil, &NoAnswerError{From: g.address.URL, Cause: err}
	case len(body) > maxAnswer:
		return nil, &NoAnswerError{From: g.address.URL, Cause: fmt.Errorf("the answer is longer than %d bytes", maxAnswer)}
	case response.StatusCode == http.StatusOK:
		return body, nil
	}
	return nil, g.failure(response, body)
}

// failure tells a refusal from a gate that cannot answer now.
func (g *Gate) failure(response *http.Response, body []byte) error {
	refused := &RefusedError{By: g.address.URL, Status: response.StatusCode}
	if kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err == nil && kind == "application/json" {
		var said adminapi.OAuthError
		if json.Unmarshal(body, &said) == nil {
			refused.Code, refused.Description = said.Code, said.Description
		}
	}
	if response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests {
		return &NoAnswerError{From: g.address.URL, Cause: errors.New(refused.Error())} // no refusal: asking again may help
	}
	return refused
}

package signinapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/backchannel"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/localapi"
	"github.com/ostiary/ostiary/internal/registrar"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/session"
)

const (
	// maxBody bounds a form: a token with hundreds of groups, and a certificate request.
	maxBody = 64 << 10
	// bodyTimeout bounds how long a form may take to arrive: nobody vouched for its sender.
	bodyTimeout = 10 * time.Second
	// actTimeout bounds what a request sets going, also where its sender went away.
	actTimeout = 20 * time.Second
)

// Chain judges tokens: that of a cluster.
type Chain interface {
	Decide(ctx context.Context, r *authn.Request) authn.Decision
	DecideToken(ctx context.Context, r *authn.Request, token secret.String) authn.Decision
}

// Cluster is one behind the gate.
type Cluster struct {
	Name      string
	Audiences []string
	Chain     Chain
}

// Provider is an OpenID Connect provider where people sign in.
type Provider struct {
	adminapi.SignInProvider
	// Logout believes its logout tokens.
	Logout *backchannel.Verifier
}

// Certificates accepts the certificates that Ostiary issued.
type Certificates interface {
	Authenticate(ctx context.Context, r *authn.Request) authn.Answer
}

// Tokens knows the tokens that Ostiary issued. Holder returns what a token is, whether or not it still counts; nil for one that is
// wrong, and ours says whether it claims to be one at all.
type Tokens interface {
	Holder(token secret.String) (found *session.Credential, owner *session.Session, ours bool)
}

// Settings change with the configuration. They are immutable.
type Settings struct {
	// Clusters has at least one.
	Clusters []Cluster
	// Guard holds back who guesses at what no chain judges. Required.
	Guard     authn.Guard
	Providers []Provider
	// How long certificates of people hold, and their sessions; and those of pipelines, both in one.
	PeopleLifetime, PeopleSession, PipelineLifetime time.Duration
}

// Config is what an API is made of. All fields are required.
type Config struct {
	Registrar    *registrar.Registrar
	Book         *session.Book
	Certificates Certificates
	Tokens       Tokens
	// Authorizer says who may introspect.
	Authorizer localapi.Authorizer
	// Shut returns the name of a revocation that shuts a credential out; empty if none does.
	Shut func(cred *authn.Credential) string
	// Settings returns those in force.
	Settings func() *Settings
	Logger   *slog.Logger
}

// API serves the endpoints. It is safe for concurrent use.
type API struct{ config Config }

// New returns an API.
func New(config Config) (*API, error) {
	if config.Registrar == nil || config.Book == nil || config.Certificates == nil || config.Tokens == nil || config.Authorizer == nil || config.Shut == nil || config.Settings == nil || config.Logger == nil {
		return nil, errors.New("signinapi: the configuration is not complete")
	}
	return &API{config}, nil
}

var _ gateway.Front = (*API)(nil)

// exchange is one request.
type exchange struct {
	w        http.ResponseWriter
	r        *http.Request
	visitor  gateway.Visitor
	settings *Settings
	handled  gateway.Handled
}

// ServeFront implements gateway.Front.
func (a *API) ServeFront(w http.ResponseWriter, r *http.Request, visitor gateway.Visitor) gateway.Handled {
	x := &exchange{w: w, r: r, visitor: visitor, settings: a.config.Settings()}
	if x.settings == nil {
		x.fail(http.StatusNotFound, codeInvalidRequest, "nobody can sign in here: the gate's configuration has no signIn")
		return x.handled
	}
	switch r.URL.Path {
	case adminapi.SignInPath:
		if x.method(http.MethodGet, http.MethodHead) {
			a.describe(x)
		}
	case adminapi.TokenPath:
		if form, ok := x.form(); ok {
			a.token(x, form)
		}
	case adminapi.RevokePath:
		if form, ok := x.form(); ok {
			a.revoke(x, form)
		}
	case adminapi.IntrospectPath:
		if form, ok := x.form(); ok {
			a.introspect(x, form)
		}
	default:
		if name, ok := strings.CutPrefix(r.URL.Path, adminapi.BackchannelLogoutPath); ok {
			a.logout(x, name)
			break
		}
		x.fail(http.StatusNotFound, codeInvalidRequest, "there is nothing at this path; see docs/signing-in.md")
	}
	return x.handled
}

// describe says how to sign in.
func (a *API) describe(x *exchange) {
	answer := adminapi.SignIn{TypeMeta: adminapi.TypeOf(adminapi.SignInKind), Providers: []adminapi.SignInProvider{}}
	for i := range x.settings.Providers {
		answer.Providers = append(answer.Providers, x.settings.Providers[i].SignInProvider)
	}
	for i := range x.settings.Clusters {
		name := x.settings.Clusters[i].Name
		answer.Clusters = append(answer.Clusters, adminapi.SignInCluster{Name: name, Path: "/clusters/" + name})
	}
	x.answer(http.StatusOK, answer)
}

// The codes of RFC 6749 section 5.2, and of RFC 8693 section 2.2.2.
const (
	codeInvalidRequest       = "invalid_request"
	codeInvalidTarget        = "invalid_target"
	codeUnsupportedGrant     = "unsupported_grant_type"
	codeUnsupportedTokenType = "unsupported_token_type"
	codeUnauthorizedClient   = "unauthorized_client"
	codeInvalidClient        = "invalid_client"
	codeUnavailable          = "temporarily_unavailable"
	codeSlowDown             = "slow_down"
	codeServerError          = "server_error"
)

// method wants one of these.
func (x *exchange) method(allowed ...string) bool {
	if slices.Contains(allowed, x.r.Method) {
		return true
	}
	x.w.Header().Set("Allow", strings.Join(allowed, ", "))
	x.fail(http.StatusMethodNotAllowed, codeInvalidRequest, "this path takes "+strings.Join(allowed, " and "))
	return false
}

// form reads the form that was posted. Each parameter may stand in it once, and nothing is taken from the query, which ends up in
// logs (RFC 6749 section 3.2).
func (x *exchange) form() (url.Values, bool) {
	if !x.method(http.MethodPost) {
		return nil, false
	}
	if media, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		x.fail(http.StatusUnsupportedMediaType, codeInvalidRequest, "the body must be application/x-www-form-urlencoded")
		return nil, false
	}
	if err := http.NewCrossOriginProtection().Check(x.r); err != nil {
		// A page of somebody else's could have a browser sign its owner out, by the certificate that it has.
		x.fail(http.StatusForbidden, codeInvalidRequest, "this is not for pages of another origin")
		return nil, false
	}
	if x.r.URL.RawQuery != "" {
		x.fail(http.StatusBadRequest, codeInvalidRequest, "parameters belong in the body: a query ends up in logs")
		return nil, false
	}
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	if err != nil {
		x.fail(http.StatusRequestEntityTooLarge, codeInvalidRequest, "the body could not be read, or has more than "+strconv.Itoa(maxBody)+" bytes")
		return nil, false
	}
	form, err := parseForm(string(body))
	if err != nil {
		x.fail(http.StatusBadRequest, codeInvalidRequest, err.Error())
		return nil, false
	}
	return form, true
}

// errForm refuses what has two readings. It repeats nothing of the form.
var errForm = errors.New("the body is not a form in which each parameter stands once")

// parseForm reads a form strictly.
func parseForm(body string) (url.Values, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, errForm
	}
	for _, values := range form {
		if len(values) != 1 {
			return nil, errForm
		}
	}
	return form, nil
}

// fail answers with an OAuth error.
func (x *exchange) fail(status int, code, description string) {
	x.answer(status, adminapi.OAuthError{Code: code, Description: description})
}

// later answers that asking again in some seconds may help.
func (x *exchange) later(status int, code, description string) {
	x.w.Header().Set("Retry-After", "1")
	x.fail(status, code, description)
}

// answer answers with JSON that nobody may keep.
func (x *exchange) answer(status int, body any) {
	header := x.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_ = json.NewEncoder(x.w).Encode(body)
	}
}

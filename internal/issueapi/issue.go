package issueapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/localapi"
	"github.com/ostiary/ostiary/internal/registrar"
	"github.com/ostiary/ostiary/internal/session"
)

// errOrder is wrapped by all errors about what was asked for. They are for the caller.
var errOrder = errors.New("it cannot be issued")

// errGroups refuses more groups than a credential is issued with.
var errGroups = fmt.Errorf("%w: more than %d groups", errOrder, maxGroups)

const (
	// minLifetime: a shorter one has passed before it arrives.
	minLifetime = time.Minute
	// usualBootstrap and longestBootstrap bound bootstrap tokens, which lie about in scripts: a machine joins soon or never.
	usualBootstrap, longestBootstrap = time.Hour, 24 * time.Hour
)

// issue issues one credential.
func (a *API) issue(x *localapi.Exchange) {
	if !a.enabled(x) {
		return
	}
	var asked adminapi.Issue
	err := x.Read(&asked)
	if err == nil {
		err = asked.Is(adminapi.IssueKind)
	}
	if err != nil {
		x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	name, issue, several := "", (func(context.Context, *localapi.Exchange, *adminapi.Issue) (*adminapi.IssueStatus, error))(nil), 0
	var groups []string
	if asked.Certificate != nil {
		name, groups, issue, several = asked.Certificate.Username, asked.Certificate.Groups, a.certificate, several+1
	}
	if asked.StaticToken != nil {
		name, groups, issue, several = asked.StaticToken.Username, asked.StaticToken.Groups, a.staticToken, several+1
	}
	if asked.BootstrapToken != nil {
		name, groups, issue, several = identity.BootstrapPrefix, asked.BootstrapToken.Groups, a.bootstrapToken, several+1
	}
	if several != 1 || asked.Status != nil {
		x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "set exactly one of certificate, bootstrapToken and staticToken, and no status")
		return
	}
	if len(groups) > maxGroups { // the cluster is asked about each
		a.failed(x, errGroups)
		return
	}
	access := localapi.Access{Verb: "create", Resource: adminapi.IssueResource, Name: name}
	a.guard.Serve(x, []localapi.Route{{Method: http.MethodPost, Access: access, Besides: accessTo(groups), Serve: func(x *localapi.Exchange) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(x.R.Context()), actTimeout)
		defer cancel()
		status, err := issue(ctx, x, &asked)
		if err != nil {
			a.failed(x, err)
			return
		}
		asked.Status = status
		x.Answer(http.StatusCreated, asked)
	}}})
}

// accessTo are the rights that it takes to give groups: who may name a machine may not, by that alone, put it into a group that can
// do more than themselves.
func accessTo(groups []string) []localapi.Access {
	var all []localapi.Access
	for _, group := range groups {
		all = append(all, localapi.Access{Verb: "create", Resource: adminapi.IssueResource, Subresource: adminapi.IssueGroups, Name: group})
	}
	return all
}

// machine is the session of a credential for whoever the caller names.
func (a *API) machine(settings *Settings, username, uid string, groups []string, lifetime time.Duration, now time.Time) (*session.Session, error) {
	for _, name := range append([]string{username}, groups...) {
		switch {
		case name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.TrimSpace(name) != name:
			return nil, fmt.Errorf("%w: names have 1 to %d bytes, no control characters, and no blanks around them", errOrder, maxName)
		case strings.HasPrefix(name, identity.ReservedPrefix) && !settings.MayCarry(name):
			return nil, fmt.Errorf("%w: the name %q is Kubernetes' own; issuer.allowedSystemNames lists those that may be given", errOrder, name)
		}
	}
	if len(uid) > maxName || strings.ContainsFunc(uid, unicode.IsControl) {
		return nil, fmt.Errorf("%w: the uid is too long or holds control characters", errOrder)
	}
	begun := now.UTC().Truncate(time.Second)
	return &session.Session{
		ID: issuer.NewID().String(), Kind: session.Machine, Username: username, UID: uid, Groups: groups,
		Begun: begun, Renewed: begun, Ends: begun.Add(lifetime),
	}, nil
}

// lifetime reads a wish.
func lifetime(wish string, usual, longest time.Duration) (time.Duration, error) {
	if wish == "" {
		return usual, nil
	}
	d, err := time.ParseDuration(wish)
	if err != nil || d < minLifetime || d > longest {
		return 0, fmt.Errorf("%w: the lifetime must be a duration such as 30m, between %s and %s", errOrder, minLifetime, longest)
	}
	return d, nil
}

func (a *API) certificate(ctx context.Context, x *localapi.Exchange, asked *adminapi.Issue) (*adminapi.IssueStatus, error) {
	settings, now, wish := a.config.Settings(), time.Now(), asked.Certificate
	holds, err := lifetime(wish.Lifetime, settings.Usual, settings.Longest)
	if err != nil {
		return nil, err
	}
	owner, err := a.machine(settings, wish.Username, "", wish.Groups, holds, now)
	if err != nil {
		return nil, err
	}
	key, err := issuer.ParseRequest(wish.CSR)
	if err != nil {
		return nil, err
	}
	made, err := a.config.Registrar.Certificate(ctx, registrar.Order{Session: owner, Key: key, Lifetime: holds, By: actorOf(x)}, now)
	if err != nil {
		return nil, err
	}
	return &adminapi.IssueStatus{CredentialID: made.Credential.CredentialID(), Certificate: made.PEM, ExpiresAt: made.Credential.NotAfter}, nil
}

func (a *API) staticToken(ctx context.Context, x *localapi.Exchange, asked *adminapi.Issue) (*adminapi.IssueStatus, error) {
	settings, now, wish := a.config.Settings(), time.Now(), asked.StaticToken
	holds, err := lifetime(wish.Lifetime, settings.LongestToken, settings.LongestToken)
	if err != nil {
		return nil, err
	}
	owner, err := a.machine(settings, wish.Username, wish.UID, wish.Groups, holds, now)
	if err != nil {
		return nil, err
	}
	token, made, err := a.config.Registrar.Token(ctx, registrar.TokenOrder{Session: owner, Lifetime: holds, By: actorOf(x)}, now)
	if err != nil {
		return nil, err
	}
	return &adminapi.IssueStatus{CredentialID: made.CredentialID(), Token: token.Reveal(), ExpiresAt: made.NotAfter}, nil
}

func (a *API) bootstrapToken(ctx context.Context, x *localapi.Exchange, asked *adminapi.Issue) (*adminapi.IssueStatus, error) {
	wish := asked.BootstrapToken
	holds, err := lifetime(wish.Lifetime, usualBootstrap, longestBootstrap)
	if err != nil {
		return nil, err
	}
	if len(wish.Usages) == 0 {
		wish.Usages = []string{usageAuthentication}
	}
	for _, usage := range wish.Usages {
		if !slices.Contains([]string{usageAuthentication, usageSigning}, usage) {
			return nil, fmt.Errorf("%w: usages are %s and %s", errOrder, usageAuthentication, usageSigning)
		}
	}
	expires := time.Now().Add(holds).UTC().Truncate(time.Second)
	id, token, err := a.config.Bootstrap.Make(ctx, wish, expires, func(entry *ledger.Entry) error {
		entry.Origin, entry.IssuedTo = ledger.Issued, actorOf(x)
		return a.config.Record(ctx, entry)
	})
	if err != nil {
		return nil, err
	}
	return &adminapi.IssueStatus{CredentialID: id, Token: token, ExpiresAt: expires}, nil
}

// The usages of a bootstrap token.
const (
	usageAuthentication = "authentication"
	usageSigning        = "signing"
)

// rotate gives the owner of a static token another one (G-14). Having the token is all that it takes.
func (a *API) rotate(x *localapi.Exchange) {
	if !a.enabled(x) {
		return
	}
	old, owner := a.issued(x.Caller.Credential)
	if x.Caller.Identity.IsAnonymous() || old == nil || old.Token == nil || old.Token.Bound != "" || owner.Kind != session.Machine {
		x.Fail(http.StatusForbidden, metav1.StatusReasonForbidden, "only a static token that was issued here can be rotated, by who shows it")
		return
	}
	var asked adminapi.Issue
	if err := x.Read(&asked); err != nil || asked.Is(adminapi.IssueKind) != nil || asked.Certificate != nil || asked.BootstrapToken != nil || asked.StaticToken != nil || asked.Status != nil {
		x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the body must be an empty "+adminapi.IssueKind)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.R.Context()), actTimeout)
	defer cancel()
	token, made, ends, err := a.config.Registrar.Rotate(ctx, old, a.config.Settings().Grace, actorOf(x), time.Now())
	if err != nil {
		a.failed(x, err)
		return
	}
	asked.Status = &adminapi.IssueStatus{CredentialID: made.CredentialID(), Token: token.Reveal(), ExpiresAt: made.NotAfter, OldExpiresAt: ends}
	x.Answer(http.StatusCreated, asked)
}

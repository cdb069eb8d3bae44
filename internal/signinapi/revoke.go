package signinapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/registrar"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/session"
)

// revoke takes back what was issued (RFC 7009): a session with all of its credentials, or one credential. The caller is who shows
// the certificate of that session, or has the whole of the token. It answers once that is in force at every replica, open streams
// included; what is not known is answered alike.
func (a *API) revoke(x *exchange, form url.Values) {
	named := form.Get("token")
	if named == "" {
		x.fail(http.StatusBadRequest, codeInvalidRequest, "token is missing: a token, a credential id or the id of a session")
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), actTimeout)
	defer cancel()
	found, owner, ours, locked := a.holder(ctx, x, secret.New(named))
	switch {
	case locked:
		return
	case found != nil:
		a.revokeOne(ctx, x, found, owner)
		return
	case ours:
		x.answer(http.StatusOK, struct{}{}) // a wrong token is an unknown one
		return
	}
	mine := a.callerSession(ctx, x)
	if mine == nil {
		x.fail(http.StatusUnauthorized, codeInvalidClient, "show the client certificate of the session, or name a token as a whole")
		return
	}
	if owner := a.config.Book.Session(named); owner != nil {
		if owner.ID != mine.ID {
			x.fail(http.StatusForbidden, codeUnauthorizedClient, "the session is not that of the certificate")
			return
		}
		if err := a.config.Registrar.End(ctx, registrar.WhyLogout, x.visitor.Asked.Now, owner); err != nil {
			x.undone(a, err)
			return
		}
		x.answer(http.StatusOK, struct{}{})
		return
	}
	id, _ := issuer.ParseID(strings.TrimPrefix(named, issuer.CredentialPrefix))
	found, owner, known := a.config.Book.Find(id)
	switch {
	case !known:
		x.answer(http.StatusOK, struct{}{})
	case owner.ID != mine.ID:
		x.fail(http.StatusForbidden, codeUnauthorizedClient, "the credential is not of the certificate's session")
	default:
		a.revokeOne(ctx, x, found, owner)
	}
}

// holder finds out whose token this is. Wrong ones are counted against their sender; locked says that the request was answered.
func (a *API) holder(ctx context.Context, x *exchange, token secret.String) (found *session.Credential, owner *session.Session, ours, locked bool) {
	if !strings.HasPrefix(token.Reveal(), session.TokenPrefix) {
		return nil, nil, false, false
	}
	guard, asked := x.settings.Guard, x.visitor.Asked
	attempt, err := guard.Enter(ctx, asked, token)
	if err != nil {
		d := authn.Decision{Reason: authn.ReasonRejected, Cause: err}
		x.handled.Decision = d
		x.refused(&d)
		return nil, nil, true, true
	}
	found, owner, ours = a.config.Tokens.Holder(token)
	guard.Leave(asked, token, attempt, authn.Ending{Known: found != nil})
	return found, owner, ours, false
}

func (a *API) revokeOne(ctx context.Context, x *exchange, found *session.Credential, owner *session.Session) {
	by := ledger.Actor{Username: owner.Username, CredentialID: found.CredentialID(), Source: x.visitor.Source}
	if err := a.config.Registrar.Revoke(ctx, found, "given back by its owner", by); err != nil {
		x.undone(a, err)
		return
	}
	x.answer(http.StatusOK, struct{}{})
}

// undone answers that it is not known whether what was asked for is in force (RFC 7009 section 2.2.1).
func (x *exchange) undone(a *API, err error) {
	a.config.Logger.Error("a session or a credential could not be ended", slog.String("cause", err.Error()))
	x.handled.Decision = refuse(x.handled.Decision, err)
	x.later(http.StatusServiceUnavailable, codeUnavailable, "it is not known to be in force; please try again")
}

// callerSession is the session of the certificate that the caller shows; nil where there is none that Ostiary issued. One that has
// ended is still the caller's: to end it once more is no error (RFC 7009 section 2.2).
func (a *API) callerSession(ctx context.Context, x *exchange) *session.Session {
	asked := *x.visitor.Asked
	for i := range x.settings.Clusters { // a session may count at one cluster only
		asked.Cluster = x.settings.Clusters[i].Name
		shown := a.config.Certificates.Authenticate(ctx, &asked)
		if errors.Is(shown.Cause, session.ErrEnded) { // its signature and its record are good
			id, _ := issuer.IDOf(asked.Certificates[0])
			_, owner, _ := a.config.Book.Find(id)
			return owner
		}
		if shown.Outcome != authn.Accepted {
			continue
		}
		x.handled.Decision.Credential, x.handled.Decision.Mechanism = shown.Credential, shown.Credential.Mechanism
		id, _ := issuer.ParseID(strings.TrimPrefix(shown.Credential.ID.Value, issuer.CredentialPrefix))
		if _, owner, known := a.config.Book.Find(id); known {
			return owner
		}
	}
	return nil
}

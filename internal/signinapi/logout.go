package signinapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/backchannel"
	"github.com/ostiary/ostiary/internal/registrar"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/session"
)

// logout ends what a provider says is over (OpenID Connect Back-Channel Logout 1.0). It answers once that is in force at every
// replica, open streams included.
func (a *API) logout(x *exchange, name string) {
	var provider *Provider
	for i := range x.settings.Providers {
		if x.settings.Providers[i].Name == name {
			provider = &x.settings.Providers[i]
		}
	}
	if provider == nil {
		x.fail(http.StatusNotFound, codeInvalidRequest, "there is no provider of that name")
		return
	}
	form, ok := x.form()
	if !ok {
		return
	}
	token, asked := secret.New(form.Get("logout_token")), x.visitor.Asked
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), actTimeout)
	defer cancel()
	attempt, err := x.settings.Guard.Enter(ctx, asked, token)
	if err != nil {
		x.handled.Decision = authn.Decision{Reason: authn.ReasonRejected, Cause: err}
		x.refused(&x.handled.Decision)
		return
	}
	said, err := provider.Logout.Verify(ctx, token, asked.Now)
	x.settings.Guard.Leave(asked, token, attempt, authn.Ending{Known: err == nil, Unjudged: errors.Is(err, backchannel.ErrKeys)})
	switch {
	case errors.Is(err, backchannel.ErrKeys):
		a.config.Logger.Error("a logout token could not be judged", slog.String("provider", name), slog.String("cause", err.Error()))
		x.handled.Decision = authn.Decision{Reason: authn.ReasonFailed, Cause: err}
		x.later(http.StatusServiceUnavailable, codeUnavailable, "the provider's keys could not be read; please try again")
		return
	case err != nil:
		x.handled.Decision = authn.Decision{Reason: authn.ReasonRejected, Cause: err}
		x.fail(http.StatusBadRequest, codeInvalidRequest, "the logout token is not accepted")
		return
	}
	over := a.config.Book.Sessions(func(s *session.Session) bool { return meant(s, provider.Issuer, said) })
	if err := a.config.Registrar.End(ctx, registrar.WhyProvider, asked.Now, over...); err != nil {
		provider.Logout.Forget(said)
		x.undone(a, err)
		return
	}
	a.config.Logger.Info("a provider signed somebody out", slog.String("provider", name), slog.Int("sessions", len(over)))
	x.answer(http.StatusOK, struct{}{})
}

// meant reports whether a session is one that a provider says is over: by its own name for it, or, where either side has none, by
// whom it is for. What began later is not meant: a token that came late, or again, ends nothing new.
func meant(s *session.Session, issuer string, said backchannel.Logout) bool {
	if s.Kind != session.Person || s.Issuer != issuer || s.Begun.After(said.At.Add(backchannel.Tolerance)) {
		return false
	}
	if said.SID != "" && s.SID != "" {
		return s.SID == said.SID
	}
	return said.Subject != "" && s.Subject == said.Subject
}

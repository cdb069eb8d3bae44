package signinapi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/registrar"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/session"
	"github.com/ostiary/ostiary/internal/tokenrequest"
)

// wanted is what a token exchange asks for.
type wanted struct {
	subject   secret.String
	tokenType string // what is to be issued
	csr       []byte
	session   string
	lifetime  time.Duration // a wish; 0 is none
	cluster   *Cluster
}

// token exchanges a token (RFC 8693).
func (a *API) token(x *exchange, form url.Values) {
	ask, ok := x.wanted(form)
	if !ok {
		return
	}
	asked := *x.visitor.Asked
	asked.Cluster, asked.Audiences = ask.cluster.Name, ask.cluster.Audiences
	d := ask.cluster.Chain.DecideToken(x.r.Context(), &asked, ask.subject)
	x.handled.Decision = d
	if !d.Admitted() {
		x.refused(&d)
		return
	}
	proven, err := proves(&d, ask.subject)
	if err != nil {
		x.handled.Decision = refuse(d, err)
		x.fail(http.StatusBadRequest, codeUnauthorizedClient, err.Error())
		return
	}
	var bound *session.Credential
	if ask.tokenType == adminapi.TokenTypeAccessToken { // first: with its certificate, a session comes that this replica has not heard of
		if bound, err = a.shown(x, ask); err != nil {
			x.failed(a, err)
			return
		}
	}
	owner, parent, err := a.sessionFor(x.settings, ask, proven, asked.Now)
	if err != nil {
		x.failed(a, err)
		return
	}
	// What has begun is brought to its end, also where the client went away: it would be on record, and of no use.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), actTimeout)
	defer cancel()
	issue := a.certificate
	if ask.tokenType == adminapi.TokenTypeAccessToken {
		issue = a.boundToken
	}
	answer, made, err := issue(ctx, x, ask, order{owner: owner, parent: parent, bound: bound, by: actorOf(x, &d)})
	if err != nil {
		x.failed(a, err)
		return
	}
	x.handled.Issued = &tokenrequest.Issued{ID: made.CredentialID(), Subject: owner.Username, IssuedAt: made.NotBefore, Expires: made.NotAfter}
	answer.IssuedTokenType, answer.ExpiresIn, answer.CredentialID = ask.tokenType, int64(made.NotAfter.Sub(asked.Now)/time.Second), made.CredentialID()
	answer.Session, answer.SessionExpiresAt, answer.Username, answer.Groups = owner.ID, owner.Ends, d.Identity.Username, d.Identity.Groups
	x.answer(http.StatusOK, answer)
}

// order is what is issued for whom.
type order struct {
	owner  *session.Session
	parent string
	bound  *session.Credential // the certificate that a token is bound to; nil for a certificate
	by     ledger.Actor
}

// certificate issues one for the key of the request.
func (a *API) certificate(ctx context.Context, x *exchange, ask *wanted, o order) (adminapi.TokenAnswer, *session.Credential, error) {
	key, err := issuer.ParseRequest(ask.csr)
	if err != nil {
		return adminapi.TokenAnswer{}, nil, err
	}
	issued, err := a.config.Registrar.Certificate(ctx, registrar.Order{
		Session: o.owner, Key: key, Lifetime: x.settings.lifetime(o.owner.Kind, ask.lifetime), Parent: o.parent, By: o.by,
	}, x.visitor.Asked.Now)
	if err != nil {
		return adminapi.TokenAnswer{}, nil, err
	}
	return adminapi.TokenAnswer{AccessToken: issued.PEM, TokenType: "N_A"}, issued.Credential, nil
}

// shown is the certificate of this connection, which must be of the session that the request names, and let in as it would be at a
// cluster.
func (a *API) shown(x *exchange, ask *wanted) (*session.Credential, error) {
	asked := *x.visitor.Asked
	asked.Cluster, asked.Audiences = ask.cluster.Name, ask.cluster.Audiences
	d := ask.cluster.Chain.Decide(x.r.Context(), &asked)
	if !d.Admitted() || d.Mechanism != identity.IssuedCertificate {
		return nil, errUnbound
	}
	id, _ := issuer.ParseID(strings.TrimPrefix(d.Credential.ID.Value, issuer.CredentialPrefix))
	shown, owner, known := a.config.Book.Find(id)
	if !known || owner.ID != ask.session {
		return nil, errUnbound
	}
	return shown, nil
}

// boundToken issues a token that is of use with the certificate of this connection alone (RFC 8705).
func (a *API) boundToken(ctx context.Context, x *exchange, ask *wanted, o order) (adminapi.TokenAnswer, *session.Credential, error) {
	asked := x.visitor.Asked
	token, made, err := a.config.Registrar.Token(ctx, registrar.TokenOrder{
		Session: o.owner, Bound: o.bound, Thumbprint: sha256.Sum256(asked.Certificates[0].Raw),
		Lifetime: x.settings.lifetime(o.owner.Kind, ask.lifetime), Parent: o.bound.CredentialID(), By: o.by,
	}, asked.Now)
	if err != nil {
		return adminapi.TokenAnswer{}, nil, err
	}
	return adminapi.TokenAnswer{AccessToken: token.Reveal(), TokenType: "Bearer"}, made, nil
}

// errUnbound refuses a token that would be bound to nothing.
var errUnbound = errors.New("a token is bound to a certificate of its session: show it on this connection, and name the session")

// wanted reads the parameters. What it does not know it ignores (RFC 6749 section 3.2).
func (x *exchange) wanted(form url.Values) (*wanted, bool) {
	bad := func(code, description string) (*wanted, bool) {
		x.fail(http.StatusBadRequest, code, description)
		return nil, false
	}
	ask := &wanted{subject: secret.New(form.Get("subject_token")), session: form.Get("session"), tokenType: form.Get("requested_token_type")}
	if form.Get("grant_type") != adminapi.GrantTypeTokenExchange {
		return bad(codeUnsupportedGrant, "grant_type must be "+adminapi.GrantTypeTokenExchange)
	}
	if ask.subject.IsEmpty() {
		return bad(codeInvalidRequest, "subject_token is missing")
	}
	if kind := form.Get("subject_token_type"); kind != adminapi.TokenTypeIDToken && kind != adminapi.TokenTypeJWT {
		return bad(codeInvalidRequest, "subject_token_type must be "+adminapi.TokenTypeIDToken+" or "+adminapi.TokenTypeJWT)
	}
	if form.Has("actor_token") {
		return bad(codeInvalidRequest, "nobody acts for another here: actor_token is not taken")
	}
	switch ask.tokenType {
	case "", adminapi.TokenTypeX509:
		ask.tokenType = adminapi.TokenTypeX509
		var err error
		if ask.csr, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(form.Get("csr"), "=")); err != nil || len(ask.csr) == 0 {
			return bad(codeInvalidRequest, "csr must be a certificate request (PKCS#10, DER) in base64url")
		}
	case adminapi.TokenTypeAccessToken:
	default:
		return bad(codeInvalidRequest, "requested_token_type must be "+adminapi.TokenTypeX509+" or "+adminapi.TokenTypeAccessToken)
	}
	if written := form.Get("expires_in"); written != "" {
		seconds, err := strconv.ParseInt(written, 10, 32)
		if err != nil || seconds <= 0 {
			return bad(codeInvalidRequest, "expires_in must be a number of seconds")
		}
		ask.lifetime = time.Duration(seconds) * time.Second
	}
	name := form.Get("cluster")
	for i := range x.settings.Clusters {
		if one := &x.settings.Clusters[i]; name == "" || name == one.Name {
			ask.cluster = one
			return ask, true
		}
	}
	return bad(codeInvalidTarget, "there is no cluster of that name")
}

// refused answers whose token no chain accepted. It never says why.
func (x *exchange) refused(d *authn.Decision) {
	locked, held := errors.AsType[*authn.LockedError](d.Cause)
	switch {
	case held && locked.Until.IsZero():
		x.later(http.StatusTooManyRequests, codeSlowDown, "too many attempts come from this address; please try again")
	case held:
		x.fail(http.StatusTooManyRequests, codeSlowDown, "too many failed attempts came from this address: no more are looked at until "+
			locked.Until.UTC().Truncate(time.Second).Add(time.Second).Format(time.RFC3339))
	case d.Reason == authn.ReasonUnavailable:
		x.later(http.StatusServiceUnavailable, codeUnavailable, "the gate's ledger cannot be read; please try again")
	default:
		x.fail(http.StatusBadRequest, codeInvalidRequest, "the subject token is not accepted")
	}
}

// failed answers with the outside of an error of issuing, and logs its inside where that is no answer.
func (x *exchange) failed(a *API, err error) {
	x.handled.Decision = refuse(x.handled.Decision, err)
	switch {
	case errors.Is(err, issuer.ErrKey), errors.Is(err, registrar.ErrForeignKey), errors.Is(err, registrar.ErrOver), errors.Is(err, errSession), errors.Is(err, errStale), errors.Is(err, errTooMany), errors.Is(err, errUnbound):
		x.fail(http.StatusBadRequest, codeInvalidRequest, err.Error())
	case errors.Is(err, registrar.ErrShut):
		x.fail(http.StatusBadRequest, codeInvalidRequest, "the subject token is not accepted")
	case errors.Is(err, issuer.ErrNoIssuer), errors.Is(err, ledger.ErrUnavailable):
		x.later(http.StatusServiceUnavailable, codeUnavailable, "the gate cannot issue just now; please try again")
	case errors.Is(err, ledger.ErrFull):
		x.fail(http.StatusInsufficientStorage, codeServerError, "the gate's ledger is full: nothing can be issued until there is room")
	default:
		a.config.Logger.Error("a credential could not be issued", slog.String("cause", err.Error()))
		x.later(http.StatusServiceUnavailable, codeUnavailable, "the gate could not issue; its log says why")
	}
}

// refuse is the decision after something else spoke against it.
func refuse(d authn.Decision, cause error) authn.Decision {
	d.Identity, d.Reason, d.Cause = nil, authn.ReasonForbidden, errors.Join(d.Cause, cause)
	return d
}

// actorOf is who asks, for the record.
func actorOf(x *exchange, d *authn.Decision) ledger.Actor {
	return ledger.Actor{
		Username: d.Identity.Username, Mechanism: string(d.Mechanism), CredentialID: d.Credential.ID.String(), Source: x.visitor.Source,
	}
}

// lifetime is for how long something is issued.
func (s *Settings) lifetime(kind session.Kind, wish time.Duration) time.Duration {
	longest := s.PipelineLifetime
	if kind == session.Person {
		longest = s.PeopleLifetime
	}
	if wish > 0 && wish < longest {
		return wish
	}
	return longest
}

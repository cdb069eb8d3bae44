package gateway

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/balancer"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/tokenrequest"
)

// exchange is one request on its way through the gate, and what has become known of it. It belongs to the request's
// goroutine until it is forwarded, and is read only from then on, but for upstreamStatus and failure, which the proxy's
// hooks set in the same goroutine.
type exchange struct {
	id      string
	began   time.Time
	source  string
	peer    balancer.Peer
	target  target
	upgrade string
	// asserted are the identity headers that the client sent; they go no further than the mechanisms.
	asserted http.Header
	info     *request.RequestInfo
	asked    *authn.Request // what was judged
	decision authn.Decision
	// acting is the identity that goes on; nil until the caller was let in. It differs from the decision's where the
	// caller impersonates somebody and the gate had to judge that.
	acting *identity.Identity
	stream *stream
	// limiter is set for a request that asks for a ServiceAccount token, issued for one that got it.
	limiter  *tokenrequest.Limiter
	issued   *tokenrequest.Issued
	recorder Recorder

	refused        atomic.Pointer[error] // why the request was shut out while it was still being sent
	upstreamStatus int
	failure        error
}

// caller is who was let in, and where to.
func (x *exchange) caller() Caller {
	return Caller{
		Identity: x.decision.Identity, Credential: x.decision.Credential, Cluster: x.target.cluster, Path: x.target.url.Path, Source: x.source,
	}
}

// exchangeKey is the context key of the exchange.
type exchangeKey struct{}

// withExchange attaches x to ctx.
func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// exchangeFrom returns the exchange of a forwarded request, or nil.
func exchangeFrom(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// describe fills the event with what is known of the exchange.
func (x *exchange) describe(e *accesslog.Event, r *http.Request) {
	e.RequestID, e.Source, e.Method = x.id, x.source, r.Method
	e.Mechanism = string(x.decision.Mechanism)
	if cred := x.decision.Credential; cred != nil {
		e.CredentialID, e.CredentialIssuer = cred.ID.Value, cred.ID.Issuer
		e.User, e.UID, e.Groups = cred.Identity.Username, cred.Identity.UID, cred.Identity.Groups
	}
	if id := x.decision.Identity; id != nil {
		e.User, e.UID, e.Groups = id.Username, id.UID, id.Groups
		if x.acting != nil && x.acting != id {
			e.ActingAs = x.acting.Username
		}
	}
	if x.issued != nil {
		e.IssuedID, e.IssuedIssuer, e.IssuedTo, e.IssuedExpires = x.issued.ID, x.issued.Issuer, x.issued.Subject, x.issued.Expires
	}
	if x.target.cluster != nil {
		e.Cluster = x.target.cluster.Name
	}
	info := x.info
	if info == nil {
		return
	}
	e.Verb = info.Verb
	if !info.IsResourceRequest {
		e.Path = info.Path
		return
	}
	e.APIGroup, e.Resource, e.Subresource = info.APIGroup, info.Resource, info.Subresource
	e.Namespace, e.Name = info.Namespace, info.Name
}

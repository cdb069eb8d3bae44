package gateway

import (
	"net/http"
	"strings"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/tokenrequest"
)

// frontPrefix is what the paths begin with that are the gate's own and no cluster's.
const frontPrefix = "/.ostiary/"

// Front answers requests of callers who are not authenticated yet: they come for a credential. It settles by itself who they
// are, and must hold back who guesses.
type Front interface {
	ServeFront(w http.ResponseWriter, r *http.Request, visitor Visitor) Handled
}

// Visitor is who sent a request to a Front.
type Visitor struct {
	// Asked is what a chain may judge: the certificates, the source and the time, no headers, and no cluster.
	Asked *authn.Request
	// Source is the address, for the record.
	Source string
}

// Handled is what came of a request, for the record.
type Handled struct {
	// Decision is that of the chain, or of whatever judged the visitor; its zero value is of one that nobody vouched for.
	Decision authn.Decision
	// Issued is what the visitor got; nil for nothing.
	Issued *tokenrequest.Issued
}

// serveFront answers a request for the front, and records it. Only the path as it was sent counts: what stands below a cluster's
// prefix is the cluster's.
func (g *Gate) serveFront(w *writer, r *http.Request, x *exchange) bool {
	if g.front == nil || !strings.HasPrefix(r.RequestURI, frontPrefix) {
		return false
	}
	x.target.cluster = nil
	x.asked = &authn.Request{
		Certificates: x.peer.Certificates, Relayed: x.peer.Relayed, Conn: authn.ConnFrom(r.Context()), Source: x.peer.Source, Now: x.began,
	}
	handled := g.front.ServeFront(w, r, Visitor{Asked: x.asked, Source: x.source})
	x.decision, x.issued = handled.Decision, handled.Issued
	verdict, reason := accesslog.Allow, string(x.decision.Reason)
	if w.status >= http.StatusBadRequest {
		verdict = accesslog.Deny
	}
	if reason == "" {
		if reason = string(authn.ReasonNoCredential); w.status < http.StatusBadRequest {
			reason = string(authn.ReasonAccepted)
		}
	}
	g.record(r, x, accesslog.Request, verdict, reason, x.decision.Cause, w.status)
	return true
}

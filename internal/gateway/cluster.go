package gateway

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/impersonation"
	"github.com/ostiary/ostiary/internal/policy"
)

// Impersonator judges a caller's own Impersonate-* headers, where the gate hands identities on by impersonation and
// the API server therefore can't. It returns the identity to act as, or requester itself when the headers ask for
// nobody. An error is an apierrors.APIStatus for the client.
type Impersonator interface {
	Check(r *http.Request, requester *identity.Identity) (*identity.Identity, error)
}

// Cluster is one API server behind the gate. It is immutable.
type Cluster struct {
	// Name as in the configuration.
	Name string
	// Server is the API server's URL: scheme and host only.
	Server *url.URL
	// Authenticator decides who comes in to this cluster. Required.
	Authenticator Authenticator
	// Audiences are the target audiences of every request to it (AUD-1).
	Audiences []string
	// Confiner limits what credentials may be used for; nil means that nothing is limited.
	Confiner Confiner
	// Mode names the identity mode for those who ask: "requestHeader" or "impersonation".
	Mode string
	// HTTP2 carries what is long or has a body: many watches share one connection, and nothing is lost when it ends.
	HTTP2 http.RoundTripper
	// HTTP1 carries upgrades, which know nothing else (STR-1), and plain reads, which cost less CPU over it and
	// can be sent again if their kept connection turns out to be closed.
	HTTP1 http.RoundTripper
	// Assert removes all identity headers and sets those of id; it fails on an identity that headers cannot express. It
	// is the last step before the wire.
	Assert func(h http.Header, id *identity.Identity) error
	// Impersonator is set in impersonation mode only. Without one, the caller's Impersonate-* headers go on for the API
	// server to judge (GW-6).
	Impersonator Impersonator
}

// Confiner judges whether an admitted credential may be used for a request, whatever the cluster would allow (G-16). An
// error is for the log.
type Confiner interface {
	// Confines reports whether a mechanism's credentials are limited at all.
	Confines(mechanism identity.Mechanism) bool
	Confine(cred *authn.Credential, call *policy.Call) error
}

// confine asks the cluster's confiner about the request.
func (c *Cluster) confine(r *http.Request, x *exchange) error {
	if c.Confiner == nil || !c.Confiner.Confines(x.decision.Credential.Mechanism) {
		return nil
	}
	call := policy.Call{Verb: x.info.Verb, Path: x.target.url.Path, Impersonates: impersonation.IsRequested(r.Header)}
	if x.info.IsResourceRequest {
		call.APIGroup, call.Resource, call.Namespace, call.Name = x.info.APIGroup, x.info.Resource, x.info.Namespace, x.info.Name
		if x.info.Subresource != "" {
			call.Resource += "/" + x.info.Subresource
		}
	}
	return c.Confiner.Confine(x.decision.Credential, &call)
}

// refusalReason is the reason that a refusal names for the log.
func refusalReason(err error) string {
	if refusal, ok := errors.AsType[authn.Refusal](err); ok {
		return string(refusal.RefusalReason())
	}
	return string(authn.ReasonForbidden)
}

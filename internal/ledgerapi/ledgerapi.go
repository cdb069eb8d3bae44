// Package ledgerapi answers for the ledger in Ostiary's own API group: revocations are made, lifted and listed there,
// credentials put on record and listed, and open streams listed. Command line and other clients use nothing else. Who may
// is settled by localapi.
package ledgerapi

import (
	"errors"
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/localapi"
)

const (
	// maxItems bounds one list: what is answered within a second or two.
	maxItems = 1000
	// pageSize is how many a list has where the client does not say.
	pageSize = 500
	// actTimeout bounds one change, the wait until it is in force included.
	actTimeout = 20 * time.Second
)

// Matches reports whether a credential is one of those asked for.
type Matches = func(cred *authn.Credential) bool

// Config is what an API is made of. All but Replica is required.
type Config struct {
	Ledger     *ledger.Ledger
	Authorizer localapi.Authorizer
	// Streams describes the open streams whose credential matches, all for nil.
	Streams func(matches Matches) []gateway.StreamInfo
	// Replica is this replica's name; empty where there is one only.
	Replica string
	// Hub returns the name of the cluster that is asked, under which alone the API answers.
	Hub func() string
}

// API serves the resources. It is safe for concurrent use.
type API struct {
	config Config
	guard  localapi.Guard
}

// New returns an API.
func New(config Config) (*API, error) {
	if config.Ledger == nil || config.Authorizer == nil || config.Streams == nil || config.Hub == nil {
		return nil, errors.New("ledgerapi: the configuration is not complete")
	}
	return &API{config, localapi.Guard{Authorizer: config.Authorizer, Hub: config.Hub}}, nil
}

var _ gateway.Local = (*API)(nil)

// ServeLocal implements gateway.Local.
func (a *API) ServeLocal(w http.ResponseWriter, r *http.Request, caller gateway.Caller) bool {
	routes := a.routes(caller.Path)
	if routes == nil {
		return false
	}
	a.guard.Serve(&localapi.Exchange{W: w, R: r, Caller: caller}, routes)
	return true
}

// routes lists what can be done at a path; nil where that is not the API's.
func (a *API) routes(path string) []localapi.Route {
	if rest, ok := localapi.Below(path, adminapi.RevocationsPath); ok {
		return a.revocationRoutes(rest)
	}
	if name, ok := localapi.Below(path, adminapi.CredentialsPath); ok {
		if name != "" {
			return []localapi.Route{get(adminapi.CredentialsResource, name, func(x *localapi.Exchange) { a.getCredential(x, name) })}
		}
		return []localapi.Route{list(adminapi.CredentialsResource, a.listCredentials), create(adminapi.CredentialsResource, "", "", a.importCredentials)}
	}
	if path == adminapi.StreamsPath {
		return []localapi.Route{list(adminapi.StreamsResource, a.listStreams)}
	}
	return nil
}

func (a *API) revocationRoutes(rest string) []localapi.Route {
	const resource = adminapi.RevocationsResource
	name, subresource, _ := strings.Cut(rest, "/")
	switch {
	case name == "":
		return []localapi.Route{list(resource, a.list), create(resource, "", "", a.revoke)}
	case subresource == "":
		return []localapi.Route{get(resource, name, func(x *localapi.Exchange) { a.get(x, name) })}
	case subresource == adminapi.LiftSubresource:
		return []localapi.Route{create(resource, subresource, name, func(x *localapi.Exchange) { a.lift(x, name) })}
	default:
		return []localapi.Route{} // the API's, and nothing can be done there
	}
}

func list(resource string, serve func(*localapi.Exchange)) localapi.Route {
	return localapi.Route{Method: http.MethodGet, Access: localapi.Access{Verb: "list", Resource: resource}, Serve: serve}
}

func get(resource, name string, serve func(*localapi.Exchange)) localapi.Route {
	return localapi.Route{Method: http.MethodGet, Access: localapi.Access{Verb: "get", Resource: resource, Name: name}, Serve: serve}
}

func create(resource, subresource, name string, serve func(*localapi.Exchange)) localapi.Route {
	access := localapi.Access{Verb: "create", Resource: resource, Subresource: subresource, Name: name}
	return localapi.Route{Method: http.MethodPost, Access: access, Serve: serve}
}

// failed answers with the outside of an error of the ledger.
func failed(x *localapi.Exchange, err error) {
	switch {
	case errors.Is(err, ledger.ErrInvalid), errors.Is(err, ledger.ErrEntry):
		x.Fail(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, err.Error())
	case errors.Is(err, ledger.ErrNotFound), errors.Is(err, ledger.ErrNoEntry):
		x.Fail(http.StatusNotFound, metav1.StatusReasonNotFound, err.Error())
	case errors.Is(err, ledger.ErrLifted):
		x.Fail(http.StatusConflict, metav1.StatusReasonConflict, err.Error())
	case errors.Is(err, ledger.ErrFull):
		x.Fail(http.StatusInsufficientStorage, metav1.StatusReasonInternalError, "the ledger's store is full; free space or raise its quota")
	default:
		// Not 503: a client would try again by itself, and what was asked for may have been done.
		x.Fail(http.StatusInternalServerError, metav1.StatusReasonInternalError,
			"the ledger could not be written or read, or not all replicas could be asked; list the revocations to see what stands")
	}
}

// actorOf is the caller, for the record.
func actorOf(x *localapi.Exchange) ledger.Actor {
	actor := ledger.Actor{Username: x.Caller.Identity.Username}
	if cred := x.Caller.Credential; cred != nil {
		actor.Mechanism, actor.CredentialID = string(cred.Mechanism), cred.ID.String()
	}
	actor.Source = x.Caller.Source
	return actor
}

// Package ledgerapi answers for the ledger in Ostiary's own API group: revocations are made, lifted and listed there, and
// open streams are listed. Command line and other clients use nothing else.
//
// The gate has authenticated the caller. Whether it may is asked of the first cluster by a SubjectAccessReview, for the
// resources of the group ostiary.dev, so that roles there say who may shut whom out. Impersonation headers are refused: an
// act on record is its actor's own.
package ledgerapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/impersonation"
	"github.com/ostiary/ostiary/internal/ledger"
)

const (
	// maxBody bounds a request: a list of maxItems with long names.
	maxBody = 4 << 20
	// maxItems bounds one list: what is answered within a second or two.
	maxItems = 1000
	// pageSize is how many a list has where the client does not say.
	pageSize = 500
	// actTimeout bounds one change, the wait until it is in force included.
	actTimeout = 20 * time.Second
)

// Access is what somebody wants to do with the API's resources.
type Access struct {
	Verb, Resource, Subresource, Name string
}

// Authorizer says who may do what. An error means that nobody knows, which is no.
type Authorizer interface {
	Authorize(ctx context.Context, user *identity.Identity, access Access) (allowed bool, reason string, err error)
}

// Matches reports whether a credential is one of those asked for.
type Matches = func(cred *authn.Credential) bool

// Config is what an API is made of. All but Replica is required.
type Config struct {
	Ledger     *ledger.Ledger
	Authorizer Authorizer
	// Streams describes the open streams whose credential matches, all for nil.
	Streams func(matches Matches) []gateway.StreamInfo
	// Replica is this replica's name; empty where there is one only.
	Replica string
	// Hub returns the name of the cluster that is asked, under which alone the API answers.
	Hub func() string
}

// API serves the resources. It is safe for concurrent use.
type API struct{ config Config }

// New returns an API.
func New(config Config) (*API, error) {
	if config.Ledger == nil || config.Authorizer == nil || config.Streams == nil || config.Hub == nil {
		return nil, errors.New("ledgerapi: the configuration is not complete")
	}
	return &API{config}, nil
}

var _ gateway.Local = (*API)(nil)

// exchange is one request.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	caller gateway.Caller
}

// route is one request that the API knows.
type route struct {
	method string
	access Access
	serve  func(*exchange)
}

// ServeLocal implements gateway.Local.
func (a *API) ServeLocal(w http.ResponseWriter, r *http.Request, caller gateway.Caller) bool {
	routes := a.routes(caller.Path)
	if routes == nil {
		return false
	}
	x := &exchange{w, r, caller}
	switch {
	case caller.Identity.IsAnonymous():
		x.fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
		return true
	case impersonation.IsRequested(r.Header):
		x.fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "impersonation is not possible here: acts on the ledger are their actor's own")
		return true
	case caller.Cluster.Name != a.config.Hub():
		x.fail(http.StatusNotFound, metav1.StatusReasonNotFound, "the ledger is asked through cluster "+strconv.Quote(a.config.Hub())+", which says who may")
		return true
	}
	for _, one := range routes {
		if one.method == r.Method {
			if one.access.Verb == "list" && r.URL.Query().Get("watch") == "true" {
				one.access.Verb = "watch"
			}
			a.authorized(x, one.access, one.serve)
			return true
		}
	}
	x.fail(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "the ledger's API does not know this request")
	return true
}

// routes lists what can be done at a path; nil where that is not the API's.
func (a *API) routes(path string) []route {
	if rest, ok := below(path, adminapi.RevocationsPath); ok {
		return a.revocationRoutes(rest)
	}
	if name, ok := below(path, adminapi.CredentialsPath); ok {
		if name != "" {
			return []route{{http.MethodGet, Access{Verb: "get", Resource: adminapi.CredentialsResource, Name: name}, func(x *exchange) { a.getCredential(x, name) }}}
		}
		return []route{
			{http.MethodGet, Access{Verb: "list", Resource: adminapi.CredentialsResource}, a.listCredentials},
			{http.MethodPost, Access{Verb: "create", Resource: adminapi.CredentialsResource}, a.importCredentials},
		}
	}
	if path == adminapi.StreamsPath {
		return []route{{http.MethodGet, Access{Verb: "list", Resource: adminapi.StreamsResource}, a.listStreams}}
	}
	return nil
}

func (a *API) revocationRoutes(rest string) []route {
	name, subresource, _ := strings.Cut(rest, "/")
	switch {
	case name == "":
		return []route{
			{http.MethodGet, Access{Verb: "list", Resource: adminapi.RevocationsResource}, a.list},
			{http.MethodPost, Access{Verb: "create", Resource: adminapi.RevocationsResource}, a.revoke},
		}
	case subresource == "":
		return []route{{http.MethodGet, Access{Verb: "get", Resource: adminapi.RevocationsResource, Name: name}, func(x *exchange) { a.get(x, name) }}}
	case subresource == adminapi.LiftSubresource:
		access := Access{Verb: "create", Resource: adminapi.RevocationsResource, Subresource: adminapi.LiftSubresource, Name: name}
		return []route{{http.MethodPost, access, func(x *exchange) { a.lift(x, name) }}}
	default:
		return []route{} // the API's, and nothing can be done there
	}
}

// below returns what of path is below a collection, or the collection itself.
func below(path, collection string) (rest string, ok bool) {
	if path == collection {
		return "", true
	}
	return strings.CutPrefix(path, collection+"/")
}

// authorized goes on if the caller may.
func (a *API) authorized(x *exchange, access Access, then func(*exchange)) {
	allowed, reason, err := a.config.Authorizer.Authorize(x.r.Context(), x.caller.Identity, access)
	switch {
	case err != nil:
		x.w.Header().Set("Retry-After", "1")
		x.fail(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "the cluster could not be asked whether this is allowed; the gate's log says why")
	case !allowed:
		resource := access.Resource
		if access.Subresource != "" {
			resource += "/" + access.Subresource
		}
		message := "user " + strconv.Quote(x.caller.Identity.Username) + " cannot " + access.Verb + " resource " + strconv.Quote(resource) +
			" in API group " + strconv.Quote(adminapi.Group) + " at the cluster scope"
		if reason != "" {
			message += ": " + reason
		}
		x.fail(http.StatusForbidden, metav1.StatusReasonForbidden, message)
	default:
		then(x)
	}
}

// fail answers with a Status, as an API server would.
func (x *exchange) fail(code int, reason metav1.StatusReason, message string) {
	x.answer(code, &metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message, //nolint:gosec // an HTTP status
	})
}

// failed answers with the outside of an error of the ledger.
func (x *exchange) failed(err error) {
	switch {
	case errors.Is(err, ledger.ErrInvalid), errors.Is(err, ledger.ErrEntry):
		x.fail(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, err.Error())
	case errors.Is(err, ledger.ErrNotFound), errors.Is(err, ledger.ErrNoEntry):
		x.fail(http.StatusNotFound, metav1.StatusReasonNotFound, err.Error())
	case errors.Is(err, ledger.ErrLifted):
		x.fail(http.StatusConflict, metav1.StatusReasonConflict, err.Error())
	case errors.Is(err, ledger.ErrFull):
		x.fail(http.StatusInsufficientStorage, metav1.StatusReasonInternalError, "the ledger's store is full; free space or raise its quota")
	default:
		// Not 503: a client would try again by itself, and what was asked for may have been done.
		x.fail(http.StatusInternalServerError, metav1.StatusReasonInternalError,
			"the ledger could not be written or read, or not all replicas could be asked; list the revocations to see what stands")
	}
}

func (x *exchange) answer(code int, body any) {
	header := x.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	x.w.WriteHeader(code)
	_ = json.NewEncoder(x.w).Encode(body)
}

// read reads the request's body strictly: a field that is not known may have been meant to narrow what is shut out.
func (x *exchange) read(into any) error {
	data, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	if err != nil {
		return err
	}
	return strict(data, into)
}

func strict(data []byte, into any) error {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("something follows the object")
	}
	return nil
}

// actor is the caller, for the record.
func (x *exchange) actor() ledger.Actor {
	actor := ledger.Actor{Username: x.caller.Identity.Username}
	if cred := x.caller.Credential; cred != nil {
		actor.Mechanism, actor.CredentialID = string(cred.Mechanism), cred.ID.String()
	}
	actor.Source = x.caller.Source
	return actor
}

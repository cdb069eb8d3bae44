// Package localapi is what the parts of Ostiary's own API group have in common: who may ask is settled here, once, before
// anything is done.
//
// The gate has authenticated the caller. Whether it may is asked of the first cluster by a SubjectAccessReview, for the
// resources of the group ostiary.dev, so that roles there say who may do what. Impersonation headers are refused: an act on
// record is its actor's own.
package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/impersonation"
)

// maxBody bounds a request: a list of a thousand items with long names.
const maxBody = 4 << 20

// Access is what somebody wants to do with the API's resources.
type Access struct {
	Verb, Resource, Subresource, Name string
}

// Authorizer says who may do what. An error means that nobody knows, which is no.
type Authorizer interface {
	Authorize(ctx context.Context, user *identity.Identity, access Access) (allowed bool, reason string, err error)
}

// Guard lets in who may. Both fields are required; without them nobody may. It is safe for concurrent use.
type Guard struct {
	Authorizer Authorizer
	// Hub returns the name of the cluster that is asked, under which alone the API answers.
	Hub func() string
}

// Route is one request that an API knows.
type Route struct {
	Method string
	Access Access
	// Besides are rights that it takes as well: all of them.
	Besides []Access
	Serve   func(*Exchange)
}

// Exchange is one request.
type Exchange struct {
	W      http.ResponseWriter
	R      *http.Request
	Caller gateway.Caller
}

// Serve answers a request by the first route of its method, if the caller may.
func (g *Guard) Serve(x *Exchange, routes []Route) {
	hub := ""
	if g.Hub != nil {
		hub = g.Hub()
	}
	switch {
	case x.Caller.Identity.IsAnonymous():
		x.Fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
		return
	case impersonation.IsRequested(x.R.Header):
		x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "impersonation is not possible here: acts on record are their actor's own")
		return
	case x.Caller.Cluster.Name != hub:
		x.Fail(http.StatusNotFound, metav1.StatusReasonNotFound, "this is asked through cluster "+strconv.Quote(hub)+", which says who may")
		return
	}
	for _, one := range routes {
		if one.Method == x.R.Method {
			if one.Access.Verb == "list" && x.R.URL.Query().Get("watch") == "true" {
				one.Access.Verb = "watch"
			}
			for _, access := range append([]Access{one.Access}, one.Besides...) {
				if !g.authorized(x, access) {
					return
				}
			}
			one.Serve(x)
			return
		}
	}
	x.Fail(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "the gate's API does not know this request")
}

// authorized reports whether the caller may, and answers where not.
func (g *Guard) authorized(x *Exchange, access Access) bool {
	allowed, reason, err := false, "", error(nil)
	if g.Authorizer != nil {
		allowed, reason, err = g.Authorizer.Authorize(x.R.Context(), x.Caller.Identity, access)
	}
	switch {
	case err != nil:
		x.W.Header().Set("Retry-After", "1")
		x.Fail(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "the cluster could not be asked whether this is allowed; the gate's log says why")
	case !allowed:
		resource := access.Resource
		if access.Subresource != "" {
			resource += "/" + access.Subresource
		}
		message := "user " + strconv.Quote(x.Caller.Identity.Username) + " cannot " + access.Verb + " resource " + strconv.Quote(resource) +
			" in API group " + strconv.Quote(adminapi.Group) + " at the cluster scope"
		if access.Subresource != "" && access.Name != "" {
			message += ", named " + strconv.Quote(access.Name)
		}
		if reason != "" {
			message += ": " + reason
		}
		x.Fail(http.StatusForbidden, metav1.StatusReasonForbidden, message)
	default:
		return true
	}
	return false
}

// Fail answers with a Status, as an API server would.
func (x *Exchange) Fail(code int, reason metav1.StatusReason, message string) {
	x.Answer(code, &metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message, //nolint:gosec // an HTTP status
	})
}

// Answer answers with an object, as JSON.
func (x *Exchange) Answer(code int, body any) {
	header := x.W.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	x.W.WriteHeader(code)
	_ = json.NewEncoder(x.W).Encode(body)
}

// Read reads the request's body strictly: a field that is not known may have been meant to narrow what is done.
func (x *Exchange) Read(into any) error {
	data, err := io.ReadAll(http.MaxBytesReader(x.W, x.R.Body, maxBody))
	if err != nil {
		return err
	}
	return Strict(data, into)
}

// Strict reads one object, and nothing that it does not know.
func Strict(data []byte, into any) error {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}

// Below returns what of path is below a collection, or empty for the collection itself; ok is false for any other path.
func Below(path, collection string) (rest string, ok bool) {
	if path == collection {
		return "", true
	}
	return strings.CutPrefix(path, collection+"/")
}

// Package lockoutapi answers about guessing in Ostiary's own API group: who is locked out, why a request was refused; and
// takes locks off.
//
// As for the ledger, the first cluster says by a SubjectAccessReview who may, and impersonation headers are refused.
package lockoutapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/impersonation"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledgerapi"
	"github.com/ostiary/ostiary/internal/lockout"
)

const (
	// maxBody bounds a request: a reason.
	maxBody = 64 << 10
	// maxReason bounds the reason of an unlock, as of everything on record.
	maxReason = 1024
	// maxItems bounds a list; what was left out is counted.
	maxItems = 1000
	// maxShown bounds the locks that are listed with a refusal.
	maxShown = 10
	// actTimeout bounds one unlock, the wait until it is in force included.
	actTimeout = 20 * time.Second
)

// Config is what an API is made of. Everything is required.
type Config struct {
	Engine     *lockout.Engine
	Recent     *accesslog.Recent
	Authorizer ledgerapi.Authorizer
	// Hub returns the name of the cluster that is asked, under which alone the API answers.
	Hub func() string
	// Enforce takes a lock off, and returns when that is so at every replica.
	Enforce func(ctx context.Context, lock *lockout.Lock, unlock lockout.Unlock) (*ledger.InForce, error)
	// Changed is told of an unlock, once, by whoever was asked for it.
	Changed func(lockout.Change)
}

// API serves the resources. It is safe for concurrent use.
type API struct{ config Config }

// New returns an API.
func New(config Config) (*API, error) {
	if config.Engine == nil || config.Recent == nil || config.Authorizer == nil || config.Hub == nil || config.Enforce == nil || config.Changed == nil {
		return nil, errors.New("lockoutapi: the configuration is not complete")
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

// ServeLocal implements gateway.Local.
func (a *API) ServeLocal(w http.ResponseWriter, r *http.Request, caller gateway.Caller) bool {
	below, isLockouts := strings.CutPrefix(caller.Path, adminapi.LockoutsPath)
	isLockouts = isLockouts && (below == "" || below[0] == '/')
	refused, isRefusals := strings.CutPrefix(caller.Path, adminapi.RefusalsPath+"/")
	if !isLockouts && !isRefusals {
		return false
	}
	x := &exchange{w, r, caller}
	name, subresource, _ := strings.Cut(strings.TrimPrefix(below, "/"), "/")
	switch {
	case caller.Identity.IsAnonymous():
		x.fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
	case impersonation.IsRequested(r.Header):
		x.fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "impersonation is not possible here: acts on record are their actor's own")
	case caller.Cluster.Name != a.config.Hub():
		x.fail(http.StatusNotFound, metav1.StatusReasonNotFound, "locks are asked for through cluster "+strconv.Quote(a.config.Hub())+", which says who may")
	case isLockouts && below == "" && r.Method == http.MethodGet:
		a.authorized(x, ledgerapi.Access{Verb: "list", Resource: adminapi.LockoutsResource}, func() { a.list(x) })
	case isLockouts && name != "" && subresource == adminapi.UnlockSubresource && r.Method == http.MethodPost:
		a.authorized(x, ledgerapi.Access{Verb: "create", Resource: adminapi.LockoutsResource, Subresource: adminapi.UnlockSubresource, Name: name},
			func() { a.unlock(x, name) })
	case isRefusals && r.Method == http.MethodGet:
		a.authorized(x, ledgerapi.Access{Verb: "get", Resource: adminapi.RefusalsResource, Name: refused}, func() { a.explain(x, refused) })
	default:
		x.fail(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "this API does not know this request")
	}
	return true
}

// list answers with the locks that hold, all or those on one address or claimed id.
func (a *API) list(x *exchange) {
	query := x.r.URL.Query()
	wanted := func(*lockout.Lock) bool { return true }
	if text := query.Get("source"); text != "" {
		source, err := netip.ParseAddr(text)
		if err != nil {
			x.fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "source: want an IP address")
			return
		}
		wanted = holds(source)
	}
	if id := query.Get("credentialID"); id != "" {
		all := wanted
		wanted = func(lock *lockout.Lock) bool { return lock.ID == id && all(lock) }
	}
	locks, total := a.config.Engine.Locks(time.Now(), maxItems, wanted)
	answer := adminapi.LockoutList{TypeMeta: adminapi.TypeOf(adminapi.LockoutListKind), Items: toAPI(locks)}
	answer.Metadata.RemainingItemCount = total - len(locks)
	x.answer(http.StatusOK, answer)
}

// holds selects the locks that hold an address.
func holds(source netip.Addr) func(*lockout.Lock) bool {
	source = source.Unmap()
	return func(lock *lockout.Lock) bool { return lock.Prefix.Contains(source) }
}

// unlock takes a lock off.
func (a *API) unlock(x *exchange, name string) {
	var written adminapi.UnlockRequest
	err := x.read(&written)
	if err == nil {
		err = written.Is(adminapi.UnlockRequestKind)
	}
	if err == nil {
		err = checkReason(written.Reason)
	}
	if err != nil {
		x.fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	if !lockout.IsName(name) {
		x.fail(http.StatusNotFound, metav1.StatusReasonNotFound, lockout.ErrNotFound.Error())
		return
	}
	lock, err := a.config.Engine.Find(name, time.Now())
	if err != nil {
		x.fail(http.StatusNotFound, metav1.StatusReasonNotFound, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), actTimeout)
	defer cancel()
	actor := x.caller.Identity.Username
	force, err := a.config.Enforce(ctx, &lock, lockout.Unlock{Actor: actor, Reason: written.Reason, At: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		// Not 503: a client would try again by itself, and what was asked for may have been done.
		x.fail(http.StatusInternalServerError, metav1.StatusReasonInternalError,
			"the ledger could not be written, or not all replicas could be asked; list the lockouts to see what holds")
		return
	}
	a.config.Changed(lockout.Change{Lock: lock, Actor: actor})
	answer := toAPI([]lockout.Lock{lock})[0]
	answer.Status.InForce = forceToAPI(force)
	x.answer(http.StatusOK, answer)
}

// checkReason wants a reason that a log can show.
func checkReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return errors.New("reason: say why, for those who read the record")
	case len(reason) > maxReason:
		return errors.New("reason: is longer than " + strconv.Itoa(maxReason) + " bytes")
	case !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl):
		return errors.New("reason: holds control characters or is not UTF-8")
	default:
		return nil
	}
}

// explain answers why a request was refused.
func (a *API) explain(x *exchange, requestID string) {
	found, ok := a.config.Recent.Find(requestID)
	if !ok {
		x.fail(http.StatusNotFound, metav1.StatusReasonNotFound,
			"this gate refused no such request lately; its access log has all that there were")
		return
	}
	answer := adminapi.Refusal{
		TypeMeta: adminapi.TypeOf(adminapi.RefusalKind), Metadata: adminapi.ObjectMeta{Name: found.RequestID, CreationTimestamp: found.Time.UTC()},
		Status: adminapi.RefusalStatus{
			Code: found.Status, Reason: found.Reason, Cause: found.Cause, Source: found.Source, Cluster: found.Cluster,
			Mechanism: found.Mechanism, CredentialID: found.CredentialID, Username: found.User,
		},
	}
	if source, err := netip.ParseAddr(found.Source); err == nil {
		locks, _ := a.config.Engine.Locks(time.Now(), maxShown, holds(source))
		answer.Status.Lockouts = toAPI(locks)
	}
	x.answer(http.StatusOK, answer)
}

// toAPI turns locks into their written form.
func toAPI(locks []lockout.Lock) []adminapi.Lockout {
	all := make([]adminapi.Lockout, 0, len(locks))
	for i := range locks {
		lock := &locks[i]
		one := adminapi.Lockout{TypeMeta: adminapi.TypeOf(adminapi.LockoutKind), Metadata: adminapi.ObjectMeta{Name: lock.Name}}
		if !lock.Since.IsZero() {
			one.Metadata.CreationTimestamp = lock.Since.UTC()
		}
		one.Status = adminapi.LockoutStatus{
			Kind: string(lock.Kind), Source: lock.Prefix.String(), CredentialID: lock.ID, Until: lock.Until.UTC(), Strikes: lock.Strikes,
		}
		all = append(all, one)
	}
	return all
}

// forceToAPI says how an unlock came to be in force.
func forceToAPI(force *ledger.InForce) *adminapi.InForce {
	written := &adminapi.InForce{Complete: force.Complete(), TookMilliseconds: float64(force.Took) / float64(time.Millisecond)}
	for name, state := range force.Replicas {
		written.Replicas = append(written.Replicas, adminapi.ReplicaInForce{Name: name, State: string(state)})
	}
	return written
}

// authorized goes on if the caller may.
func (a *API) authorized(x *exchange, access ledgerapi.Access, then func()) {
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
		then()
	}
}

// fail answers with a Status, as an API server would.
func (x *exchange) fail(code int, reason metav1.StatusReason, message string) {
	x.answer(code, &metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message, //nolint:gosec // an HTTP status
	})
}

func (x *exchange) answer(code int, body any) {
	header := x.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	x.w.WriteHeader(code)
	_ = json.NewEncoder(x.w).Encode(body)
}

// read reads the request's body strictly.
func (x *exchange) read(into any) error {
	data, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	if err != nil {
		return err
	}
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

// Package lockoutapi answers about guessing in Ostiary's own API group: who is locked out, why a request was refused; and
// takes locks off.
//
// As for the ledger, the first cluster says by a SubjectAccessReview who may, and impersonation headers are refused.
package lockoutapi

import (
	"context"
	"errors"
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
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledgerapi"
	"github.com/ostiary/ostiary/internal/localapi"
	"github.com/ostiary/ostiary/internal/lockout"
)

const (
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
	Authorizer localapi.Authorizer
	// Hub returns the name of the cluster that is asked, under which alone the API answers.
	Hub func() string
	// Enforce takes a lock off, and returns when that is so at every replica.
	Enforce func(ctx context.Context, lock *lockout.Lock, unlock lockout.Unlock) (*ledger.InForce, error)
	// Changed is told of an unlock, once, by whoever was asked for it.
	Changed func(lockout.Change)
}

// API serves the resources. It is safe for concurrent use.
type API struct {
	config Config
	guard  localapi.Guard
}

// New returns an API.
func New(config Config) (*API, error) {
	if config.Engine == nil || config.Recent == nil || config.Authorizer == nil || config.Hub == nil || config.Enforce == nil || config.Changed == nil {
		return nil, errors.New("lockoutapi: the configuration is not complete")
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
	if id, ok := localapi.Below(path, adminapi.RefusalsPath); ok && id != "" {
		return []localapi.Route{{
			Method: http.MethodGet, Access: localapi.Access{Verb: "get", Resource: adminapi.RefusalsResource, Name: id},
			Serve: func(x *localapi.Exchange) { a.explain(x, id) },
		}}
	}
	rest, ok := localapi.Below(path, adminapi.LockoutsPath)
	if !ok {
		return nil
	}
	name, subresource, _ := strings.Cut(rest, "/")
	switch {
	case rest == "":
		return []localapi.Route{{Method: http.MethodGet, Access: localapi.Access{Verb: "list", Resource: adminapi.LockoutsResource}, Serve: a.list}}
	case name != "" && subresource == adminapi.UnlockSubresource:
		return []localapi.Route{{
			Method: http.MethodPost,
			Access: localapi.Access{Verb: "create", Resource: adminapi.LockoutsResource, Subresource: adminapi.UnlockSubresource, Name: name},
			Serve:  func(x *localapi.Exchange) { a.unlock(x, name) },
		}}
	default:
		return []localapi.Route{} // the API's, and nothing can be done there
	}
}

// list answers with the locks that hold, all or those on one address or claimed id.
func (a *API) list(x *localapi.Exchange) {
	query := x.R.URL.Query()
	wanted := func(*lockout.Lock) bool { return true }
	if text := query.Get("source"); text != "" {
		source, err := netip.ParseAddr(text)
		if err != nil {
			x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "source: want an IP address")
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
	x.Answer(http.StatusOK, answer)
}

// holds selects the locks that hold an address.
func holds(source netip.Addr) func(*lockout.Lock) bool {
	source = source.Unmap()
	return func(lock *lockout.Lock) bool { return lock.Prefix.Contains(source) }
}

// unlock takes a lock off.
func (a *API) unlock(x *localapi.Exchange, name string) {
	var written adminapi.UnlockRequest
	err := x.Read(&written)
	if err == nil {
		err = written.Is(adminapi.UnlockRequestKind)
	}
	if err == nil {
		err = checkReason(written.Reason)
	}
	if err != nil {
		x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	if !lockout.IsName(name) {
		x.Fail(http.StatusNotFound, metav1.StatusReasonNotFound, lockout.ErrNotFound.Error())
		return
	}
	lock, err := a.config.Engine.Find(name, time.Now())
	if err != nil {
		x.Fail(http.StatusNotFound, metav1.StatusReasonNotFound, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.R.Context()), actTimeout)
	defer cancel()
	actor := x.Caller.Identity.Username
	force, err := a.config.Enforce(ctx, &lock, lockout.Unlock{Actor: actor, Reason: written.Reason, At: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		// Not 503: a client would try again by itself, and what was asked for may have been done.
		x.Fail(http.StatusInternalServerError, metav1.StatusReasonInternalError,
			"the ledger could not be written, or not all replicas could be asked; list the lockouts to see what holds")
		return
	}
	a.config.Changed(lockout.Change{Lock: lock, Actor: actor})
	answer := toAPI([]lockout.Lock{lock})[0]
	answer.Status.InForce = ledgerapi.ForceToAPI(force)
	x.Answer(http.StatusOK, answer)
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
func (a *API) explain(x *localapi.Exchange, requestID string) {
	found, ok := a.config.Recent.Find(requestID)
	if !ok {
		x.Fail(http.StatusNotFound, metav1.StatusReasonNotFound,
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
	x.Answer(http.StatusOK, answer)
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

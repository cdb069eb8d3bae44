package impersonation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	upstream "k8s.io/apiserver/pkg/endpoints/filters/impersonation"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/ostiary/ostiary/internal/identity"
)

const (
	// DefaultMaxReviews bounds the SubjectAccessReviews that one request may cause. Each group and extra value may cost
	// one, and the reviews run one after the other: people are in some dozens of groups, and a request that names a
	// thousand would keep the cluster busy for its sender.
	DefaultMaxReviews = 100
	// DefaultConcurrency bounds the reviews under way at one time over all requests to one cluster. It is a small part
	// of the 400 reading requests that kube-apiserver takes at once by default.
	DefaultConcurrency = 64
	// DefaultTimeout bounds all reviews of one request together, waiting for their turn included. kubectl waits longer,
	// people do not.
	DefaultTimeout = 10 * time.Second
)

// Reviewer asks a cluster whether a subject may do something. An error means that no answer was had, for whatever
// reason; the answer is no then. reason is what the cluster gave, for the client's eyes.
type Reviewer interface {
	Review(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec) (allowed bool, reason string, err error)
}

// Config configures a Checker.
type Config struct {
	// Reviewer asks the cluster that the requests are for. Required.
	Reviewer Reviewer
	// MaxReviews bounds the reviews of one request. 0 means DefaultMaxReviews.
	MaxReviews int
	// Concurrency bounds the reviews under way at one time. 0 means DefaultConcurrency.
	Concurrency int
	// Timeout bounds all reviews of one request. 0 means DefaultTimeout.
	Timeout time.Duration
	// LegacyOnly leaves the constrained modes out and knows the verb impersonate alone, as a cluster does whose feature
	// gate ConstrainedImpersonation is off or which is older than 1.36 (IMP-15). Left false, roles that grant
	// impersonate:<mode> take effect at the gate also where the cluster itself would not heed them.
	LegacyOnly bool
}

// Checker judges who a caller may act as, in one cluster. It is safe for concurrent use and holds nothing that needs
// closing. The zero value refuses every request.
type Checker struct {
	reviewer   Reviewer
	maxReviews int
	turns      chan struct{}
	timeout    time.Duration
	handler    http.Handler
}

// New returns a Checker, or an error that says what is wrong with config.
func New(config Config) (*Checker, error) {
	if config.Reviewer == nil {
		return nil, errors.New("impersonation: a reviewer is needed to judge who may act as whom")
	}
	if config.MaxReviews < 0 || config.Concurrency < 0 || config.Timeout < 0 {
		return nil, errors.New("impersonation: limits must not be negative")
	}
	c := &Checker{
		reviewer:   config.Reviewer,
		maxReviews: cmp.Or(config.MaxReviews, DefaultMaxReviews),
		turns:      make(chan struct{}, cmp.Or(config.Concurrency, DefaultConcurrency)),
		timeout:    cmp.Or(config.Timeout, DefaultTimeout),
	}
	filter := upstream.WithConstrainedImpersonation
	if config.LegacyOnly {
		filter = upstream.WithImpersonation
	}
	c.handler = filter(http.HandlerFunc(succeed), authorizer{c}, newStatusCodecs())
	return c, nil
}

// Check judges the Impersonate-* headers of r for requester, whom authentication settled, groups included. It returns
//
//   - requester, when the headers ask for nobody (without extras that are reserved, should he bring any along);
//   - the identity to act as, when the cluster allows it: the target's data and, in reserved extras, the original
//     caller (WithOriginal), nothing else of requester (IMP-4);
//   - an error that holds a *apierrors.StatusError otherwise: what Screen says, 400; what kube-apiserver itself would
//     answer, 403; 403 when more reviews would be needed than are allowed; 503 when the cluster gave no answer, with
//     the cause behind it for the log.
//
// The request's context must hold its RequestInfo, as k8s.io/apiserver makes it from the path that the cluster will
// see: the constrained modes judge that very request (IMP-9). Reviews stop when the context ends. r is not changed.
func (c *Checker) Check(r *http.Request, requester *identity.Identity) (*identity.Identity, error) {
	if c.handler == nil || requester == nil || requester.Username == "" {
		return nil, apierrors.NewInternalError(errors.New("nobody was authenticated for this request"))
	}
	if err := Screen(r.Header); err != nil {
		return nil, err
	}
	header := make(http.Header)
	for name := range names(r.Header) {
		header[name] = r.Header[name]
	}
	if len(header) == 0 {
		return WithOriginal(requester, requester), nil
	}
	if info, ok := request.RequestInfoFrom(r.Context()); !ok || info == nil {
		return nil, apierrors.NewInternalError(errors.New("the request's attributes are not known"))
	}
	a := &attempt{left: c.maxReviews}
	ctx, cancel := context.WithTimeout(r.Context(), c.timeout)
	defer cancel()
	ctx = request.WithUser(withAttempt(ctx, a), &user.DefaultInfo{
		Name: requester.Username, UID: requester.UID, Groups: requester.Groups, Extra: requester.Extra,
	})
	var answer answer
	question := &http.Request{Method: r.Method, URL: r.URL, Header: header, Proto: r.Proto}
	c.handler.ServeHTTP(&answer, question.WithContext(ctx))
	switch {
	case a.failure != nil:
		return nil, a.failure.status(requester, header.Get(UserHeader))
	case a.target == nil:
		return nil, answer.status()
	default:
		return WithOriginal(a.target, requester), nil
	}
}

// attempt is one request's attempt to act as somebody. It belongs to the goroutine of its Check.
type attempt struct {
	left    int
	failure *failure
	target  *identity.Identity
}

// attemptKey is the context key of the attempt.
type attemptKey struct{}

func withAttempt(ctx context.Context, a *attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

func attemptFrom(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// succeed is what the upstream filter calls when it let the attempt pass: the context's user is the target then.
func succeed(_ http.ResponseWriter, r *http.Request) {
	a := attemptFrom(r.Context())
	target, ok := request.UserFrom(r.Context())
	if a == nil || !ok {
		return
	}
	id := &identity.Identity{Username: target.GetName(), UID: target.GetUID(), Groups: slices.Clone(target.GetGroups())}
	if extra := target.GetExtra(); len(extra) > 0 {
		id.Extra = make(map[string][]string, len(extra))
		for key, values := range extra {
			id.Extra[key] = slices.Clone(values) // the upstream cache keeps its own
		}
	}
	a.target = id
}

// failure is why an attempt could not be judged.
type failure struct {
	cause  error
	budget int // reviews that were not enough; 0 when it was not for their number
}

// status says what the client is told, with the cause behind it.
func (f *failure) status(requester *identity.Identity, target string) error {
	if f.budget > 0 {
		return apierrors.NewForbidden(authorizationv1.Resource("users"), target, fmt.Errorf(
			"user %q cannot act as this identity through the gate: it would take more than %d access reviews; ask for fewer groups and extras",
			requester.Username, f.budget))
	}
	status := apierrors.NewServiceUnavailable("the cluster did not say whether this impersonation is allowed; try again")
	status.ErrStatus.Details = retryDetails()
	return &unjudged{status: status, cause: f.cause}
}

// unjudged is an error with an inside, the cause, and an outside, the status.
type unjudged struct {
	status *apierrors.StatusError
	cause  error
}

// Error is for the log.
func (u *unjudged) Error() string { return "impersonation: review: " + u.cause.Error() }

// Unwrap yields the status first, so that it is found before any status within the cause.
func (u *unjudged) Unwrap() []error { return []error{u.status, u.cause} }

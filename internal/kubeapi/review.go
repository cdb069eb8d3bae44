package kubeapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// Reviewer asks the cluster what subjects may do. It is safe for concurrent use; the zero value always fails.
type Reviewer struct{ client *rest.RESTClient }

// Reviewer returns the access's reviewer. The gate's account must be allowed to create subjectaccessreviews in the API
// group authorization.k8s.io.
func (a *Access) Reviewer() Reviewer { return Reviewer{a.client} }

// ErrReview is wrapped by every error of Review: no answer was had, and the answer is no.
var ErrReview = errors.New("kubeapi: access review failed")

// Review asks whether the subject of spec may do what spec says, by a SubjectAccessReview, once and without retries. It
// is true only for an answer that allows and does not deny. reason is the cluster's, preceded by its evaluation error
// where that led to a no, as kube-apiserver words it for a client. The context bounds the wait.
func (v Reviewer) Review(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec) (allowed bool, reason string, err error) {
	if v.client == nil {
		return false, "", fmt.Errorf("%w: no client", ErrReview)
	}
	var answer authorizationv1.SubjectAccessReview
	err = v.client.Post().Resource("subjectaccessreviews").MaxRetries(0).
		Body(&authorizationv1.SubjectAccessReview{Spec: spec}).Do(ctx).Into(&answer)
	switch {
	case apierrors.IsForbidden(err):
		return false, "", fmt.Errorf("%w: grant the gate's account create on subjectaccessreviews.authorization.k8s.io: %w", ErrReview, err)
	case err != nil:
		return false, "", fmt.Errorf("%w: %w", ErrReview, err)
	}
	status := answer.Status
	if status.Allowed && !status.Denied {
		return true, status.Reason, nil
	}
	switch reason, problem := status.Reason, status.EvaluationError; {
	case problem != "" && reason != "":
		return false, problem + ": " + reason, nil
	default:
		return false, problem + reason, nil
	}
}

// The reasons for which Probe says that the cluster can't be used.
var (
	// ErrUnreachable: no answer was had; the network, the TLS handshake or the time.
	ErrUnreachable = errors.New("kubeapi: the API server cannot be reached")
	// ErrUnauthorized: the API server does not accept the gate's credential.
	ErrUnauthorized = errors.New("kubeapi: the API server does not accept the gate's credential; renew the one in the kubeconfig")
	// ErrNotReady: the API server answers that it is not ready, or something that no API server says.
	ErrNotReady = errors.New("kubeapi: the API server is not ready")
)

// Probe asks the API server for /readyz with the gate's credential. It returns nil when the server is ready, or when it
// knows the gate and only does not let it see /readyz: an account that may do nothing but impersonate is as it should
// be. Errors wrap ErrUnreachable, ErrUnauthorized or ErrNotReady. The context bounds the wait.
func (a *Access) Probe(ctx context.Context) error {
	_, err := a.client.Get().AbsPath("/readyz").MaxRetries(0).DoRaw(ctx)
	if err == nil {
		return nil
	}
	status, ok := errors.AsType[*apierrors.StatusError](err)
	switch {
	case !ok:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	case status.Status().Code == http.StatusUnauthorized:
		return fmt.Errorf("%w: %w", ErrUnauthorized, err)
	case status.Status().Code == http.StatusForbidden:
		return nil
	default:
		return fmt.Errorf("%w: %w", ErrNotReady, err)
	}
}

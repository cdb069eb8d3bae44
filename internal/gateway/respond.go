package gateway

import (
	"errors"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"

	"github.com/ostiary/ostiary/internal/authn"
)

// The reasons that the gateway itself gives, beside those of authn and policy.
const (
	reasonMalformed     = "malformed"              // a request with two readings
	reasonNoCluster     = "unknown_cluster"        // a path that names no cluster
	reasonImpersonation = "impersonation"          // the caller may not act as that identity
	reasonInexpressible = "inexpressible_identity" // headers would make somebody else of the identity (GW-4)
	reasonWithheld      = "token_withheld"         // an issued token that is not as it must be
	reasonUnreachable   = "cluster_unreachable"    // the API server could not be asked
	reasonClientGone    = "client_gone"            // the client went away first
	reasonCut           = "cut"                    // a stream that the gate ended
)

// refusedBodyTimeout is how long the rest of a refused request's body may take to arrive before its HTTP/1.1
// connection is given up: nobody vouched for the sender.
const refusedBodyTimeout = 5 * time.Second

// refusalTimeout is how long a caller who was not let in may take to read that. An HTTP/2 client decides itself how much
// it wants to be sent, and one that wants nothing would hold the stream, and a connection that should end, for ever.
const refusalTimeout = 5 * time.Second

// responder writes errors as Kubernetes Status objects, encoded as the client asks for (RESP-1, RESP-2).
type responder struct{ codecs serializer.CodecFactory }

// newResponder returns a responder that knows the Status object in all its encodings.
func newResponder() *responder {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return &responder{codecs: serializer.NewCodecFactory(scheme)}
}

// refuse answers with err's Status, and ends the connection of an HTTP/2 client that nobody vouched for (RESP-7): a
// client that may open streams and reset them for free would cost more than it pays. That holds for malformed requests
// too, which are refused before anybody is asked to vouch.
func (rs *responder) refuse(w *writer, r *http.Request, x *exchange, err error) {
	status := statusOf(err)
	if !x.decision.Admitted() {
		w.closing = w.closing || r.ProtoMajor > 1
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(refusalTimeout))
	}
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(time.Now().Add(refusedBodyTimeout))
	}
	header := w.Header()
	header.Set("Audit-Id", x.id)
	header.Set("Cache-Control", "no-cache, private")
	if status.Status().Code == http.StatusForbidden {
		header.Set("X-Content-Type-Options", "nosniff") // RESP-6: the message repeats names of the caller's own choice
	}
	responsewriters.ErrorNegotiated(status, rs.codecs, schema.GroupVersion{Version: "v1"}, w, r)
}

// statusOf is the outside of an error: the Status it brings along, or an internal error that says nothing.
func statusOf(err error) *apierrors.StatusError {
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return status
	}
	return apierrors.NewInternalError(errors.New("see the gate's log"))
}

// unauthorized is the one answer to every caller who was not let in; it never says why (RESP-1).
func unauthorized() *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnauthorized,
		Reason: metav1.StatusReasonUnauthorized, Message: "Unauthorized",
	}}
}

// heldBack is the answer to a caller whose token was not looked at, because too many wrong ones came from where it comes
// from. It says until when, and nothing about whether there is such a credential. client-go asks again by itself, ten
// times, where it is told after how many seconds; so only those are told whom that helps.
func heldBack(locked *authn.LockedError, source string) *apierrors.StatusError {
	status := &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusTooManyRequests, Reason: metav1.StatusReasonTooManyRequests,
	}}
	if locked.Until.IsZero() {
		status.ErrStatus.Message = "too many attempts to authenticate come from " + source + "; please try again"
		status.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
		return status
	}
	status.ErrStatus.Message = "too many failed attempts to authenticate came from " + source + ": no more are looked at until " +
		locked.Until.UTC().Truncate(time.Second).Add(time.Second).Format(time.RFC3339)
	return status
}

// shutOut is the answer to a caller who was not let in: unauthorized, or that asking again may help where nobody could
// say. client-go asks again by itself.
func shutOut(reason authn.Reason) *apierrors.StatusError {
	if reason != authn.ReasonUnavailable {
		return unauthorized()
	}
	status := apierrors.NewServiceUnavailable("the gate cannot tell whether the credential is still good: its ledger cannot be read; please try again")
	status.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	return status
}

// malformed tells a client what about its request cannot be forwarded.
func malformed(err error) *apierrors.StatusError { return apierrors.NewBadRequest(err.Error()) }

// unknownCluster answers authenticated callers whose path names no cluster.
func unknownCluster() *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
		Message: "the path names a cluster that this gate does not serve",
	}}
}

// confined answers callers whose credential is not meant for what they ask.
func confined() *apierrors.StatusError {
	return apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("the credential may not be used for this request"))
}

// inexpressible answers callers whose identity no header can carry unchanged.
func inexpressible() *apierrors.StatusError {
	return apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("the identity cannot be handed on to the cluster"))
}

// withheld answers callers whose token was issued otherwise than the gate asked for.
func withheld() *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusBadGateway, Reason: metav1.StatusReasonInternalError,
		Message: "the API server issued a token that lives longer than is allowed, or that cannot be read; it is withheld",
	}}
}

// unreachable answers when the API server cannot be asked. Which address failed, and how, is for the log.
func unreachable(cluster string) *apierrors.StatusError {
	status := apierrors.NewServiceUnavailable("the API server of cluster " + cluster + " cannot be reached by the gate")
	status.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	return status
}

package impersonation

import (
	"encoding/json"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// retryAfterSeconds is when a client may ask again after the cluster gave no answer.
const retryAfterSeconds = 1

func retryDetails() *metav1.StatusDetails {
	return &metav1.StatusDetails{RetryAfterSeconds: retryAfterSeconds}
}

// newStatusCodecs returns codecs that know the Status object and nothing else. The question has no Accept header, so
// they are asked for JSON.
func newStatusCodecs() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return serializer.NewCodecFactory(scheme).WithoutConversion()
}

// answer catches what the upstream filter writes for a client: the Status of its refusal.
type answer struct {
	header http.Header
	code   int
	body   []byte
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = make(http.Header)
	}
	return a.header
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, p...)
	return len(p), nil
}

// status reads the answer back. Whatever is not the Status of a refusal, an empty answer included, becomes an internal
// error: there is no answer that lets anybody in.
func (a *answer) status() error {
	var status metav1.Status
	err := json.Unmarshal(a.body, &status)
	if err != nil || status.Status != metav1.StatusFailure || status.Code < http.StatusBadRequest {
		return apierrors.NewInternalError(errors.New("the impersonation could not be judged"))
	}
	status.TypeMeta = metav1.TypeMeta{} // as apierrors makes them
	return &apierrors.StatusError{ErrStatus: status}
}

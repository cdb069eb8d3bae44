package kubeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/secret"
)

// maxDocumentBytes bounds what Document reads: a JWKS of a thousand keys has less.
const maxDocumentBytes = 1 << 20

// ErrTokenReview is wrapped by every error of ReviewToken: no answer was had.
var ErrTokenReview = errors.New("kubeapi: token review failed")

// ReviewToken asks the cluster about a token by a TokenReview, once and without retries (TR-1). Empty audiences mean the
// cluster's own. The gate's account must be allowed to create tokenreviews in the API group authentication.k8s.io. The
// context bounds the wait.
func (a *Access) ReviewToken(ctx context.Context, token secret.String, audiences []string) (*authenticationv1.TokenReviewStatus, error) {
	var answer authenticationv1.TokenReview
	err := a.authentication.Post().Resource("tokenreviews").MaxRetries(0).
		Body(&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.Reveal(), Audiences: audiences}}).
		Do(ctx).Into(&answer)
	switch {
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("%w: grant the gate's account create on tokenreviews.authentication.k8s.io: %w", ErrTokenReview, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrTokenReview, err)
	}
	return &answer.Status, nil
}

// SecretMetadata returns a Secret's metadata, without what it holds. The gate's account must be allowed to get it. Errors
// are those of the API server; apierrors.IsNotFound tells that there is none.
func (a *Access) SecretMetadata(ctx context.Context, namespace, name string) (*metav1.ObjectMeta, error) {
	body, err := a.core.Get().Namespace(namespace).Resource("secrets").Name(name).MaxRetries(0).
		SetHeader("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("kubeapi: metadata of Secret %s/%s: %w", namespace, name, err)
	}
	var found metav1.PartialObjectMetadata
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, fmt.Errorf("kubeapi: metadata of Secret %s/%s: %w", namespace, name, err)
	}
	if found.Kind != "PartialObjectMetadata" {
		return nil, fmt.Errorf("kubeapi: metadata of Secret %s/%s: the API server sent a %s", namespace, name, found.Kind)
	}
	return &found.ObjectMeta, nil
}

// Document fetches a path that is no resource, such as /openid/v1/jwks.
func (a *Access) Document(ctx context.Context, path string) ([]byte, error) {
	stream, err := a.client.Get().AbsPath(path).MaxRetries(0).SetHeader("Accept", "application/json, application/jwk-set+json").Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("kubeapi: get %s: %w", path, err)
	}
	defer func() { _ = stream.Close() }()
	body, err := io.ReadAll(io.LimitReader(stream, maxDocumentBytes+1))
	if err != nil {
		return nil, fmt.Errorf("kubeapi: get %s: %w", path, err)
	}
	if len(body) > maxDocumentBytes {
		return nil, fmt.Errorf("kubeapi: get %s: more than %d bytes", path, maxDocumentBytes)
	}
	return body, nil
}

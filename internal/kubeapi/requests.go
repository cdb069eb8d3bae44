package kubeapi

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"
)

// WatchSigned hands to each every CertificateSigningRequest that has a certificate, and those that get one, until ctx ends. It
// may hand on one of them more than once, never two at a time. The gate's account must be allowed to list and watch
// certificatesigningrequests.
func WatchSigned(ctx context.Context, a *Access, each func(*certificatesv1.CertificateSigningRequest)) {
	source := cache.NewListWatchFromClient(a.certificates, "certificatesigningrequests", "", fields.Everything())
	reflector := cache.NewReflectorWithOptions(source, &certificatesv1.CertificateSigningRequest{}, signed(each), cache.ReflectorOptions{Name: "certificate signing requests"})
	go reflector.RunWithContext(ctx)
}

// signed passes on the requests that have a certificate, and keeps none.
type signed func(*certificatesv1.CertificateSigningRequest)

// Add implements cache.ReflectorStore.
func (s signed) Add(object any) error {
	if request, ok := object.(*certificatesv1.CertificateSigningRequest); ok && len(request.Status.Certificate) > 0 {
		s(request)
	}
	return nil
}

// Update implements cache.ReflectorStore.
func (s signed) Update(object any) error { return s.Add(object) }

// Delete implements cache.ReflectorStore: what was signed stays good.
func (signed) Delete(any) error { return nil }

// Replace implements cache.ReflectorStore.
func (s signed) Replace(objects []any, _ string) error {
	for _, object := range objects {
		_ = s.Add(object)
	}
	return nil
}

// Resync implements cache.ReflectorStore.
func (signed) Resync() error { return nil }

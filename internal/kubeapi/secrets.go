package kubeapi

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"
)

// SecretWatch follows the Secrets of one type in one namespace. It keeps what a function made of them, and no Secret.
// It is safe for concurrent use. Make one with WatchSecrets.
type SecretWatch[T any] struct {
	of      func(*corev1.Secret) T
	changed func(all []T)
	mu      sync.Mutex
	records map[string]T // by name
	synced  atomic.Bool
}

// WatchSecrets follows the Secrets of the given type in namespace until ctx ends, and starts at once. The gate's account
// must be allowed to get, list and watch Secrets there. of makes of a Secret what is kept of it; changed is told of all that
// is kept after every change, one call at a time.
func WatchSecrets[T any](ctx context.Context, a *Access, namespace string, kind corev1.SecretType, of func(*corev1.Secret) T, changed func(all []T)) *SecretWatch[T] {
	w := &SecretWatch[T]{of: of, changed: changed, records: make(map[string]T)}
	source := cache.NewListWatchFromClient(a.core, "secrets", namespace, fields.OneTermEqualSelector("type", string(kind)))
	reflector := cache.NewReflectorWithOptions(source, &corev1.Secret{}, w, cache.ReflectorOptions{Name: namespace + " Secrets of type " + string(kind)})
	go reflector.RunWithContext(ctx)
	return w
}

// tell tells of what is kept. The watch must be locked. Until the cluster was heard in full there is nothing to tell.
func (w *SecretWatch[T]) tell() {
	if w.synced.Load() {
		w.changed(slices.Collect(maps.Values(w.records)))
	}
}

// Synced reports whether the cluster has been heard.
func (w *SecretWatch[T]) Synced() bool { return w.synced.Load() }

// Add implements cache.ReflectorStore.
func (w *SecretWatch[T]) Add(object any) error {
	if found, ok := object.(*corev1.Secret); ok {
		record := w.of(found)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.records[found.Name] = record
		w.tell()
	}
	return nil
}

// Update implements cache.ReflectorStore.
func (w *SecretWatch[T]) Update(object any) error { return w.Add(object) }

// Delete implements cache.ReflectorStore.
func (w *SecretWatch[T]) Delete(object any) error {
	if found, ok := object.(*corev1.Secret); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.records, found.Name)
		w.tell()
	}
	return nil
}

// Replace implements cache.ReflectorStore.
func (w *SecretWatch[T]) Replace(objects []any, _ string) error {
	records := make(map[string]T, len(objects))
	for _, object := range objects {
		if found, ok := object.(*corev1.Secret); ok {
			records[found.Name] = w.of(found)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = records
	w.changed(slices.Collect(maps.Values(records)))
	w.synced.Store(true)
	return nil
}

// Resync implements cache.ReflectorStore.
func (*SecretWatch[T]) Resync() error { return nil }

// CreateSecret makes a Secret, once and without retries. The gate's account must be allowed to create Secrets in its namespace.
func (a *Access) CreateSecret(ctx context.Context, made *corev1.Secret) error {
	err := a.core.Post().Namespace(made.Namespace).Resource("secrets").MaxRetries(0).Body(made).Do(ctx).Error()
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("grant the gate's account create on secrets in namespace %s: %w", made.Namespace, err)
	}
	return err
}

//nolint:thelper // these are tests, only not in a test file: a failure is to name its own line, not its caller's
package scenario

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/ostiary/ostiary/e2e/internal/stage"
)

func (r *run) informer(t *testing.T) {
	ctx := stage.Within(t)
	factory := informers.NewSharedInformerFactoryWithOptions(r.client, 0, informers.WithNamespace(r.namespace))
	seen := make(chan string, 1000) // more than the namespace ever holds
	informer := factory.Core().V1().ConfigMaps().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { seen <- "added " + o.(metav1.Object).GetName() },
		UpdateFunc: func(_, o any) { seen <- "updated " + o.(metav1.Object).GetName() },
		DeleteFunc: func(any) { seen <- "deleted" },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(ctx)
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	defer stop()
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		t.Fatal("the informer did not get in step in time")
	}
	await := func(want string) {
		t.Helper()
		for {
			select {
			case got := <-seen:
				if got == want {
					return
				}
			case <-ctx.Done():
				t.Fatalf("the informer did not see %q in time", want)
			}
		}
	}
	maps := r.client.CoreV1().ConfigMaps(r.namespace)
	made, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "informed"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	await("added informed")
	made.Data = map[string]string{"key": "changed"}
	if _, err := maps.Update(ctx, made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await("updated informed")
	if err := maps.Delete(ctx, "informed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await("deleted")
}

// leaderElection has two candidates: the second leads when the first lets go.
func (r *run) leaderElection(t *testing.T) {
	ctx := stage.Within(t)
	leading := make(chan string, 2)
	stop := map[string]context.CancelFunc{}
	var candidates sync.WaitGroup
	start := func(name string) {
		ctx, cancel := context.WithCancel(ctx)
		stop[name] = cancel
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: r.namespace, Name: "leader"},
				Client:     r.client.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: name},
			},
			LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 200 * time.Millisecond,
			ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { leading <- name },
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		candidates.Go(func() { elector.Run(ctx) })
	}
	await := func(want string) {
		t.Helper()
		select {
		case got := <-leading:
			if got != want {
				t.Fatalf("%s leads, want %s", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("%s did not lead in time", want)
		}
	}
	start("first")
	await("first")
	start("second")
	stop["first"]()
	await("second")
	stop["second"]()
	candidates.Wait()
}

// protocols lists over HTTP/2 and over HTTP/1.1 and looks at which it was.
func (r *run) protocols(t *testing.T) {
	for _, tt := range []struct {
		name  string
		next  []string
		major int
	}{
		{"HTTP 2", nil, 2},
		{"HTTP 1.1", []string{"http/1.1"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := rest.CopyConfig(r.config)
			config.NextProtos = tt.next
			majors := make(chan int, 1)
			config.Wrap(func(next http.RoundTripper) http.RoundTripper {
				return roundTripper(func(q *http.Request) (*http.Response, error) {
					response, err := next.RoundTrip(q)
					if err == nil {
						majors <- response.ProtoMajor
					}
					return response, err
				})
			})
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.CoreV1().ConfigMaps(r.namespace).List(stage.Within(t), metav1.ListOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := <-majors; got != tt.major {
				t.Errorf("HTTP/%d was spoken, want HTTP/%d", got, tt.major)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip makes one request.
func (f roundTripper) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

// manyWatches opens more watches of one object than one connection carries, changes it once and wants as many events.
func (r *run) manyWatches(t *testing.T) {
	watches := stage.Count(300, 500)
	ctx := stage.Within(t)
	maps := r.client.CoreV1().ConfigMaps(r.namespace)
	made, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "watched"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	options := metav1.ListOptions{
		// "0" has each watch begin with the object as it is, which shows that it is open.
		FieldSelector: fields.OneTermEqualSelector("metadata.name", "watched").String(), ResourceVersion: "0",
	}
	errs := make(chan error, 2*watches)
	var opened, changed sync.WaitGroup
	opened.Add(watches)
	for range watches {
		changed.Go(func() {
			var once sync.Once
			isOpen := func() { once.Do(opened.Done) }
			defer isOpen() // a failure must not leave the test waiting
			errs <- watchOnce(ctx, func() (apiwatch.Interface, error) { return maps.Watch(ctx, options) }, isOpen)
		})
	}
	opened.Wait()
	made.Data = map[string]string{"key": "changed"}
	if _, err := maps.Update(ctx, made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	changed.Wait()
	close(errs)
	failed := 0
	for err := range errs {
		if err != nil {
			if failed == 0 {
				t.Errorf("a watch: %v", err)
			}
			failed++
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d watches did not see the change", failed, watches)
	}
}

// watchOnce opens a watch and follows it until it shows the change.
func watchOnce(ctx context.Context, open func() (apiwatch.Interface, error), isOpen func()) error {
	watcher, err := open()
	if err != nil {
		return err
	}
	defer watcher.Stop()
	for {
		select {
		case event, ok := <-watcher.ResultChan():
			switch {
			case !ok:
				return fmt.Errorf("ended early")
			case event.Type == apiwatch.Added:
				isOpen()
			case event.Type == apiwatch.Modified:
				return nil
			default:
				return fmt.Errorf("event %s: %v", event.Type, event.Object)
			}
		case <-ctx.Done():
			return fmt.Errorf("no change in time: %w", context.Cause(ctx))
		}
	}
}

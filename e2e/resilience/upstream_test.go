package resilience_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// patience is how long clients wait for a frozen cluster, and patienceGrace what a slow machine may add.
	patience      = 2 * time.Second
	patienceGrace = time.Second
	// frozenCallers is how many ask a frozen cluster at the same time; one in plainEvery does so with a plain read, which
	// may leave a connection to be kept.
	frozenCallers = 80
	plainEvery    = 10
	// spareGoroutines is by how much the number of goroutines may differ between two quiet moments: two for each
	// connection that is kept, a probe under way. It is less than one for each request.
	spareGoroutines = 2*frozenCallers/plainEvery + 30
)

// metric reads a number.
func (h *house) metric(ctx context.Context, t *testing.T, series string) int {
	t.Helper()
	metrics, err := h.Metrics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\d+)$`).FindStringSubmatch(metrics)
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (h *house) ready(ctx context.Context) bool {
	status, _, err := h.Admin(ctx, "/readyz")
	return err == nil && status == http.StatusOK
}

// TestUpstreamLoss freezes the API server, kills it, and lets it come back. It must not run beside other tests.
func TestUpstreamLoss(t *testing.T) {
	houses := map[string]*house{requestHeader: open(t, requestHeader), impersonation: open(t, impersonation)}
	apiServer, err := shared.plane.APIServer()
	if err != nil {
		t.Fatal(err)
	}
	each := func(t *testing.T, test func(*testing.T, *house)) {
		t.Helper()
		var all sync.WaitGroup
		for mode, h := range houses {
			all.Go(func() {
				t.Run(mode, func(t *testing.T) { test(t, h) })
			})
		}
		all.Wait()
	}
	before := map[*house]int{}
	for _, h := range houses {
		if c := newCaller(t, "before", h.Access().WithToken(h.staticToken), false); !c.admitted(t.Context()) {
			t.Fatal("not let in before anything happened")
		}
		before[h] = h.metric(t.Context(), t, "go_goroutines")
	}

	if err := apiServer.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	thaw := sync.OnceFunc(func() { _ = apiServer.Signal(syscall.SIGCONT) })
	defer thaw()
	t.Run("frozen", func(t *testing.T) { each(t, askFrozen) })
	thaw()
	t.Run("thawed", func(t *testing.T) {
		each(t, func(t *testing.T, h *house) {
			stage.Await(t, "/readyz to say yes", h.ready)
			stage.Await(t, "requests to be answered", newCaller(t, "after", h.Access().WithToken(h.staticToken), false).admitted)
			stage.Await(t, "the goroutines to end", func(ctx context.Context) bool {
				return h.metric(ctx, t, "go_goroutines") <= before[h]+spareGoroutines
			})
		})
	})

	watches := map[*house]func(){}
	for _, h := range houses {
		watching, err := h.clientset(t).CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		watches[h] = func() {
			for range watching.ResultChan() { // until it ends
			}
		}
	}
	if err := apiServer.Kill(); err != nil {
		t.Fatal(err)
	}
	t.Run("killed", func(t *testing.T) {
		each(t, func(t *testing.T, h *house) {
			askKilled(t, h)
			watches[h]()
			stage.Await(t, "the streams to end", func(ctx context.Context) bool { return h.metric(ctx, t, `ostiary_streams{cluster="prod"}`) == 0 })
		})
	})
	if err := shared.plane.RestartAPIServer(stage.Within(t)); err != nil {
		t.Fatal(err)
	}
	t.Run("restarted", func(t *testing.T) {
		each(t, func(t *testing.T, h *house) {
			took := stage.Await(t, "requests to be answered", newCaller(t, "after", h.Access().WithToken(h.staticToken), true).admitted)
			t.Logf("answered %s after the API server was ready", took.Round(time.Millisecond))
			stage.Await(t, "/readyz to say yes", h.ready)
			if _, err := h.clientset(t).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); err != nil {
				t.Error(err)
			}
		})
	})
}

// askFrozen asks a cluster that takes connections and says nothing: the client's own deadline holds, and nothing of its
// requests is left.
func askFrozen(t *testing.T, h *house) {
	c := newCaller(t, "frozen", h.Access().WithToken(h.staticToken), true)
	var all sync.WaitGroup
	for i := range frozenCallers {
		path := "/api/v1/namespaces/default/configmaps"
		if i%plainEvery != 0 {
			path += "?watch=1"
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			began := time.Now()
			status, _, content, err := c.do(ctx, http.MethodGet, path, "")
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > patience+patienceGrace {
				t.Errorf("%s: %d %s %v after %s", path, status, content, err, took)
			}
		})
	}
	all.Wait()
	stage.Await(t, "the streams to end", func(ctx context.Context) bool { return h.metric(ctx, t, `ostiary_streams{cluster="prod"}`) == 0 })
	took := stage.Await(t, "/readyz to say no", func(ctx context.Context) bool { return !h.ready(ctx) })
	t.Logf("/readyz said no %s after the requests", took.Round(time.Millisecond))
	// Who has no credential is told so all the same.
	if !newCaller(t, "nobody", h.Access(), true).refused(t.Context()) {
		t.Error("a caller without a credential is not refused")
	}
}

// askKilled asks a cluster that is not there: every answer says so, and when to ask again.
func askKilled(t *testing.T, h *house) {
	c := newCaller(t, "killed", h.Access().WithToken(h.staticToken), true)
	for _, path := range []string{"/api", "/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/configmaps?watch=1", "/api/v1/namespaces/default/pods/target/log"} {
		status, header, content, err := c.do(t.Context(), http.MethodGet, path, "")
		var said metav1.Status
		if err != nil || json.Unmarshal([]byte(content), &said) != nil {
			t.Fatalf("%s: %q, %v", path, content, err)
		}
		if status != http.StatusServiceUnavailable || said.Reason != metav1.StatusReasonServiceUnavailable || header.Get("Retry-After") == "" {
			t.Errorf("%s: status %d, Retry-After %q: %+v", path, status, header.Get("Retry-After"), said)
		}
	}
	status, _, _, err := c.do(t.Context(), http.MethodPost, "/apis/authentication.k8s.io/v1/selfsubjectreviews", reviewBody)
	if err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("a request with a body: %d %v", status, err)
	}
	if !newCaller(t, "nobody", h.Access(), true).refused(t.Context()) {
		t.Error("a caller without a credential is not refused")
	}
	stage.Await(t, "/readyz to say no", func(ctx context.Context) bool { return !h.ready(ctx) })
}

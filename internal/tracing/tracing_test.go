package tracing_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/tracing"
)

// TestSpansReachTheCollectorAndTheCluster sends one traced request through and looks at both ends.
func TestSpansReachTheCollectorAndTheCluster(t *testing.T) {
	t.Parallel()
	var (
		mu       sync.Mutex
		received bytes.Buffer
		parent   string
	)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.Copy(&received, r.Body)
	}))
	defer collector.Close()
	cluster := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		parent = r.Header.Get("Traceparent")
	}))
	defer cluster.Close()
	endpoint, err := url.Parse(collector.URL)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := tracing.New(t.Context(), &config.CheckedTracing{Endpoint: endpoint, SamplingPerMillion: 1_000_000}, "v1")
	if err != nil {
		t.Fatal(err)
	}
	plain := &http.Transport{}
	defer plain.CloseIdleConnections()
	transport := provider.Transport(plain)
	handler := provider.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		out, err := http.NewRequestWithContext(r.Context(), http.MethodGet, cluster.URL+"/exec?command=pr1vate-argument", http.NoBody)
		if err != nil {
			t.Error(err)
			return
		}
		response, err := transport.RoundTrip(out)
		if err != nil {
			t.Error(err)
			return
		}
		_ = response.Body.Close()
	}))
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/namespaces/secret-project/pods?fieldSelector=pr1vate-selector", http.NoBody)
	request.Header.Set("Authorization", "Bearer s3cr3t-token")
	request.Header.Set("User-Agent", "pr1vate-agent")
	request.Header.Set("X-Forwarded-For", "pr1vate-source")
	handler.ServeHTTP(httptest.NewRecorder(), request)
	provider.Shutdown(t.Context())

	mu.Lock()
	defer mu.Unlock()
	if !strings.HasPrefix(parent, "00-") {
		t.Errorf("the cluster saw traceparent %q", parent)
	}
	if !strings.Contains(received.String(), "ostiary") {
		t.Error("the collector got no span of the service")
	}
	for _, private := range []string{"s3cr3t-token", "pr1vate-argument", "pr1vate-selector", "pr1vate-agent", "pr1vate-source"} {
		if strings.Contains(received.String(), private) {
			t.Errorf("a span holds %q", private)
		}
	}
}

// TestNoProviderChangesNothing: without a configuration there is nothing in the way.
func TestNoProviderChangesNothing(t *testing.T) {
	t.Parallel()
	provider, err := tracing.New(t.Context(), nil, "v1")
	if err != nil || provider != nil {
		t.Fatalf("%v %v", provider, err)
	}
	plain := &http.Transport{}
	if got := provider.Transport(plain); got != http.RoundTripper(plain) {
		t.Error("the transport is wrapped")
	}
	provider.Shutdown(t.Context())
}

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/metrics"
)

const (
	// probeEvery is how often each API server is asked whether it is there. Half of the ten seconds after which a
	// kubelet's readiness probe looks again by default.
	probeEvery = 5 * time.Second
	// probeTimeout bounds one probe.
	probeTimeout = 4 * time.Second
	// probeBodyBytes is how much of an answer is read, so that its connection can be used again.
	probeBodyBytes = 4 << 10
)

// probes knows which API servers answer. It is safe for concurrent use.
type probes struct {
	metrics *metrics.Metrics
	logger  *slog.Logger
	changed chan struct{}

	mu       sync.Mutex
	clusters []*upstream
	outcome  map[*upstream]error
}

// errNotProbed is the state of a cluster that nobody has asked yet.
var errNotProbed = errors.New("not asked yet")

func newProbes(m *metrics.Metrics, logger *slog.Logger) *probes {
	return &probes{metrics: m, logger: logger, changed: make(chan struct{}, 1), outcome: make(map[*upstream]error)}
}

// watch changes the clusters to probe; what is known of those that stay is kept.
func (p *probes) watch(clusters []*upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := make(map[*upstream]error, len(clusters))
	for _, cluster := range clusters {
		known[cluster] = errNotProbed
		if outcome, ok := p.outcome[cluster]; ok {
			known[cluster] = outcome
		}
	}
	p.clusters, p.outcome = clusters, known
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// run probes until ctx ends.
func (p *probes) run(ctx context.Context) error {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		p.probeAll(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-p.changed:
		}
	}
}

// probeAll asks every cluster at the same time.
func (p *probes) probeAll(ctx context.Context) {
	p.mu.Lock()
	clusters := p.clusters
	p.mu.Unlock()
	var group sync.WaitGroup
	for _, cluster := range clusters {
		group.Go(func() { p.note(cluster, probe(ctx, cluster)) })
	}
	group.Wait()
}

// note keeps an outcome, and logs it when it is news.
func (p *probes) note(cluster *upstream, err error) {
	name := cluster.gateway.Name
	p.mu.Lock()
	before, current := p.outcome[cluster]
	if current {
		p.outcome[cluster] = err
	}
	p.mu.Unlock()
	if !current {
		return
	}
	p.metrics.ClusterUp(name, err == nil)
	switch {
	case err != nil && (before == nil || errors.Is(before, errNotProbed)):
		p.logger.Error("cluster is not available", slog.String("cluster", name), slog.String("cause", err.Error()))
	case err == nil && before != nil:
		p.logger.Info("cluster is available", slog.String("cluster", name))
	}
}

// ready returns nil if at least one cluster answers, and all their errors otherwise.
func (p *probes) ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	errs := make([]error, 0, len(p.clusters))
	for _, cluster := range p.clusters {
		err := p.outcome[cluster]
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("cluster %s: %w", cluster.gateway.Name, err))
	}
	return errors.Join(errs...)
}

// probe asks an API server, as system:anonymous in the cluster's own identity mode, whether it lives. Being let in or
// being forbidden both show that it is there and takes identities from the gate; 401 shows that it does not.
func probe(ctx context.Context, cluster *upstream) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cluster.gateway.Server.JoinPath("livez").String(), http.NoBody)
	if err != nil {
		return err
	}
	nobody := &identity.Identity{Username: identity.Anonymous, Groups: []string{identity.GroupUnauthenticated}}
	if err := cluster.gateway.Assert(request.Header, nobody); err != nil {
		return err
	}
	response, err := cluster.gateway.HTTP2.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, probeBodyBytes)
	switch {
	case response.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("the API server does not take identities from the gate (401): in %s mode it must trust the gate's credential", cluster.gateway.Mode)
	case response.StatusCode >= http.StatusInternalServerError:
		return fmt.Errorf("the API server answers %s", response.Status)
	default:
		return nil
	}
}

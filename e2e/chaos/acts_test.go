//go:build linux

package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ostiary/ostiary/e2e/chaos"
	"github.com/ostiary/ostiary/e2e/internal/gate"
)

const (
	// useTimeout bounds one use of a credential: a replica that is stopped does not answer.
	useTimeout = time.Second
	// actTimeout bounds a change of the ledger: more than the longest time that a replica is stopped.
	actTimeout = 50 * time.Second

	revocationsPath = "/apis/ostiary.dev/v1alpha1/revocations"
)

// verdict is how a use of a credential ended. The zero value is that nobody knows.
type verdict int

const (
	noAnswer    verdict = iota
	unavailable         // 503
	refused             // 401
	accepted            // anything else: the gate let it in, whatever the cluster said
)

// use presents a credential at a replica, and notes what came of it.
func (s *site) use(ctx context.Context, p *person, c *credential, r *replica) verdict {
	ctx, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	begin, d := s.now(), r.door.Load()
	ready := d.ready.Load()
	status, _, err := d.request(ctx, c, http.MethodGet, "/version", nil)
	end, v := s.now(), accepted
	switch {
	case err != nil:
		v = noAnswer
	case status == http.StatusServiceUnavailable:
		v = unavailable
	case status == http.StatusUnauthorized && c.name == "jwt" && !ready:
		v = unavailable
	case status == http.StatusUnauthorized:
		v = refused
	}
	s.counts.used(v)
	if v == refused || v == accepted {
		s.history.Add(chaos.Event{
			Kind: chaos.Use, Person: p.name, Credential: c.name, Replica: r.index, Accepted: v == accepted, Begin: begin, End: end,
			Note: fmt.Sprintf("status %d", status),
		})
	}
	return v
}

// request sends a request and reads its answer. A nil credential is the guard's.
func (d *door) request(ctx context.Context, c *credential, method, path string, body any) (status int, answer []byte, err error) {
	reader, token := io.Reader(http.NoBody), guardToken
	if body != nil {
		content, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		reader = bytes.NewReader(content)
	}
	request, err := http.NewRequestWithContext(ctx, method, d.gate.URL+path, reader)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if c != nil {
		token = c.token
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := d.client(c).Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// outcome is how a change of the ledger ended. The zero value is that nobody knows.
type outcome int

const (
	unknown outcome = iota
	never
	done
)

// made is the answer to a change that was made.
type made struct {
	Metadata struct{ Name string }
	Spec     struct{ Reason string }
	Status   struct {
		Lifted  *struct{ Reason string }
		InForce struct {
			Complete         bool
			TookMilliseconds float64
			StreamsCut       int
			Replicas         []struct{ Name, State string }
		}
	}
}

// act changes the ledger through a door.
func (s *site) act(ctx context.Context, d *door, path string, body any) (outcome, *made, error) {
	ctx, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	began := time.Now()
	status, content, err := d.request(ctx, nil, http.MethodPost, path, body)
	took := time.Since(began)
	var refusal *net.OpError
	switch {
	case errors.As(err, &refusal) && refusal.Op == "dial":
		return never, nil, err
	case err != nil:
		return unknown, nil, err
	case status == http.StatusOK || status == http.StatusCreated:
		var answer made
		if err := json.Unmarshal(content, &answer); err != nil {
			return unknown, nil, err
		}
		s.counts.acted(took, &answer)
		return done, &answer, nil
	case status == http.StatusInternalServerError || status == http.StatusBadGateway:
		return unknown, nil, fmt.Errorf("status %d: %s", status, content)
	default: // it was refused before anything was done
		return never, nil, fmt.Errorf("status %d: %s", status, content)
	}
}

// revocationOf is a request for a revocation.
func revocationOf(target gate.Object, scope, reason string) gate.Object {
	spec := gate.Object{"target": target, "reason": reason}
	if scope != "" {
		spec["scope"] = scope
	}
	return gate.Object{"apiVersion": "ostiary.dev/v1alpha1", "kind": "Revocation", "spec": spec}
}

// liftPath and liftOf are the request for the end of one.
func liftPath(name string) string { return revocationsPath + "/" + name + "/lift" }

func liftOf(reason string) gate.Object {
	return gate.Object{"apiVersion": "ostiary.dev/v1alpha1", "kind": "Lift", "reason": reason}
}

// list are all revocations, those that were lifted too if past is set, by whichever replica answers.
func (s *site) list(ctx context.Context, past bool) ([]made, error) {
	var errs []error
	for _, r := range s.replicas {
		all, err := r.door.Load().list(ctx, past)
		if err == nil {
			return all, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (d *door) list(ctx context.Context, past bool) ([]made, error) {
	ctx, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	var all []made
	for next := ""; ; {
		path := fmt.Sprintf("%s?limit=1000&past=%t&continue=%s", revocationsPath, past, next)
		status, content, err := d.request(ctx, nil, http.MethodGet, path, nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Metadata struct{ Continue string }
			Items    []made
		}
		if status != http.StatusOK {
			return nil, fmt.Errorf("list revocations: status %d: %s", status, content)
		}
		if err := json.Unmarshal(content, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if next = page.Metadata.Continue; next == "" {
			return all, nil
		}
	}
}

// counts are the figures of a run. The zero value is ready; it is safe for concurrent use.
type counts struct {
	mu                        sync.Mutex
	uses                      [accepted + 1]int
	applied, fenced           []time.Duration // how long changes took to be in force
	unknowns, nevers, retired int
	streams                   []time.Duration // how long after the answer they ended
	faults                    map[string]int
}

func (c *counts) used(v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uses[v]++
}

func (c *counts) acted(took time.Duration, answer *made) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer.Status.InForce.Complete {
		c.applied = append(c.applied, took)
	} else {
		c.fenced = append(c.fenced, took)
	}
}

func (c *counts) add(what *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*what++
}

func (c *counts) fault(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults == nil {
		c.faults = make(map[string]int)
	}
	c.faults[name]++
}

// distribution shows durations as people compare them.
func distribution(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	sorted := slices.Sorted(slices.Values(all))
	at := func(percent int) time.Duration {
		return sorted[(len(sorted)-1)*percent/100].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("%d: p50 %s, p99 %s, max %s", len(sorted), at(50), at(99), at(100))
}

// String shows the figures.
func (c *counts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf(`uses: %d accepted, %d refused, %d answered with 503, %d without an answer
changes applied everywhere, by the time of their answer: %s
changes with a replica fenced:                           %s
changes of unknown outcome: %d, that did nothing: %d; persons left alone because of it: %d
streams that ended, by the time after the answer: %s
faults: %v`, c.uses[accepted], c.uses[refused], c.uses[unavailable], c.uses[noAnswer],
		distribution(c.applied), distribution(c.fenced), c.unknowns, c.nevers, c.retired, distribution(c.streams), c.faults)
}

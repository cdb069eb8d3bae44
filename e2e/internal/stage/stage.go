// Package stage sets up what all tests of an end-to-end package use, runs them, and takes it down again: a TestMain says
// what it needs, and this package in which order it ends. It holds what tests wait with, too.
package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubelet"
	"github.com/ostiary/ostiary/e2e/internal/minter"
)

// LongVariable is the environment variable that, when "1", has tests do as much as before a release: see Count.
const LongVariable = "OSTIARY_E2E_LONG"

const (
	// Deadline bounds waits that end by themselves in a moment: minutes, as it is there for what hangs, and a busy machine
	// must not reach it. What Ostiary promises to do in time is bounded where it is tested, by the promise.
	Deadline = 3 * time.Minute
	// pollInterval is how often a state is asked for again.
	pollInterval = 10 * time.Millisecond
)

// Stage is what the tests of one package share. It is used by one goroutine, before the tests run.
type Stage struct {
	// Paths are the programs.
	Paths binaries.Paths

	ends  []func() error
	gates []*gate.Gate
}

// Main builds programs, has set start what the tests share, runs the tests, stops everything in the reverse order of its
// start, and ends the process: with 1 where a start or an end failed.
func Main(m *testing.M, programs []binaries.Program, set func(context.Context, *Stage) error) {
	// The normal end of streams is an error to Kubernetes' libraries, which would tell of it.
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	status, err := run(context.Background(), m, programs, set) //nolint:forbidigo // a TestMain has no context
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status) //nolint:forbidigo // the end of a TestMain
}

func run(ctx context.Context, m *testing.M, programs []binaries.Program, set func(context.Context, *Stage) error) (status int, err error) {
	s := &Stage{}
	if s.Paths, err = binaries.FromEnvironment(os.Stderr).Build(ctx, programs...); err != nil {
		return 1, err
	}
	defer func() {
		for _, end := range slices.Backward(s.ends) {
			err = errors.Join(err, end())
		}
	}()
	if err := set(ctx, s); err != nil {
		return 1, err
	}
	if status = m.Run(); status != 0 {
		s.tellFaults()
	}
	return status, nil
}

// tellFaults prints what gates could not do: a test that failed for that knows the answer to the client alone.
func (s *Stage) tellFaults() {
	for _, g := range s.gates {
		lines, err := g.AccessLog()
		for _, l := range lines {
			if l.Status >= http.StatusInternalServerError {
				_, _ = fmt.Fprintf(os.Stderr, "%s %s: %s %s of %s: %d (%s): %s\n", l.Time.Format(time.TimeOnly), g.URL, l.Method, l.Path, l.User, l.Status, l.Reason, l.Cause)
			}
		}
		if err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
		}
	}
}

// AtEnd has a function called when all tests have run, before those that were given earlier. It is called also when a
// later start fails.
func (s *Stage) AtEnd(end func() error) { s.ends = append(s.ends, end) }

// Folder makes a folder that is there until the end.
func (s *Stage) Folder() (string, error) {
	dir, err := os.MkdirTemp("", "ostiary-e2e-")
	if err == nil {
		s.AtEnd(func() error { return os.RemoveAll(dir) })
	}
	return dir, err
}

// Plane starts a control plane; its programs are the stage's.
func (s *Stage) Plane(ctx context.Context, options controlplane.Options) (*controlplane.ControlPlane, error) {
	options.Binaries, options.Progress = s.Paths, os.Stderr
	plane, err := controlplane.Start(ctx, options)
	if err == nil {
		s.AtEnd(plane.Stop)
	}
	return plane, err
}

// Node starts a node of a control plane.
func (s *Stage) Node(ctx context.Context, plane *controlplane.ControlPlane) (*kubelet.Node, error) {
	node, err := kubelet.Start(ctx, plane, "node-1")
	if err == nil {
		s.AtEnd(node.Stop)
	}
	return node, err
}

// Issuer starts an issuer of tokens, with one key of each given id, for ES256.
func (s *Stage) Issuer(ctx context.Context, keyIDs ...string) (*minter.Minter, error) {
	issuer, err := minter.Start(ctx)
	if err != nil {
		return nil, err
	}
	s.AtEnd(issuer.Stop)
	for _, id := range keyIDs {
		if _, err := issuer.NewKey(id, "ES256"); err != nil {
			return nil, err
		}
	}
	return issuer, nil
}

// Gate starts a gate.
func (s *Stage) Gate(ctx context.Context, config gate.Object) (*gate.Gate, error) {
	g, err := gate.Start(ctx, gate.Options{Ostiary: s.Paths[binaries.Ostiary], Config: config})
	if err == nil {
		s.AtEnd(g.Stop)
		s.gates = append(s.gates, g)
	}
	return g, err
}

// Count is how often, or how much of something a test does, where the number is one of volume: short every day, long where
// LongVariable says so.
func Count(short, long int) int {
	if os.Getenv(LongVariable) == "1" {
		return long
	}
	return short
}

// Within bounds a wait by Deadline, and by the test.
func Within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline)
	t.Cleanup(cancel)
	return ctx
}

// Await waits until a state is there, and returns how long that took. Without it after Deadline, the test ends.
func Await(t *testing.T, what string, is func(context.Context) bool) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline)
	defer cancel()
	began := time.Now()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for !is(ctx) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
	return time.Since(began)
}

// Package through_test runs through Ostiary, in both identity modes, what package direct_test runs straight against
// kube-apiserver.
package through_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubelet"
)

// shared is what all tests of this package use; TestMain makes it.
var shared struct {
	paths binaries.Paths
	plane *controlplane.ControlPlane
	node  *kubelet.Node
	gates map[string]*gate.Gate // by identity mode
}

// staticToken lets jane in. It is strong, so that it could be hashed.
const staticToken = "4f2a9c1be07d35684f6d0e9a7bc3518240ddba96c7e31f58"

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	ctx := context.Background()
	stop := func(stop func() error) { err = errors.Join(err, stop()) }
	if shared.paths, err = binaries.FromEnvironment(os.Stderr).Build(ctx, append(binaries.ControlPlane(), binaries.Ostiary, binaries.KubectlOstiary)...); err != nil {
		return 1, err
	}
	if shared.plane, err = controlplane.Start(ctx, controlplane.Options{Binaries: shared.paths, Progress: os.Stderr}); err != nil {
		return 1, err
	}
	defer stop(shared.plane.Stop)
	if shared.node, err = kubelet.Start(ctx, shared.plane, "node-1"); err != nil {
		return 1, err
	}
	defer stop(shared.node.Stop)
	dir, err := os.MkdirTemp("", "ostiary-through-")
	if err != nil {
		return 1, err
	}
	defer stop(func() error { return os.RemoveAll(dir) })
	if shared.gates, err = startGates(ctx, dir); err != nil {
		return 1, err
	}
	for _, g := range shared.gates {
		defer stop(g.Stop)
	}
	return m.Run(), nil
}

// startGates starts a gate in each identity mode, which serves the same control plane under two names.
func startGates(ctx context.Context, dir string) (map[string]*gate.Gate, error) {
	frontProxy, err := gate.RequestHeader(shared.plane, "prod")
	if err != nil {
		return nil, err
	}
	second, err := gate.RequestHeader(shared.plane, "stage")
	if err != nil {
		return nil, err
	}
	kubeconfig, err := shared.plane.Impersonator(ctx)
	if err != nil {
		return nil, err
	}
	tokens := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(staticToken+`,jane,uid-of-jane,"platform,developers"`+"\n"), 0o600); err != nil {
		return nil, err
	}
	gates := make(map[string]*gate.Gate)
	for mode, clusters := range map[string][]any{
		"requestHeader": {frontProxy, second},
		"impersonation": {gate.Impersonation(shared.plane, "prod", kubeconfig), gate.Impersonation(shared.plane, "stage", kubeconfig)},
	} {
		gates[mode], err = gate.Start(ctx, gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: gate.Object{
			"clusters": clusters,
			"authentication": gate.Object{
				"clientCertificate": gate.Object{"caFiles": []string{shared.plane.ClientCAFile()}},
				"staticToken":       gate.Object{"file": tokens, "allowClearText": true},
			},
			"groupRules": []any{gate.Object{"name": "stage-only", "match": gate.Object{"clusters": []string{"stage"}, "users": []string{"jane"}}, "add": []string{"stagers"}}},
		}})
		if err != nil {
			return nil, err
		}
	}
	return gates, nil
}

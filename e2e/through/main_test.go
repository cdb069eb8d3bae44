// Package through_test runs through Ostiary, in both identity modes, what package direct_test runs straight against
// kube-apiserver.
package through_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubelet"
	"github.com/ostiary/ostiary/e2e/internal/stage"
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

func TestMain(m *testing.M) { stage.Main(m, binaries.All(), set) }

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.plane, err = s.Plane(ctx, controlplane.Options{}); err != nil {
		return err
	}
	if shared.node, err = s.Node(ctx, shared.plane); err != nil {
		return err
	}
	return startGates(ctx, s)
}

// startGates starts a gate in each identity mode, which serves the same control plane under two names.
func startGates(ctx context.Context, s *stage.Stage) error {
	dir, err := s.Folder()
	if err != nil {
		return err
	}
	frontProxy, err := gate.RequestHeader(shared.plane, "prod")
	if err != nil {
		return err
	}
	second, err := gate.RequestHeader(shared.plane, "stage")
	if err != nil {
		return err
	}
	kubeconfig, err := shared.plane.Impersonator(ctx)
	if err != nil {
		return err
	}
	tokens := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(staticToken+`,jane,uid-of-jane,"platform,developers"`+"\n"), 0o600); err != nil {
		return err
	}
	shared.gates = make(map[string]*gate.Gate)
	for mode, clusters := range map[string][]any{
		"requestHeader": {frontProxy, second},
		"impersonation": {gate.Impersonation(shared.plane, "prod", kubeconfig), gate.Impersonation(shared.plane, "stage", kubeconfig)},
	} {
		shared.gates[mode], err = s.Gate(ctx, gate.Object{
			"clusters": clusters,
			"authentication": gate.Object{
				"clientCertificate": gate.Object{"caFiles": []string{shared.plane.ClientCAFile()}},
				"staticToken":       gate.Object{"file": tokens, "allowClearText": true},
			},
			"groupRules": []any{gate.Object{"name": "stage-only", "match": gate.Object{"clusters": []string{"stage"}, "users": []string{"jane"}}, "add": []string{"stagers"}}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

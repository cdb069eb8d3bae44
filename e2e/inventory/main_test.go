// Package inventory_test plants a credential of each mechanism in a real control plane and has "kubectl ostiary inventory"
// find them all; compares what package power computes with the API server's own answers; looks at the HTML page with a
// browser; and runs access reviews.
package inventory_test

import (
	"context"
	"os"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// shared is what all tests use; TestMain makes it.
var shared struct {
	paths   binaries.Paths
	plane   *controlplane.ControlPlane
	issuer  *minter.Minter
	planted *planted
}

func TestMain(m *testing.M) { stage.Main(m, binaries.All(), set) }

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.issuer, err = s.Issuer(ctx); err != nil {
		return err
	}
	hook, kubeconfig, err := startWebhook()
	if err != nil {
		return err
	}
	s.AtEnd(func() error {
		hook.Close()
		return os.Remove(kubeconfig)
	})
	authentication, err := authenticationConfiguration(shared.issuer)
	if err != nil {
		return err
	}
	if shared.plane, err = s.Plane(ctx, controlplane.Options{
		Audit:                       controlplane.AuditRequestResponse,
		TokenFile:                   staticToken + `,bob,u-bob,"static-people"` + "\n",
		AuthenticationConfiguration: authentication,
		ExtraArgs: []string{
			"--authentication-token-webhook-config-file=" + kubeconfig, "--authentication-token-webhook-version=v1",
		},
	}); err != nil {
		return err
	}
	shared.planted, err = plant(ctx)
	return err
}

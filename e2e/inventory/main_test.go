// Package inventory_test plants a credential of each mechanism in a real control plane and has "kubectl ostiary inventory"
// find them all; compares what package power computes with the API server's own answers; looks at the HTML page with a
// browser; and runs access reviews.
package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/minter"
)

// shared is what all tests use; TestMain makes it.
var shared struct {
	paths   binaries.Paths
	plane   *controlplane.ControlPlane
	issuer  *minter.Minter
	planted *planted
}

func TestMain(m *testing.M) {
	status, err := run(context.Background(), m)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// run runs the tests with everything started, and stops it all.
func run(ctx context.Context, m *testing.M) (status int, err error) {
	stop := func(what func() error) { err = errors.Join(err, what()) }
	if shared.paths, err = binaries.FromEnvironment(os.Stderr).Build(ctx, append(binaries.ControlPlane(), binaries.KubectlOstiary, binaries.Ostiary)...); err != nil {
		return 1, err
	}
	if shared.issuer, err = minter.Start(ctx); err != nil {
		return 1, err
	}
	defer stop(shared.issuer.Stop)
	hook, kubeconfig, err := startWebhook()
	if err != nil {
		return 1, err
	}
	defer hook.Close()
	defer stop(func() error { return os.Remove(kubeconfig) })
	authentication, err := authenticationConfiguration(shared.issuer)
	if err != nil {
		return 1, err
	}
	if shared.plane, err = controlplane.Start(ctx, controlplane.Options{
		Binaries: shared.paths, Progress: os.Stderr, Audit: controlplane.AuditRequestResponse,
		TokenFile:                   staticToken + `,bob,u-bob,"static-people"` + "\n",
		AuthenticationConfiguration: authentication,
		ExtraArgs: []string{
			"--authentication-token-webhook-config-file=" + kubeconfig, "--authentication-token-webhook-version=v1",
		},
	}); err != nil {
		return 1, err
	}
	defer stop(shared.plane.Stop)
	if shared.planted, err = plant(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

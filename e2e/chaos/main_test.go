//go:build linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/klog/v2"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/minter"
)

const (
	// audience is whom the issuer's tokens are for, and keyID the key that signs them.
	audience = "ostiary"
	keyID    = "key-1"
	// guard is who revokes. people is the group of everybody else.
	guard  = "guard"
	people = "people"
)

// shared is what all tests of this package use; TestMain makes it.
var shared struct {
	paths        binaries.Paths
	plane        *controlplane.ControlPlane
	issuer       *minter.Minter
	impersonator string
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	status, err := runWith(context.Background(), m)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// runWith runs the tests with everything started, and stops it all.
func runWith(ctx context.Context, m *testing.M) (status int, err error) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // the normal end of streams is an error to it
	stop := func(what func() error) { err = errors.Join(err, what()) }
	if shared.paths, err = binaries.FromEnvironment(os.Stderr).Build(ctx, append(binaries.ControlPlane(), binaries.Ostiary, binaries.KubectlOstiary)...); err != nil {
		return 1, err
	}
	if shared.issuer, err = minter.Start(ctx); err != nil {
		return 1, err
	}
	defer stop(shared.issuer.Stop)
	if _, err = shared.issuer.NewKey(keyID, "ES256"); err != nil {
		return 1, err
	}
	if shared.plane, err = controlplane.Start(ctx, controlplane.Options{Binaries: shared.paths, Progress: os.Stderr}); err != nil {
		return 1, err
	}
	defer stop(shared.plane.Stop)
	if shared.impersonator, err = shared.plane.Impersonator(ctx); err != nil {
		return 1, err
	}
	if err = shared.plane.Grant(ctx, "chaos-guard", []rbacv1.PolicyRule{
		{APIGroups: []string{"ostiary.dev"}, Resources: []string{"revocations", "revocations/lift", "streams"}, Verbs: []string{"get", "list", "create"}},
	}, controlplane.User(guard)); err != nil {
		return 1, err
	}
	if err = shared.plane.Grant(ctx, "chaos-people", []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "pods"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"pods/exec"}, Verbs: []string{"get", "create"}},
	}, controlplane.Group(people)); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

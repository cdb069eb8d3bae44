//go:build linux

package chaos_test

import (
	"context"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/stage"
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

func TestMain(m *testing.M) { stage.Main(m, binaries.All(), set) }

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.issuer, err = s.Issuer(ctx, keyID); err != nil {
		return err
	}
	if shared.plane, err = s.Plane(ctx, controlplane.Options{}); err != nil {
		return err
	}
	if shared.impersonator, err = shared.plane.Impersonator(ctx); err != nil {
		return err
	}
	if err = shared.plane.Grant(ctx, "chaos-guard", []rbacv1.PolicyRule{
		{APIGroups: []string{"ostiary.dev"}, Resources: []string{"revocations", "revocations/lift", "streams"}, Verbs: []string{"get", "list", "create"}},
	}, controlplane.User(guard)); err != nil {
		return err
	}
	return shared.plane.Grant(ctx, "chaos-people", []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "pods"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"pods/exec"}, Verbs: []string{"get", "create"}},
	}, controlplane.Group(people))
}

// Package direct_test runs the scenarios straight against kube-apiserver, with nothing in between: what they show here
// is what they must show through Ostiary.
package direct_test

import (
	"context"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/kubelet"
	"github.com/ostiary/ostiary/e2e/internal/oidcprovider"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// The credentials of the one person in these tests.
const (
	staticToken = "a-static-token-for-jane"
	password    = "the password of jane"
)

// shared is what all tests of this package use; TestMain makes it.
var shared struct {
	paths binaries.Paths
	plane *controlplane.ControlPlane
	node  *kubelet.Node
	oidc  *oidcprovider.Provider
}

func TestMain(m *testing.M) { stage.Main(m, binaries.ControlPlane(), set) }

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.oidc, err = oidcprovider.Start(ctx, oidcprovider.Options{
		Users: []oidcprovider.User{{Name: "jane", Password: password, Email: "jane@example.com", Groups: []string{"platform"}}},
	}); err != nil {
		return err
	}
	s.AtEnd(shared.oidc.Stop)
	authentication, err := shared.oidc.AuthenticationConfiguration()
	if err != nil {
		return err
	}
	if shared.plane, err = s.Plane(ctx, controlplane.Options{
		TokenFile:                   staticToken + `,jane,uid-of-jane,"platform,developers"` + "\n",
		AuthenticationConfiguration: authentication,
	}); err != nil {
		return err
	}
	shared.node, err = s.Node(ctx, shared.plane)
	return err
}

// Package direct_test runs the scenarios straight against kube-apiserver, with nothing in between: what they show here
// is what they must show through Ostiary.
package direct_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/kubelet"
	"github.com/ostiary/ostiary/e2e/internal/oidcprovider"
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

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	status, err := runWith(context.Background(), m)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// runWith runs the tests with everything started, and stops it all.
func runWith(ctx context.Context, m *testing.M) (status int, err error) {
	kubelet.LogTo(io.Discard)
	stop := func(what func() error) { err = errors.Join(err, what()) }
	if shared.paths, err = binaries.FromEnvironment(os.Stderr).Build(ctx, binaries.ControlPlane()...); err != nil {
		return 1, err
	}
	shared.oidc, err = oidcprovider.Start(ctx, oidcprovider.Options{
		Users: []oidcprovider.User{{Name: "jane", Password: password, Email: "jane@example.com", Groups: []string{"platform"}}},
	})
	if err != nil {
		return 1, err
	}
	defer stop(shared.oidc.Stop)
	authentication, err := shared.oidc.AuthenticationConfiguration()
	if err != nil {
		return 1, err
	}
	shared.plane, err = controlplane.Start(ctx, controlplane.Options{
		Binaries:                    shared.paths,
		TokenFile:                   staticToken + `,jane,uid-of-jane,"platform,developers"` + "\n",
		AuthenticationConfiguration: authentication,
		Progress:                    os.Stderr,
	})
	if err != nil {
		return 1, err
	}
	defer stop(shared.plane.Stop)
	if shared.node, err = kubelet.Start(ctx, shared.plane, "node-1"); err != nil {
		return 1, err
	}
	defer stop(shared.node.Stop)
	return m.Run(), nil
}

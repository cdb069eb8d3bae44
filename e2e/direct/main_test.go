// Package direct_test runs the scenarios straight against kube-apiserver, with nothing in between: what they show here
// is what they must show through Ostiary.
package direct_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
)

const (
	staticToken = "a-static-token-for-jane"
)

// shared is what all tests of this package use; TestMain makes it.
var shared struct { //nolint:gochecknoglobals // TestMain has no other way to hand something to tests
	paths binaries.Paths
	plane *controlplane.ControlPlane
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	ctx := context.Background()
	fail := func(err error) int {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	paths, err := binaries.FromEnvironment(os.Stderr).Build(ctx, binaries.ControlPlane()...)
	if err != nil {
		return fail(err)
	}
	plane, err := controlplane.Start(ctx, controlplane.Options{
		Binaries:  paths,
		TokenFile: staticToken + `,jane,uid-of-jane,"platform,developers"` + "\n",
		Progress:  os.Stderr,
	})
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := plane.Stop(); err != nil {
			status = fail(err)
		}
	}()
	shared.paths, shared.plane = paths, plane
	return m.Run()
}

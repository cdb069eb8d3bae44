// Package audit_test runs "kubectl ostiary audit" against real control planes: three with faults planted, as one API
// server cannot have them all, and one that is run with care.
package audit_test

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

// The secrets that are planted. No output may hold one of them.
const (
	weakStaticToken = "monkey-business"
	weakJoinID      = "abcdef"
	weakJoinSecret  = "0123456789abcdef"
	soundJoinSecret = "v7m2c8w4t1p6r0nd"
)

// world is a control plane and what is given to an audit of it besides.
type world struct {
	*controlplane.ControlPlane

	// args are the flags of the audit.
	args []string
	// secrets were made for it and may not show.
	secrets []string
}

// shared is what all tests of this package use; TestMain makes it.
var shared struct {
	paths binaries.Paths
	// weak, odd and loose have faults, sound has none.
	weak, odd, loose, sound *world
	// issuer is the provider of loose and sound; hooks are the webhooks.
	issuer *minter.Minter
	hooks  hooks
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
	stop := func(what func() error) { err = errors.Join(err, what()) }
	if shared.paths, err = binaries.FromEnvironment(os.Stderr).Build(ctx, append(binaries.ControlPlane(), binaries.KubectlOstiary)...); err != nil {
		return 1, err
	}
	if shared.issuer, err = minter.Start(ctx); err != nil {
		return 1, err
	}
	defer stop(shared.issuer.Stop)
	if _, err := shared.issuer.NewKey("people", "RS256"); err != nil {
		return 1, err
	}
	shared.hooks = startHooks()
	defer shared.hooks.close()
	for _, one := range []struct {
		into    **world
		options func(dir string) (controlplane.Options, error)
		plant   func(context.Context, *world) error
	}{
		{&shared.weak, weakOptions, plantWeak}, {&shared.odd, oddOptions, plantOdd}, {&shared.loose, looseOptions, plantLoose}, {&shared.sound, soundOptions, plantSound},
	} {
		dir, err := os.MkdirTemp("", "ostiary-audit-")
		if err != nil {
			return 1, err
		}
		defer stop(func() error { return os.RemoveAll(dir) })
		options, err := one.options(dir)
		if err != nil {
			return 1, err
		}
		options.Binaries, options.Dir, options.Progress = shared.paths, dir, os.Stderr
		plane, err := controlplane.Start(ctx, options)
		if err != nil {
			return 1, err
		}
		defer stop(plane.Stop)
		*one.into = &world{ControlPlane: plane}
		if err := one.plant(ctx, *one.into); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

// Package audit_test runs "kubectl ostiary audit" against real control planes: three with faults planted, as one API
// server cannot have them all, and one that is run with care.
package audit_test

import (
	"context"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/stage"
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

func TestMain(m *testing.M) {
	stage.Main(m, append(binaries.ControlPlane(), binaries.KubectlOstiary), set)
}

// set starts all control planes.
func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.issuer, err = s.Issuer(ctx); err != nil {
		return err
	}
	if _, err := shared.issuer.NewKey("people", "RS256"); err != nil {
		return err
	}
	shared.hooks = startHooks()
	s.AtEnd(func() error {
		shared.hooks.close()
		return nil
	})
	for _, one := range []struct {
		into    **world
		options func(dir string) (controlplane.Options, error)
		plant   func(context.Context, *world) error
	}{
		{&shared.weak, weakOptions, plantWeak}, {&shared.odd, oddOptions, plantOdd}, {&shared.loose, looseOptions, plantLoose}, {&shared.sound, soundOptions, plantSound},
	} {
		dir, err := s.Folder()
		if err != nil {
			return err
		}
		options, err := one.options(dir)
		if err != nil {
			return err
		}
		options.Dir = dir
		plane, err := s.Plane(ctx, options)
		if err != nil {
			return err
		}
		*one.into = &world{ControlPlane: plane}
		if err := one.plant(ctx, *one.into); err != nil {
			return err
		}
	}
	return nil
}

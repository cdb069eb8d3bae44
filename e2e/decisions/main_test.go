package decisions_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// audience is the one API audience (AUD-1) of all servers here.
	audience = "api"
	// warmDeadline bounds how long the API servers may take to fetch issuers' keys (OIDC-2: they try every 10 seconds)
	// and to see new grants.
	warmDeadline = stage.Deadline
	// warmInterval is how often they are asked.
	warmInterval = 50 * time.Millisecond
)

// shared is what all tests of this package use; TestMain makes it.
var shared struct {
	paths   binaries.Paths
	dir     string
	issuers issuers
	// backend stands behind the gates, reference beside them. Their client CAs differ: the gates are given that of
	// reference.
	backend, reference, conditional *controlplane.ControlPlane
	// open lets anonymous callers in everywhere, pathwise to /livez and /readyz alone (ANON-4). The gates of strict are
	// not told to allow names of Kubernetes' own.
	open, pathwise, strict comparison
}

func TestMain(m *testing.M) {
	stage.Main(m, []binaries.Program{binaries.Etcd, binaries.KubeAPIServer, binaries.Ostiary}, set)
}

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.dir, err = s.Folder(); err != nil {
		return err
	}
	s.AtEnd(shared.issuers.stop)
	if err := shared.issuers.start(ctx); err != nil {
		return err
	}
	s.AtEnd(stopPlanes)
	if err := startPlanes(ctx); err != nil {
		return err
	}
	for _, one := range []struct {
		into          *comparison
		plane         *controlplane.ControlPlane
		configuration []byte
		anonymous     bool
		systemNames   []string
	}{
		{&shared.open, shared.reference, shared.issuers.configuration(), true, []string{"system:*"}},
		{&shared.pathwise, shared.conditional, conditionalConfiguration(), false, []string{"system:*"}},
		{&shared.strict, shared.reference, shared.issuers.configuration(), true, []string{}},
	} {
		authentication, err := authentication(one.plane, one.configuration, one.anonymous, one.systemNames)
		if err != nil {
			return err
		}
		s.AtEnd(one.into.stop)
		if err := one.into.start(ctx, one.plane, authentication); err != nil {
			return err
		}
	}
	return warm(ctx)
}

// conditionalConfiguration is that of the issuers, with anonymous access on two paths.
func conditionalConfiguration() []byte {
	return append(shared.issuers.configuration(), "\nanonymous:\n  enabled: true\n  conditions:\n  - path: /livez\n  - path: /readyz\n"...)
}

// startPlanes starts all API servers, side by side.
func startPlanes(ctx context.Context) error {
	planes := []struct {
		into    **controlplane.ControlPlane
		options controlplane.Options
	}{
		{&shared.backend, controlplane.Options{}},
		{&shared.reference, controlplane.Options{
			NoRequestHeader: true, Anonymous: true, TokenFile: tokenFile + emptyUserLine,
			AuthenticationConfiguration: shared.issuers.configuration(), ExtraArgs: []string{"--api-audiences=" + audience},
		}},
		{&shared.conditional, controlplane.Options{
			NoRequestHeader: true, TokenFile: tokenFile,
			AuthenticationConfiguration: conditionalConfiguration(), ExtraArgs: []string{"--api-audiences=" + audience},
		}},
	}
	errs := make([]error, len(planes))
	var group sync.WaitGroup
	for i, plane := range planes {
		group.Go(func() {
			plane.options.Binaries, plane.options.NoControllerManager, plane.options.Progress = shared.paths, true, os.Stderr
			started, err := controlplane.Start(ctx, plane.options)
			if err != nil {
				errs[i] = err
				return
			}
			*plane.into = started
			// What authenticated callers may by default, those may here too who are not: ask who they are (SSR-2).
			errs[i] = started.Bind(ctx, "whoami", "system:basic-user",
				controlplane.Group("system:unauthenticated"), controlplane.User("system:anonymous"))
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func stopPlanes() error {
	var errs []error
	for _, plane := range []*controlplane.ControlPlane{shared.conditional, shared.reference, shared.backend} {
		if plane != nil {
			errs = append(errs, plane.Stop())
		}
	}
	return errors.Join(errs...)
}

// authentication is the gates' configuration of what the given API server has flags for. systemNames are the names of
// Kubernetes' own that credentials may carry; there they may carry all.
func authentication(plane *controlplane.ControlPlane, configuration []byte, anonymous bool, systemNames []string) (gate.Object, error) {
	tokens := filepath.Join(shared.dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(tokenFile), 0o600); err != nil {
		return nil, err
	}
	issuers, err := os.CreateTemp(shared.dir, "authentication-*.yaml")
	if err != nil {
		return nil, err
	}
	if _, err := issuers.Write(configuration); err != nil {
		return nil, errors.Join(err, issuers.Close())
	}
	if err := issuers.Close(); err != nil {
		return nil, err
	}
	written := gate.Object{
		"audiences":         []string{audience},
		"clientCertificate": gate.Object{"caFiles": []string{plane.ClientCAFile()}, "allowedSystemNames": systemNames},
		"staticToken":       gate.Object{"file": tokens, "allowClearText": true, "allowedSystemNames": systemNames},
		"jwt":               gate.Object{"file": issuers.Name(), "allowedSystemNames": systemNames},
	}
	if anonymous {
		written["anonymous"] = gate.Object{}
	}
	return written, nil
}

// warm waits until every server knows every issuer and grant.
func warm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, warmDeadline)
	defer cancel()
	calls := []call{{headers: bearer(tokenAlice)}}
	for _, issuer := range []*issuer{shared.issuers.mapped, shared.issuers.prefixed, shared.issuers.cel} {
		token, err := issuer.mint(nil)
		if err != nil {
			return err
		}
		calls = append(calls, call{headers: bearer(token)})
	}
	for _, one := range []struct {
		servers []server
		calls   []call
	}{
		{shared.open.all(), append([]call{{}}, calls...)},
		{shared.pathwise.all(), calls},
		{shared.strict.all(), calls},
	} {
		for _, server := range one.servers {
			for _, call := range one.calls {
				if err := until(ctx, server, call); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// until sends a request until it is let in.
func until(ctx context.Context, server server, call call) error {
	ticker := time.NewTicker(warmInterval)
	defer ticker.Stop()
	for {
		got, err := review(ctx, server, call)
		if err != nil {
			return err
		}
		if got.Status == created {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s does not let in %q: %w; the last answer: %+v", server.name, call.headers, context.Cause(ctx), got)
		}
	}
}

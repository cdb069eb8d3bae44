// Package audit_test runs "kubectl ostiary audit" against real control planes: one with every fault planted that one
// API server can have, and one that is run with care.
package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
)

// The secrets that are planted. No output may hold one of them.
const (
	weakStaticToken = "monkey-business"
	weakJoinID      = "abcdef"
	weakJoinSecret  = "0123456789abcdef"
)

// shared is what all tests of this package use; TestMain makes it.
var shared struct {
	paths binaries.Paths
	// weak has faults, sound has none.
	weak, sound *controlplane.ControlPlane
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
	dir, err := os.MkdirTemp("", "ostiary-audit-")
	if err != nil {
		return 1, err
	}
	defer stop(func() error { return os.RemoveAll(dir) })
	if shared.weak, err = controlplane.Start(ctx, weakOptions(dir)); err != nil {
		return 1, err
	}
	defer stop(shared.weak.Stop)
	if err := plant(ctx, shared.weak); err != nil {
		return 1, err
	}
	if shared.sound, err = controlplane.Start(ctx, soundOptions()); err != nil {
		return 1, err
	}
	defer stop(shared.sound.Stop)
	if err := plantSound(ctx, shared.sound); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// weakOptions are those of an API server with faults: one CA for clients and proxies, no names demanded, a provider
// without prefixes, clear-text tokens, anybody let in.
func weakOptions(dir string) controlplane.Options {
	return controlplane.Options{
		Binaries: shared.paths, Dir: dir, Progress: os.Stderr, Anonymous: true,
		TokenFile: weakStaticToken + ",system:admin,1,\"system:masters\"\n",
		ExtraArgs: []string{
			"--requestheader-client-ca-file=" + filepath.Join(dir, "client-ca.crt"),
			"--requestheader-allowed-names=",
			"--oidc-issuer-url=https://accounts.google.com", "--oidc-client-id=kubernetes",
			"--oidc-username-claim=email", "--oidc-groups-claim=groups",
			"--service-account-lookup=false",
			"--disable-admission-plugins=CertificateSubjectRestriction",
		},
	}
}

// soundAuthentication has an anonymous section that names paths, and a provider with prefixes.
const soundAuthentication = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions: [{path: /livez}, {path: /readyz}, {path: /healthz}]
jwt:
- issuer: {url: "https://idp.example.com", audiences: [kubernetes]}
  claimMappings:
    username: {claim: sub, prefix: "idp:"}
    groups: {claim: groups, prefix: "idp:"}
`

func soundOptions() controlplane.Options {
	return controlplane.Options{
		Binaries: shared.paths, Progress: os.Stderr, AuthenticationConfiguration: []byte(soundAuthentication),
		ExtraArgs: []string{
			"--service-account-max-token-expiration=24h", "--service-account-extend-token-expiration=false", "--tls-min-version=VersionTLS12",
		},
	}
}

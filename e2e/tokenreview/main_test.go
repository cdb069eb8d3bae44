// Package tokenreview_test has real API servers ask Ostiary, the built program, about bearer tokens: as the webhook of
// --authentication-token-webhook-config-file, in both versions of TokenReview. The kubeconfig by which they ask is the one
// that docs/webhook-server.md shows.
package tokenreview_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/process"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// clientID is whom the issuer's tokens are for, and keyID the key that signs them.
	clientID = "kubernetes"
	keyID    = "key-1"
	// apiAudience is the API servers' audience (AUD-1), beside the issuer of their ServiceAccounts.
	apiAudience = "api"
	// onCall is the group that a rule of Ostiary's adds, for one of the API servers.
	onCall = "on-call"
)

// The versions of TokenReview, each with an API server that speaks it and is the caller of that name.
const (
	v1      = "v1"
	v1beta1 = "v1beta1"
)

// caller is an API server that asks Ostiary.
type caller struct {
	plane *controlplane.ControlPlane
	// pair is the client certificate by which Ostiary knows it.
	pair *pki.KeyPair
	// authority signed it, and caFile is where Ostiary reads that.
	authority *pki.Authority
	caFile    string
}

// shared is what all tests of this package use; TestMain makes it.
var shared struct {
	paths   binaries.Paths
	dir     string
	issuer  *minter.Minter
	callers map[string]*caller
	// address is where Ostiary answers, for all of its lives; servingCA signed its certificate there.
	address   string
	servingCA *pki.Authority
	serving   pki.Files
	// staticToken is sam's, of whom no API server has heard.
	staticToken string
	config      gate.Object
	gate        *gate.Gate
}

func TestMain(m *testing.M) {
	stage.Main(m, []binaries.Program{binaries.Etcd, binaries.KubeAPIServer, binaries.Kubectl, binaries.Ostiary, binaries.KubectlOstiary}, set)
}

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.dir, err = s.Folder(); err != nil {
		return err
	}
	if shared.issuer, err = s.Issuer(ctx, keyID); err != nil {
		return err
	}
	if err := prepare(); err != nil {
		return err
	}
	s.AtEnd(stopCallers)
	if err := startCallers(ctx); err != nil {
		return err
	}
	if err := configure(); err != nil {
		return err
	}
	if err := startGate(ctx); err != nil {
		return err
	}
	s.AtEnd(func() error { return shared.gate.Stop() }) // the last one: tests start others
	return nil
}

// prepare makes what both sides must know before either starts: Ostiary's address and the certificates.
func prepare() (err error) {
	ports, err := process.FreePorts(1)
	if err != nil {
		return err
	}
	shared.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
	if shared.servingCA, err = pki.NewAuthority("ostiary-ca"); err != nil {
		return err
	}
	pair, err := shared.servingCA.Issue(pki.Server("ostiary"))
	if err != nil {
		return err
	}
	if shared.serving, err = pair.Write(shared.dir, "serving"); err != nil {
		return err
	}
	shared.callers = map[string]*caller{}
	for _, version := range []string{v1, v1beta1} {
		c := &caller{}
		if c.authority, err = pki.NewAuthority(version + "-callers-ca"); err != nil {
			return err
		}
		if c.caFile, err = c.authority.Write(shared.dir, version+"-callers-ca"); err != nil {
			return err
		}
		if c.pair, err = c.authority.Issue(pki.Client(version + "-apiserver")); err != nil {
			return err
		}
		shared.callers[version] = c
	}
	shared.staticToken = rand.Text() + rand.Text()
	digest := sha256.Sum256([]byte(shared.staticToken))
	line := fmt.Sprintf("sha256:5f0c9a1be27d4386:%x,sam,uid-of-sam,\"ops,platform\"\n", digest)
	return pki.WriteFile(filepath.Join(shared.dir, "tokens.csv"), []byte(line))
}

// startCallers starts both API servers, side by side. Nobody answers them yet.
func startCallers(ctx context.Context) error {
	var group sync.WaitGroup
	errs := make(map[string]error)
	var mu sync.Mutex
	for version, c := range shared.callers {
		group.Go(func() {
			err := c.start(ctx, version)
			mu.Lock()
			defer mu.Unlock()
			errs[version] = err
		})
	}
	group.Wait()
	return errors.Join(errs[v1], errs[v1beta1])
}

func (c *caller) start(ctx context.Context, version string) error {
	dir := filepath.Join(shared.dir, version)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	kubeconfig, err := c.documented(dir)
	if err != nil {
		return err
	}
	if c.plane, err = controlplane.Start(ctx, controlplane.Options{
		Binaries: shared.paths, Dir: dir, Progress: os.Stderr, NoControllerManager: true,
		ExtraArgs: []string{
			"--api-audiences=" + controlplane.Issuer + "," + apiAudience,
			"--authentication-token-webhook-config-file=" + kubeconfig, "--authentication-token-webhook-version=" + version,
			// No memory for answers, so that every token unheard of in the last seconds is asked about.
			"--authentication-token-webhook-cache-ttl=0s",
		},
	}); err != nil {
		return err
	}
	return c.plane.Grant(ctx, onCall, []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "list"}},
	}, controlplane.Group(onCall))
}

// documented writes the kubeconfig of the documentation into dir, with this test's address, and the files that it names.
func (c *caller) documented(dir string) (file string, err error) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "webhook-server.md"))
	if err != nil {
		return "", err
	}
	const documentedAddress = "ostiary.example:8443"
	for block := range strings.SplitSeq(string(page), "```") {
		content, ok := strings.CutPrefix(block, "yaml\n")
		if !ok || !strings.Contains(content, "kind: Config\n") {
			continue
		}
		if !strings.Contains(content, documentedAddress) {
			return "", errors.New("the kubeconfig of docs/webhook-server.md has another address")
		}
		if _, err := shared.servingCA.Write(dir, "ostiary-ca"); err != nil {
			return "", err
		}
		if _, err := c.pair.Write(dir, "prod-apiserver"); err != nil {
			return "", err
		}
		file = filepath.Join(dir, "ostiary.kubeconfig")
		return file, pki.WriteFile(file, []byte(strings.ReplaceAll(content, documentedAddress, shared.address)))
	}
	return "", errors.New("docs/webhook-server.md shows no kubeconfig")
}

func stopCallers() error {
	var errs []error
	for _, c := range shared.callers {
		if c.plane != nil {
			errs = append(errs, c.plane.Stop())
		}
	}
	return errors.Join(errs...)
}

// configure makes Ostiary's configuration.
func configure() error {
	cluster, err := gate.RequestHeader(shared.callers[v1].plane, "behind")
	if err != nil {
		return err
	}
	var callers []any
	for _, version := range []string{v1, v1beta1} {
		callers = append(callers, gate.Object{
			"name": version, "caFiles": []any{shared.callers[version].caFile}, "allowedNames": []any{version + "-apiserver"},
			"mechanisms": []any{"jwt", "staticToken"}, "audiences": []any{controlplane.Issuer, apiAudience},
		})
	}
	shared.config = gate.Object{
		"clusters": []any{cluster},
		"listen":   gate.Object{"drainTimeout": "3s"},
		"authentication": gate.Object{
			"staticToken": gate.Object{"file": filepath.Join(shared.dir, "tokens.csv")},
			"jwt":         gate.Object{"maxLifetime": "2h", "configuration": issuerConfiguration()},
		},
		"groupRules": []any{gate.Object{
			"name": onCall, "match": gate.Object{"users": []any{"oidc:jane", "sam"}, "clusters": []any{v1}}, "add": []any{onCall},
		}},
		"tokenReview": gate.Object{"address": shared.address, "tls": gate.KeyPair(shared.serving), "callers": callers},
	}
	return nil
}

func issuerConfiguration() gate.Object {
	return gate.Object{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
		"jwt": []any{gate.Object{
			"issuer": gate.Object{"url": shared.issuer.Issuer, "audiences": []any{clientID}, "certificateAuthority": string(shared.issuer.CA)},
			"claimMappings": gate.Object{
				"username": gate.Object{"claim": "sub", "prefix": "oidc:"}, "groups": gate.Object{"claim": "groups", "prefix": ""},
			},
		}},
	}
}

// startGate starts Ostiary, anew or for the first time, always at the same address.
func startGate(ctx context.Context) (err error) {
	shared.gate, err = gate.Start(ctx, gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: shared.config})
	return err
}

// mint makes a token by which jane, or whoever the claims name, comes in. The claims are laid over those of an honest one.
func mint(t *testing.T, claims map[string]any) string {
	t.Helper()
	honest := shared.issuer.Claims("jane", clientID, "platform")
	maps.Copy(honest, claims)
	token, err := shared.issuer.Mint(minter.Token{Algorithm: "ES256", KeyID: keyID, Claims: honest})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

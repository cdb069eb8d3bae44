package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/oidcprovider"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

const (
	// person is who comes in, group what gives rights.
	person = "jane"
	group  = "platform"
	// peopleCA signs the certificates of people. The API server does not know it.
	peopleCA = "people-ca"
	// callerCA signs the certificates of API servers that ask, callerName is the one.
	callerCA, callerName = "caller-ca", "other"
	// longestToken is how long a token that is requested through the gate may be good.
	longestToken = time.Hour
	// tokenBytes of chance make a static token that may be kept as a plain hash.
	tokenBytes = 32
	// folderMode lets nobody but the owner look into the folder of the demo: it holds private keys.
	folderMode = 0o700
)

// world is everything that runs.
type world struct {
	*terminal
	dir      string
	paths    binaries.Paths
	provider *oidcprovider.Provider
	// plane stands behind the gate, other beside it.
	plane, other *controlplane.ControlPlane
	gate         *gate.Gate
	// people, portals and callers sign the certificates of persons, of authenticating proxies, and of API servers that ask.
	people, portals, callers *pki.Authority

	password, staticToken, foreignToken string
	tokenFile                           string
	stops                               []func() error
}

// start builds and starts everything.
func (w *world) start(ctx context.Context) (err error) {
	w.heading(1, "Build")
	w.text("The programs are built from source: Kubernetes and etcd from their Go modules, Ostiary from this repository.")
	w.paths, err = binaries.FromEnvironment(w.terminal).Build(ctx, append(binaries.ControlPlane(), binaries.Ostiary, binaries.KubectlOstiary)...)
	if err != nil {
		return err
	}
	version, err := exec.CommandContext(ctx, w.paths[binaries.KubeAPIServer], "--version").Output() //nolint:gosec // just built
	if err != nil {
		return fmt.Errorf("ask kube-apiserver for its version: %w", err)
	}
	w.good("kube-apiserver, kube-controller-manager, kubectl, etcd and ostiary are there: " + strings.TrimSpace(string(version)))

	if w.dir, err = os.MkdirTemp("", "ostiary-demo-"); err != nil {
		return err
	}
	w.stops = append(w.stops, func() error { return os.RemoveAll(w.dir) })
	w.heading(2, "Start")
	w.text("Everything listens on free ports of this machine and keeps its files in " + w.dir + ".")
	if err := w.startProvider(ctx); err != nil {
		return err
	}
	if err := w.startPlane(ctx); err != nil {
		return err
	}
	return w.startGate(ctx)
}

// stop stops everything, the last started first.
func (w *world) stop() error {
	var errs []error
	for _, stop := range slices.Backward(w.stops) {
		errs = append(errs, stop())
	}
	w.stops = nil
	return errors.Join(errs...)
}

func (w *world) startProvider(ctx context.Context) (err error) {
	w.password = rand.Text()
	w.provider, err = oidcprovider.Start(ctx, oidcprovider.Options{Users: []oidcprovider.User{
		{Name: person, Password: w.password, Email: person + "@example.com", Groups: []string{group}},
	}})
	if err != nil {
		return err
	}
	w.stops = append(w.stops, w.provider.Stop)
	w.note("the OpenID Connect provider is " + w.provider.Issuer)
	return nil
}

func (w *world) startPlane(ctx context.Context) (err error) {
	dir, err := w.folder("cluster")
	if err != nil {
		return err
	}
	w.plane, err = controlplane.Start(ctx, controlplane.Options{Binaries: w.paths, Dir: dir, Progress: w.terminal})
	if err != nil {
		return err
	}
	w.stops = append(w.stops, w.plane.Stop)
	if err := w.plane.Bind(ctx, "demo-"+group, "view", controlplane.Group(group)); err != nil {
		return err
	}
	w.good("the API server is " + w.plane.URL + "; RBAC gives group " + group + " the role \"view\"")
	w.text("It knows no people: neither their certificates, nor tokens, nor the provider. It believes one authenticating proxy.")
	return w.makeRobot(ctx)
}

func (w *world) startGate(ctx context.Context) (err error) {
	dir, err := w.folder("ostiary")
	if err != nil {
		return err
	}
	config, err := w.configuration(ctx, dir)
	if err != nil {
		return err
	}
	if w.gate, err = gate.Start(ctx, gate.Options{Ostiary: w.paths[binaries.Ostiary], Dir: dir, Config: config}); err != nil {
		return err
	}
	w.stops = append(w.stops, w.gate.Stop)
	w.good("Ostiary is " + w.gate.URL + "; its configuration is " + w.gate.ConfigFile)
	if err := w.startOther(ctx); err != nil {
		return err
	}
	webhook, err := w.webhookKubeconfig()
	if err != nil {
		return err
	}
	config["authentication"].(gate.Object)["webhook"] = gate.Object{"kubeconfig": webhook, "version": "v1"}
	if err := w.gate.Reconfigure(config); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, logDeadline)
	defer cancel()
	if _, err := w.gate.WaitLog(ctx, func(line gate.Object) bool { return line["msg"] == "configuration reloaded" }); err != nil {
		return err
	}
	w.good("that API server's own tokens are now known to Ostiary as well, by a changed line in its configuration, without a restart")
	return nil
}

// configuration names all mechanisms but the webhook, which is not there yet.
func (w *world) configuration(ctx context.Context, dir string) (gate.Object, error) {
	authorities := map[string]string{}
	for name, into := range map[string]**pki.Authority{peopleCA: &w.people, portalCA: &w.portals, callerCA: &w.callers} {
		var err error
		if *into, err = pki.NewAuthority(name); err != nil {
			return nil, err
		}
		if authorities[name], err = (*into).Write(dir, name); err != nil {
			return nil, err
		}
	}
	if err := w.hashTokens(ctx, dir); err != nil {
		return nil, err
	}
	authentication, err := w.provider.AuthenticationConfiguration()
	if err != nil {
		return nil, err
	}
	authenticationFile := filepath.Join(dir, "authentication.yaml")
	if err := pki.WriteFile(authenticationFile, authentication); err != nil {
		return nil, err
	}
	issuer, signIn, err := w.issuer(ctx, dir)
	if err != nil {
		return nil, err
	}
	cluster, err := gate.RequestHeader(w.plane, "demo")
	if err != nil {
		return nil, err
	}
	account, err := w.account(ctx)
	if err != nil {
		return nil, err
	}
	cluster["access"] = gate.Object{"kubeconfig": account}
	cluster["serviceAccounts"] = gate.Object{"issuers": []string{controlplane.Issuer}, "keyFiles": []string{w.plane.ServiceAccountKeyFile()}}
	return gate.Object{
		"clusters": []any{cluster},
		"authentication": gate.Object{
			"proxyHeader":          gate.Object{"caFiles": []string{authorities[portalCA]}, "allowedNames": []string{portalName}},
			"clientCertificate":    gate.Object{"caFiles": []string{authorities[peopleCA]}},
			"staticToken":          gate.Object{"file": w.tokenFile},
			"serviceAccountSecret": gate.Object{},
			"tokenRequest":         gate.Object{"maxLifetime": longestToken.String()},
			"bootstrapToken":       gate.Object{"fromCluster": true},
			"jwt":                  gate.Object{"file": authenticationFile},
		},
		"ledger":        w.ledger(),
		"issuer":        issuer,
		"signIn":        signIn,
		"tokenRequests": gate.Object{"maxLifetime": longestToken.String()},
		"tokenReview": gate.Object{
			"callers": []any{gate.Object{
				"name": callerName, "caFiles": []string{authorities[callerCA]}, "allowedNames": []string{callerName},
				"mechanisms": []string{"staticToken", "jwt"},
			}},
		},
	}, nil
}

// hashTokens writes a static token file and has Ostiary replace the tokens in it by hashes.
func (w *world) hashTokens(ctx context.Context, dir string) error {
	var token [tokenBytes]byte
	_, _ = rand.Read(token[:]) // never fails
	w.staticToken = hex.EncodeToString(token[:])
	w.tokenFile = filepath.Join(dir, "tokens.csv")
	if err := pki.WriteFile(w.tokenFile, []byte(w.staticToken+","+person+",u-1,"+group+"\n")); err != nil {
		return err
	}
	w.text("Static tokens are kept as hashes; Ostiary's own command makes them of a clear-text file.")
	w.command("ostiary config hash-tokens tokens.csv && cat tokens.csv")
	cmd := exec.CommandContext(ctx, w.paths[binaries.Ostiary], "config", "hash-tokens", w.tokenFile) //nolint:gosec // just built
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ostiary config hash-tokens: %w\n%s", err, out)
	}
	content, err := os.ReadFile(w.tokenFile)
	if err != nil {
		return err
	}
	w.output(string(content))
	if strings.Contains(string(content), w.staticToken) {
		return errors.New("ostiary config hash-tokens left the token in the file")
	}
	return nil
}

func (w *world) folder(name string) (string, error) {
	dir := filepath.Join(w.dir, name)
	return dir, os.Mkdir(dir, folderMode)
}

// kubectl is kubectl with a kubeconfig of the given name.
func (w *world) kubectl(name string, access kubectl.Access) (kubectl.Command, error) {
	file := filepath.Join(w.dir, name+".kubeconfig")
	return kubectl.Command{
		Path: w.paths[binaries.Kubectl], Kubeconfig: file, PluginDir: filepath.Dir(w.paths[binaries.KubectlOstiary]),
	}, access.Write(file)
}

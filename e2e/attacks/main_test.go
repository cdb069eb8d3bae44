// Package attacks_test attacks Ostiary, the built program, in front of a real kube-apiserver, in both identity modes.
// Every attack has a twin: the same request without what is hostile in it passes, or the same request sent straight to
// kube-apiserver, where no guard stands, succeeds. What happened is judged by what the API server saw (its
// SelfSubjectReview answers and its audit log) and by the gate's access log.
//
// The numbers in test names are those of the project's list of attacks on gateways. Covered here:
//
//   - headers: 1, 2, 3, 5, 6, 8, 18, 20, 21 (headers_test.go); 4, 9, 10, 11, 12 (impersonateheaders_test.go); over
//     HTTP/2 5, 8, 20, 67, 78, 81 (http2_test.go);
//   - what identities hold: 13, 14, 23, 24, 25 (names_test.go); 15, 16, 17 (credentials_test.go);
//   - acting as others: 26 to 33, 36; the gate's own power: 22, 37, 40 (impersonation_test.go);
//   - certificates and TLS: 64 to 66, 68, 69, 72, 73 (certificates_test.go);
//   - requests: 67, 75 to 80 (requests_test.go); 83, 84 (records_test.go).
//
// Not covered, and why:
//
//   - 7: the configuration has no word for header names of the API server's own choice, so only the standard ones are
//     stripped; an API server that reads others must not be put behind the gate;
//   - 19: there is no PROXY protocol;
//   - 34: what the gate may do in a cluster is granted by whoever deploys it, and no manifest for that exists yet;
//   - 35: the gate has no fallback that passes a caller's own token on;
//   - 38, 39: they concern a proxy in front of the gate, a mechanism that does not exist yet;
//   - 67, in so far as clusters could have CAs of their own: all clusters share one listener and one set of CAs, and no
//     name that the client sends chooses between them;
//   - 69, serial zero: Go issues no such certificate;
//   - 29, in so far as reviews stop when the client hangs up: package impersonation's own tests show it;
//   - 70, 71, 74: there is neither an issuer nor a revocation yet; 64, 65 and 66 are shown with a CA taken away in place
//     of a revocation;
//   - 82: streams end neither by revocation nor by expiry yet.
package attacks_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubelet"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// audience is whom the issuer's tokens are for, and keyID the key that signs them.
	audience = "ostiary"
	keyID    = "key-1"
	// podName is the pod that streams are opened to.
	podName = "target"
)

// The identity modes.
const (
	requestHeader = "requestHeader"
	impersonation = "impersonation"
)

// mode is a gate in one identity mode.
type mode struct {
	name string
	gate *gate.Gate
}

// shared is what all tests of this package use; TestMain makes it.
var shared struct {
	dir          string
	paths        binaries.Paths
	plane        *controlplane.ControlPlane
	node         *kubelet.Node
	issuer       *minter.Minter
	frontProxy   *pki.KeyPair
	impersonator string
	modes        []mode
	// tokens are the static tokens by user.
	tokens map[string]string
}

func TestMain(m *testing.M) {
	stage.Main(m, append(binaries.ControlPlane(), binaries.Ostiary), set)
}

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.dir, err = s.Folder(); err != nil {
		return err
	}
	if shared.issuer, err = s.Issuer(ctx, keyID); err != nil {
		return err
	}
	if err = startPlane(ctx, s); err != nil {
		return err
	}
	if shared.node, err = s.Node(ctx, shared.plane); err != nil {
		return err
	}
	if _, err = shared.node.RunPod(ctx, "default", podName); err != nil {
		return err
	}
	if err = grant(ctx); err != nil {
		return err
	}
	for _, name := range []string{requestHeader, impersonation} {
		config, err := configuration(name)
		if err != nil {
			return err
		}
		g, err := s.Gate(ctx, config)
		if err != nil {
			return err
		}
		shared.modes = append(shared.modes, mode{name, g})
	}
	s.AtEnd(searchForSecrets)
	return awaitDirectJWT(ctx)
}

// startPlane starts a control plane that knows the same static tokens and the same issuer as the gates do, so that one
// request can be sent to either.
func startPlane(ctx context.Context, s *stage.Stage) error {
	shared.tokens = map[string]string{}
	var tokenFile strings.Builder
	for _, user := range []struct{ name, groups string }{
		{"jane", "platform,developers"}, {"boss", "chiefs"}, {"mallory", "guests"},
	} {
		shared.tokens[user.name] = rand.Text() + rand.Text()
		_, _ = fmt.Fprintf(&tokenFile, "%s,%s,uid-of-%s,%q\n", shared.tokens[user.name], user.name, user.name, user.groups)
	}
	if err := pki.WriteFile(filepath.Join(shared.dir, "tokens.csv"), []byte(tokenFile.String())); err != nil {
		return err
	}
	authentication, err := authenticationConfiguration("")
	if err != nil {
		return err
	}
	policy := filepath.Join(shared.dir, "audit-policy.yaml")
	if err := pki.WriteFile(policy, []byte(auditPolicy)); err != nil {
		return err
	}
	if shared.plane, err = s.Plane(ctx, controlplane.Options{
		TokenFile: tokenFile.String(), AuthenticationConfiguration: authentication,
		ExtraArgs: []string{"--audit-policy-file=" + policy},
	}); err != nil {
		return err
	}
	if shared.frontProxy, err = shared.plane.Authorities.RequestHeader.Issue(pki.Client(controlplane.FrontProxyName)); err != nil {
		return err
	}
	shared.impersonator, err = shared.plane.Impersonator(ctx)
	return err
}

// auditPolicy leaves out what the cluster does for itself, and keeps what access reviews ask.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [e2e-admin, e2e-controller-manager, "system:apiserver"]
- level: None
  userGroups: ["system:nodes"]
- level: Request
  resources: [{group: authorization.k8s.io}]
- level: Metadata
`

// start starts a gate in a mode. change, if not nil, has the last word on its configuration.
func start(ctx context.Context, name string, change func(gate.Object)) (*gate.Gate, error) {
	config, err := configuration(name)
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(config)
	}
	return gate.Start(ctx, gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: config})
}

// configuration is that of a gate in a mode, with all mechanisms on.
func configuration(name string) (gate.Object, error) {
	cluster := gate.Impersonation(shared.plane, "prod", shared.impersonator)
	if name == requestHeader {
		var err error
		if cluster, err = gate.RequestHeader(shared.plane, "prod"); err != nil {
			return nil, err
		}
	}
	return gate.Object{
		"clusters": []any{cluster},
		"authentication": gate.Object{
			"clientCertificate": gate.Object{"caFiles": []any{shared.plane.ClientCAFile()}},
			"staticToken":       gate.Object{"file": filepath.Join(shared.dir, "tokens.csv"), "allowClearText": true},
			"jwt":               gate.Object{"configuration": authenticationObject("")},
			"anonymous":         gate.Object{"paths": []any{"/livez", "/version"}},
		},
	}, nil
}

// awaitDirectJWT waits until kube-apiserver has fetched the issuer's keys, which it does in the background.
func awaitDirectJWT(ctx context.Context) error {
	token, err := mint("early")
	if err != nil {
		return err
	}
	access := shared.plane.Access().WithToken(token)
	config, err := access.REST()
	if err != nil {
		return err
	}
	return poll(ctx, func(ctx context.Context) (bool, error) {
		status, err := get(ctx, config, "/api")
		return status == http.StatusOK, err
	})
}

// searchForSecrets looks for every static token in everything that the gates wrote.
func searchForSecrets() error {
	var found []error
	for _, m := range shared.modes {
		for _, file := range []string{m.gate.AccessLogFile(), m.gate.Process.LogFile()} {
			content, err := os.ReadFile(file)
			found = append(found, err)
			for user, token := range shared.tokens {
				if strings.Contains(string(content), token) {
					found = append(found, fmt.Errorf("%s holds the token of %s", file, user))
				}
			}
			if strings.Contains(string(content), "eyJ") { // how every JWT starts
				found = append(found, fmt.Errorf("%s holds a JWT", file))
			}
		}
	}
	return errors.Join(found...)
}

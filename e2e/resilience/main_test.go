// Package resilience_test takes things away from Ostiary, the built program, while clients use it: configuration,
// certificates, the API server behind it, the gate itself. What must go on goes on, and what ends says why.
package resilience_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubelet"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/scenario"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// audience is whom the issuer's tokens are for, and keyID the key that signs them.
	audience = "ostiary"
	keyID    = "key-1"
	// podName is the pod that streams are opened to.
	podName = "target"
	// user is whom all the credentials of a load name.
	user = "jane"
)

// The identity modes.
const (
	requestHeader = "requestHeader"
	impersonation = "impersonation"
)

// shared is what all tests of this package use; TestMain makes it.
var shared struct {
	paths        binaries.Paths
	plane        *controlplane.ControlPlane
	node         *kubelet.Node
	issuer       *minter.Minter
	impersonator string
}

func TestMain(m *testing.M) { stage.Main(m, binaries.All(), set) }

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.issuer, err = s.Issuer(ctx, keyID); err != nil {
		return err
	}
	if shared.plane, err = s.Plane(ctx, controlplane.Options{}); err != nil {
		return err
	}
	if shared.impersonator, err = shared.plane.Impersonator(ctx); err != nil {
		return err
	}
	if shared.node, err = s.Node(ctx, shared.plane); err != nil {
		return err
	}
	if _, err = shared.node.RunPod(ctx, "default", podName, "sh", "-c", "echo running; exec sleep infinity"); err != nil {
		return err
	}
	return scenario.Prepare(ctx, shared.plane, user)
}

// token is an honest one.
func token(t *testing.T, issuer *minter.Minter, subject string) string {
	t.Helper()
	minted, err := issuer.Mint(minter.Token{Algorithm: "ES256", KeyID: keyID, Claims: issuer.Claims(subject, audience, "platform")})
	if err != nil {
		t.Fatal(err)
	}
	return minted
}

// house is a gate with files of its own, all of which a test may change.
type house struct {
	*gate.Gate
	dir    string
	config gate.Object
	// users signs the load's certificates. The file of the CAs that are to change is separate.
	users                                                     *pki.Authority
	usersFile, changingFile, tokensFile, authenticationConfig string
	// staticToken is the load's.
	staticToken string
}

// build writes the files of a house, and its configuration, but starts nothing.
func build(t *testing.T, mode string) *house {
	t.Helper()
	h := &house{dir: t.TempDir(), staticToken: rand.Text() + rand.Text()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	h.users, err = pki.NewAuthority("users-ca")
	must(err)
	h.usersFile, err = h.users.Write(h.dir, "users-ca")
	must(err)
	h.changingFile, err = h.users.Write(h.dir, "changing-ca")
	must(err)
	h.tokensFile = filepath.Join(h.dir, "tokens.csv")
	must(pki.WriteFile(h.tokensFile, []byte(h.tokenLines())))
	h.authenticationConfig = filepath.Join(h.dir, "authentication.json")
	must(pki.WriteFile(h.authenticationConfig, authentication(t, shared.issuer)))
	cluster := gate.Impersonation(shared.plane, "prod", shared.impersonator)
	if mode == requestHeader {
		cluster, err = gate.RequestHeader(shared.plane, "prod")
		must(err)
	}
	h.config = gate.Object{
		"clusters": []any{cluster},
		"listen":   gate.Object{"drainTimeout": "3s"},
		"authentication": gate.Object{
			"clientCertificate": gate.Object{"caFiles": []any{h.usersFile, h.changingFile}},
			"staticToken":       gate.Object{"file": h.tokensFile, "allowClearText": true},
			"jwt":               gate.Object{"file": h.authenticationConfig},
		},
	}
	return h
}

// open starts the gate of a house. It is stopped at the end of the test, if it still runs.
func open(t *testing.T, mode string) *house {
	t.Helper()
	h := build(t, mode)
	h.start(t)
	return h
}

// start starts the gate, anew or for the first time.
func (h *house) start(t *testing.T) {
	t.Helper()
	g, err := gate.Start(t.Context(), gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: h.config, Dir: h.dir})
	if err != nil {
		t.Fatal(err)
	}
	h.Gate = g
	t.Cleanup(func() {
		select {
		case <-g.Process.Done():
		default:
			if err := g.Stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// tokenLines is the content of the token file with more users in it.
func (h *house) tokenLines(more ...string) string {
	lines := h.staticToken + "," + user + ",uid-of-jane,\"platform,developers\"\n"
	return lines + strings.Join(more, "")
}

// authentication is an AuthenticationConfiguration that takes the tokens of issuers.
func authentication(t *testing.T, issuers ...*minter.Minter) []byte {
	t.Helper()
	var entries []any
	for _, issuer := range issuers {
		entries = append(entries, gate.Object{
			"issuer": gate.Object{"url": issuer.Issuer, "certificateAuthority": string(issuer.CA), "audiences": []any{audience}},
			"claimMappings": gate.Object{
				"username": gate.Object{"claim": "sub", "prefix": ""}, "groups": gate.Object{"claim": "groups", "prefix": ""},
			},
		})
	}
	content, err := json.Marshal(gate.Object{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": entries,
	})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

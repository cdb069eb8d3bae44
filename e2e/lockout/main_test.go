// Package lockout_test guesses at tokens, alone and from ten thousand addresses at once, while people use the gate; and
// shows with the real kubectl what who is locked out is told, and how a lock is taken off.
package lockout_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// deadline bounds every wait of a test, and pollInterval is how often a state is asked for again.
	deadline     = stage.Deadline
	pollInterval = 50 * time.Millisecond
	// jane is a user with a strong token, john one with a weak one, guard who may take locks off.
	jane, john, guard = "jane", "john", "guard"
	// password is john's: what no one should have, and some do.
	password = "swordfish-1968"
	// victimID is the public part of the bootstrap token that is hammered.
	victimID = "victim"
)

// shared is what all tests use; TestMain makes it.
var shared struct {
	paths        binaries.Paths
	plane        *controlplane.ControlPlane
	impersonator string
}

func TestMain(m *testing.M) {
	if attacks, err := attackFromEnvironment(context.Background()); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	} else if attacks {
		os.Exit(0)
	}
	stage.Main(m, binaries.All(), set)
}

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.plane, err = s.Plane(ctx, controlplane.Options{}); err != nil {
		return err
	}
	if shared.impersonator, err = shared.plane.Impersonator(ctx); err != nil {
		return err
	}
	return shared.plane.Grant(ctx, "e2e-lockout-guard", []rbacv1.PolicyRule{{
		APIGroups: []string{"ostiary.dev"}, Resources: []string{"lockouts", "lockouts/unlock", "refusals"}, Verbs: []string{"get", "list", "create"},
	}}, controlplane.User(guard))
}

// house is a gate with people who use it.
type house struct {
	*gate.Gate
	dir    string
	config gate.Object
	users  *pki.Authority
	// strong and guards are tokens of 256 bits; bootstrap is the one that is hammered.
	strong, guards, bootstrap string
}

// open starts a gate with the lockout on, by its defaults unless change says otherwise.
func open(t *testing.T, change func(gate.Object)) *house {
	t.Helper()
	h := &house{dir: t.TempDir(), strong: rand.Text() + rand.Text(), guards: rand.Text() + rand.Text(), bootstrap: victimID + "." + randomPart()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	h.users, err = pki.NewAuthority("users-ca")
	must(err)
	users, err := h.users.Write(h.dir, "users-ca")
	must(err)
	tokens := filepath.Join(h.dir, "tokens.csv")
	must(pki.WriteFile(tokens, []byte(h.strong+","+jane+",1\n"+password+","+john+",2\n"+h.guards+","+guard+",3\n")))
	digest := sha256.Sum256([]byte(h.bootstrap[len(victimID)+1:]))
	bootstrap := filepath.Join(h.dir, "bootstrap.yaml")
	must(pki.WriteFile(bootstrap, []byte("- id: "+victimID+"\n  hash: sha256:"+hex.EncodeToString(digest[:])+"\n  expires: \"2100-01-01T00:00:00Z\"\n")))
	h.config = gate.Object{
		"clusters": []any{gate.Impersonation(shared.plane, "prod", shared.impersonator)},
		"ledger":   gate.Object{"embedded": gate.Object{"directory": filepath.Join(h.dir, "ledger")}},
		"lockout":  gate.Object{},
		"listen":   gate.Object{"drainTimeout": "3s"},
		"authentication": gate.Object{
			"clientCertificate": gate.Object{"caFiles": []any{users}},
			"staticToken":       gate.Object{"file": tokens, "allowClearText": true},
			"bootstrapToken":    gate.Object{"file": bootstrap},
		},
	}
	if change != nil {
		change(h.config)
	}
	h.start(t)
	return h
}

// randomPart is the secret part of a bootstrap token.
func randomPart() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	var part [16]byte
	_, _ = rand.Read(part[:])
	for i, c := range part {
		part[i] = alphabet[int(c)%len(alphabet)]
	}
	return string(part[:])
}

// start starts the gate, anew or for the first time; it is stopped at the end of the test.
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

// as is a kubectl, with the plugin, for whoever has a token.
func (h *house) as(t *testing.T, token string) kubectl.Command {
	t.Helper()
	return h.with(t, h.Access().WithToken(token))
}

func (h *house) with(t *testing.T, access kubectl.Access) kubectl.Command {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := access.Write(file); err != nil {
		t.Fatal(err)
	}
	return kubectl.Command{
		Path: shared.paths[binaries.Kubectl], Kubeconfig: file, PluginDir: filepath.Dir(shared.paths[binaries.KubectlOstiary]),
	}
}

// act runs kubectl and wants it to succeed.
func act(t *testing.T, k kubectl.Command, args ...string) string {
	t.Helper()
	out, err := k.MustSucceed(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// await waits for a state.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for !is() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// metric reads one series of the gate, and 0 where it is not there.
func (h *house) metric(t *testing.T, series string) float64 {
	t.Helper()
	text, err := h.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		return 0
	}
	value, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

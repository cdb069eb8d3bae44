package resilience_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/process"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// TestKilledGate kills a gate under load: the next one works at once, and the log is whole lines.
func TestKilledGate(t *testing.T) {
	h := open(t, requestHeader)
	l := h.load(t)
	stage.Await(t, "some hundred answers", func(context.Context) bool { return l.answered() > 300 })
	if err := h.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	l.stop()
	h.start(t)
	for _, access := range []*caller{
		newCaller(t, "static", h.Access().WithToken(h.staticToken), true),
		newCaller(t, "jwt", h.Access().WithToken(token(t, shared.issuer, user)), true),
		newCaller(t, "certificate", h.Access().WithCertificate(h.certificate(t, h.users)), true),
	} {
		if !access.admitted(t.Context()) {
			t.Errorf("%s is not let in after the restart", access.name)
		}
	}
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(h.AccessLogFile())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(content, []byte("\n")) {
		t.Error("the last line of the access log is not whole")
	}
	lines := 0
	for line := range bytes.Lines(content) {
		lines++
		if !json.Valid(line) {
			t.Errorf("line %d of the access log is no JSON: %s", lines, line)
		}
	}
	t.Logf("%d requests answered, %d lines", l.answered(), lines)
}

// TestHostileStart starts the program with configurations that must not start: exit status 1, every mistake named at
// once, nothing left running. The twin is the configuration that they were made of.
func TestHostileStart(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // after the parallel subtests
	mechanisms := func(c gate.Object) gate.Object { return c["authentication"].(gate.Object) }
	for _, tt := range []struct {
		name   string
		change func(h *house, c gate.Object)
		raw    string // instead of a configuration
		says   []string
	}{
		{name: "empty file", raw: " "},
		{name: "no YAML", raw: "a: [", says: []string{"ostiary.yaml"}},
		{name: "a list", raw: "- a\n"},
		{name: "doubled key", raw: "apiVersion: ostiary.dev/v1alpha1\napiVersion: ostiary.dev/v1alpha1\nkind: Configuration\n", says: []string{"apiVersion"}},
		{name: "another version", change: func(_ *house, c gate.Object) { c["apiVersion"] = "ostiary.dev/v9" }, says: []string{"apiVersion"}},
		{name: "unknown key deep down", change: func(_ *house, c gate.Object) { mechanisms(c)["staticToken"].(gate.Object)["alowClearText"] = true }, says: []string{"alowClearText"}},
		{name: "no mechanism", change: func(_ *house, c gate.Object) { c["authentication"] = gate.Object{} }, says: []string{"authentication"}},
		{name: "no cluster", change: func(_ *house, c gate.Object) { c["clusters"] = []any{} }, says: []string{"clusters"}},
		{name: "cluster over HTTP", change: func(_ *house, c gate.Object) { c["clusters"].([]any)[0].(gate.Object)["server"] = "http://127.0.0.1:1" }, says: []string{"clusters[0].server"}},
		{name: "both identity modes", change: func(_ *house, c gate.Object) {
			c["clusters"].([]any)[0].(gate.Object)["identity"].(gate.Object)["impersonation"] = gate.Object{"kubeconfig": shared.impersonator}
		}, says: []string{"clusters[0].identity"}},
		{name: "two clusters of one name", change: func(_ *house, c gate.Object) {
			c["clusters"] = append(c["clusters"].([]any), c["clusters"].([]any)[0])
		}, says: []string{"clusters[1].name"}},
		{name: "missing file", change: func(_ *house, c gate.Object) { mechanisms(c)["staticToken"].(gate.Object)["file"] = "none.csv" }, says: []string{"none.csv"}},
		{name: "folder for a file", change: func(h *house, c gate.Object) { mechanisms(c)["staticToken"].(gate.Object)["file"] = h.dir }, says: []string{"authentication.staticToken.file"}},
		{name: "clear text that is not allowed", change: func(_ *house, c gate.Object) { mechanisms(c)["staticToken"].(gate.Object)["allowClearText"] = false }, says: []string{"tokens.csv"}},
		{name: "no CA in a CA file", change: func(h *house, _ gate.Object) { h.mustWrite(t, h.usersFile, "nothing\n") }, says: []string{"users-ca"}},
		{name: "private key in a CA file", change: func(h *house, _ gate.Object) {
			files, err := h.users.WriteWithKey(h.dir, "leaked")
			if err != nil {
				t.Fatal(err)
			}
			key, err := os.ReadFile(files.Key)
			if err != nil {
				t.Fatal(err)
			}
			h.mustWrite(t, h.usersFile, string(h.users.PEM())+string(key))
		}, says: []string{"users-ca"}},
		{name: "AuthenticationConfiguration of another kind", change: func(h *house, _ gate.Object) {
			h.mustWrite(t, h.authenticationConfig, `{"apiVersion":"v1","kind":"Pod"}`)
		}, says: []string{"authentication.jwt"}},
		{name: "network that is none", change: func(_ *house, c gate.Object) {
			mechanisms(c)["jwt"].(gate.Object)["allowedNetworks"] = []any{"10.0.0.1/33"}
		}, says: []string{"authentication.jwt.allowedNetworks[0]"}},
		{name: "attack 25 allowed names that are not reserved", change: func(_ *house, c gate.Object) {
			mechanisms(c)["jwt"].(gate.Object)["allowedSystemNames"] = []any{"*"}
		}, says: []string{"allowedSystemNames[0]"}},
		{name: "group rule that vouches", change: func(_ *house, c gate.Object) {
			c["groupRules"] = []any{gate.Object{"name": "x", "add": []any{"system:authenticated"}}}
		}, says: []string{"groupRules[0]"}},
		{name: "endless drain", change: func(_ *house, c gate.Object) { c["listen"].(gate.Object)["drainTimeout"] = "25h" }, says: []string{"listen.drainTimeout"}},
		{name: "port taken", change: func(_ *house, c gate.Object) { c["listen"].(gate.Object)["address"] = taken.Addr().String() }, says: []string{"listen.address"}},
		{name: "admin port taken", change: func(_ *house, c gate.Object) { c["admin"] = gate.Object{"address": taken.Addr().String()} }, says: []string{"admin.address"}},
		{name: "access log in no folder", change: func(h *house, c gate.Object) {
			c["accessLog"] = gate.Object{"file": filepath.Join(h.dir, "none", "access.log")}
		}, says: []string{"access"}},
		{name: "mismatched pair", change: func(h *house, c gate.Object) {
			c["listen"].(gate.Object)["tls"].(gate.Object)["certFile"] = h.usersFile
		}, says: []string{"listen.tls"}},
		{name: "five mistakes at once", change: func(_ *house, c gate.Object) {
			c["clusters"].([]any)[0].(gate.Object)["name"] = "No DNS label"
			c["clusters"].([]any)[0].(gate.Object)["server"] = "ftp://x"
			mechanisms(c)["clientCertificate"].(gate.Object)["maxLifetime"] = "1s"
			mechanisms(c)["staticToken"].(gate.Object)["file"] = "none.csv"
			c["groupRules"] = []any{gate.Object{"name": "x", "match": gate.Object{"mechanisms": []any{"saml"}}, "add": []any{"y"}}}
		}, says: []string{"clusters[0].name", "clusters[0].server", "clientCertificate.maxLifetime", "none.csv", "groupRules[0].match.mechanisms[0]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := build(t, requestHeader)
			config := h.complete(t)
			content := []byte(tt.raw)
			if tt.change != nil {
				tt.change(h, config)
				var err error
				if content, err = yaml.Marshal(config); err != nil {
					t.Fatal(err)
				}
			}
			p := h.run(t, content)
			exit, ok := errors.AsType[*exec.ExitError](p.Err())
			if !ok || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit status 1", p.Err())
			}
			tail := p.LogTail()
			for _, text := range tt.says {
				if !strings.Contains(tail, text) {
					t.Errorf("the log does not name %q:\n%s", text, tail)
				}
			}
			if strings.Contains(tail, h.staticToken) || strings.Contains(tail, "goroutine ") || strings.Contains(tail, "-----BEGIN") {
				t.Errorf("the log tells too much:\n%s", tail)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		t.Parallel()
		if err := open(t, requestHeader).Stop(); err != nil {
			t.Error(err)
		}
	})
}

func (h *house) mustWrite(t *testing.T, file, content string) {
	t.Helper()
	write(t, file, []byte(content))
}

// complete is the house's configuration with everything in it that a gate needs.
func (h *house) complete(t *testing.T) gate.Object {
	t.Helper()
	pair, err := h.users.Issue(pki.Server("ostiary"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := pair.Write(h.dir, "serving")
	if err != nil {
		t.Fatal(err)
	}
	c := h.config
	c["apiVersion"], c["kind"] = "ostiary.dev/v1alpha1", "Configuration"
	c["listen"].(gate.Object)["address"] = "127.0.0.1:0"
	c["listen"].(gate.Object)["tls"] = gate.KeyPair(files)
	c["admin"] = gate.Object{"address": "127.0.0.1:0"}
	c["accessLog"] = gate.Object{"file": filepath.Join(h.dir, "access.log")}
	return c
}

// run runs the program with a configuration, until it ends by itself.
func (h *house) run(t *testing.T, config []byte) *process.Process {
	t.Helper()
	file := filepath.Join(h.dir, "ostiary.yaml")
	write(t, file, config)
	p, err := process.Start(process.Spec{
		Name: "ostiary", Path: shared.paths[binaries.Ostiary], Args: []string{"serve", "--config", file},
		Dir: h.dir, Log: filepath.Join(h.dir, "log-"+rand.Text()),
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-stage.Within(t).Done():
		_ = p.Kill()
		t.Fatalf("the program did not end:\n%s", p.LogTail())
	}
	return p
}

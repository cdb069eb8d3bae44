package audit_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
)

// finding is what the tests look at of a report.
type finding struct {
	Rule     string `json:"rule"`
	State    string `json:"state"`
	Severity string `json:"severity"`
	Subject  string `json:"subject"`
	Message  string `json:"message"`
}

// command is kubectl with the plugin, as the cluster's administrator.
func command(plane *controlplane.ControlPlane) kubectl.Command {
	return kubectl.Command{
		Path: shared.paths[binaries.Kubectl], Kubeconfig: plane.AdminKubeconfig, PluginDir: filepath.Dir(shared.paths[binaries.KubectlOstiary]),
	}
}

// manifest writes down the flags of the API server, as a node has them.
func manifest(t *testing.T, plane *controlplane.ControlPlane) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kube-apiserver.flags")
	if err := os.WriteFile(name, []byte(strings.Join(plane.APIServerArgs, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// audit runs the command and wants an exit code.
func audit(t *testing.T, plane *controlplane.ControlPlane, want int, args ...string) []finding {
	t.Helper()
	result, err := command(plane).Run(t.Context(), append([]string{"ostiary", "audit", "--output", "json"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	if result.ExitCode != want {
		t.Errorf("exit code %d, want %d\n%s", result.ExitCode, want, result.Stderr)
	}
	noSecrets(t, result.Stdout+result.Stderr)
	var read struct {
		Findings []finding `json:"findings"`
	}
	if err := json.Unmarshal([]byte(result.Stdout), &read); err != nil {
		t.Fatalf("%v\n%s", err, result)
	}
	return read.Findings
}

// noSecrets looks for everything that was planted.
func noSecrets(t *testing.T, output string) {
	t.Helper()
	for _, secret := range []string{weakStaticToken, weakJoinSecret, "PRIVATE KEY"} {
		if strings.Contains(output, secret) {
			t.Errorf("the output holds the secret %q", secret)
		}
	}
}

// states gives the worst state of each check.
func states(findings []finding) map[string]string {
	all := map[string]string{}
	for _, f := range findings {
		if _, ok := all[f.Rule]; !ok { // the worst come first
			all[f.Rule] = f.State
		}
	}
	return all
}

func explain(findings []finding, rule string) string {
	var text strings.Builder
	for _, f := range findings {
		if f.Rule == rule {
			text.WriteString(f.State + " " + f.Subject + ": " + f.Message + "\n")
		}
	}
	return text.String()
}

// cases are the checks that are judged live, with what becomes of them on both control planes.
func cases() map[string]struct{ weak, sound string } {
	return map[string]struct{ weak, sound string }{
		"AN-01": {"fail", "pass"},
		"BT-06": {"fail", "pass"},
		"AP-01": {"fail", "pass"},
	}
}

func TestLive(t *testing.T) {
	weak := audit(t, shared.weak, 1, "--manifest", manifest(t, shared.weak), "--read-bootstrap-tokens")
	sound := audit(t, shared.sound, 0, "--manifest", manifest(t, shared.sound), "--read-bootstrap-tokens", "--severity", "critical", "--incomplete-ok")
	weakStates, soundStates := states(weak), states(sound)
	for rule, want := range cases() {
		if got := weakStates[rule]; got != want.weak {
			t.Errorf("%s on the weak cluster: %s, want %s\n%s", rule, got, want.weak, explain(weak, rule))
		}
		if got := soundStates[rule]; got != want.sound {
			t.Errorf("%s on the sound cluster: %s, want %s\n%s", rule, got, want.sound, explain(sound, rule))
		}
	}
}

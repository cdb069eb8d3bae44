package login_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
)

// writeChart writes a Helm chart of one ConfigMap.
func writeChart(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "chart")
	for name, content := range map[string]string{
		"Chart.yaml":               "apiVersion: v2\nname: chart\nversion: 1.0.0\n",
		"values.yaml":              "word: none\n",
		"templates/configmap.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"{{ .Release.Name }}-words\"}\ndata: {word: \"{{ .Values.word }}\"}\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestHelm has a real Helm install, list, upgrade and uninstall a chart with what a login left behind, by a certificate and by a token that is
// bound to one.
func TestHelm(t *testing.T) {
	for credential, mechanism := range map[string]string{"certificate": "issuedCertificate", "token": "issuedToken"} {
		t.Run(credential, func(t *testing.T) {
			if err := shared.planes[0].Grant(t.Context(), "e2e-helm", []rbacv1.PolicyRule{
				{APIGroups: []string{""}, Resources: []string{"configmaps", "secrets"}, Verbs: []string{"*"}},
			}, controlplane.Group("platform")); err != nil {
				t.Fatal(err)
			}
			p := settle(t, open(t, nil))
			said := p.signInSaying("--credential", credential)
			helm := func(args ...string) string {
				t.Helper()
				return p.must(binaries.Helm, append(args, "--kube-context", p.contextOf("prod"), "--namespace", "default")...)
			}
			release, chart := "of-a-"+credential, writeChart(t)
			word := func() string {
				t.Helper()
				return p.kubectl("prod", "get", "configmaps", release+"-words", "--namespace", "default", "-o", "jsonpath={.data.word}")
			}
			helm("install", release, chart, "--set", "word=first")
			if got := word(); got != "first" {
				t.Errorf("installed: %q", got)
			}
			if out := helm("list"); !strings.Contains(out, release) || !strings.Contains(out, "deployed") {
				t.Errorf("list:\n%s", out)
			}
			helm("upgrade", release, chart, "--set", "word=second")
			if got := word(); got != "second" {
				t.Errorf("upgraded: %q", got)
			}
			helm("uninstall", release)
			if out := p.kubectl("prod", "get", "configmaps", "--namespace", "default"); strings.Contains(out, release) {
				t.Errorf("it stays:\n%s", out)
			}
			p.came(said, mechanism, "secrets", "create", "list", "delete")
		})
	}
}

// came wants every request to the first cluster to have come with what a login got, those with the given verbs for a resource among them.
func (p *person) came(said signedIn, mechanism, resource string, verbs ...string) {
	p.t.Helper()
	lines, err := p.at.AccessLog()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, line := range lines {
		if line.Cluster != "prod" || line.Kind != "request" {
			continue
		}
		if line.User != jane || line.CredentialID != said.CredentialID || line.Mechanism != mechanism {
			p.t.Errorf("%s %s came with %s %s of %q, want %s %s", line.Method, line.Path, line.Mechanism, line.CredentialID, line.User, mechanism, said.CredentialID)
		}
	}
	for _, verb := range verbs {
		if !slices.ContainsFunc(lines, func(l gate.Line) bool {
			return l.Verb == verb && l.Resource == resource && l.Verdict == "allow" && l.Status < 300
		}) {
			p.t.Errorf("no %s of %s came through the gate", verb, resource)
		}
	}
}

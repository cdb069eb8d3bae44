package tokenreview_test

import (
	"context"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// TestRevokedIsNobody: whom the ledger shuts out is nobody to the API servers that ask, for tokens that they have not seen at once,
// and until it is lifted (G-02, G-22).
func TestRevokedIsNobody(t *testing.T) {
	const guard, account = "guard", "ostiary-account"
	c, ctx := shared.callers[v1], stage.Within(t)
	for name, rule := range map[string]rbacv1.PolicyRule{
		guard:   {APIGroups: []string{"ostiary.dev"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		account: {APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}},
	} {
		if err := c.plane.Grant(ctx, "e2e-"+name, []rbacv1.PolicyRule{rule}, controlplane.User(name)); err != nil {
			t.Fatal(err)
		}
	}
	access, err := c.plane.CertificateAccess(pki.Client(account))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "account.kubeconfig")
	if err := access.Write(kubeconfig); err != nil {
		t.Fatal(err)
	}
	cluster, err := gate.RequestHeader(c.plane, "behind")
	if err != nil {
		t.Fatal(err)
	}
	cluster["access"] = gate.Object{"kubeconfig": kubeconfig}
	authentication := maps.Clone(shared.config["authentication"].(gate.Object)) //nolint:forcetypeassert // made in this package
	users, err := pki.NewAuthority("users-ca")
	if err != nil {
		t.Fatal(err)
	}
	usersFile, err := users.Write(dir, "users-ca")
	if err != nil {
		t.Fatal(err)
	}
	authentication["clientCertificate"] = gate.Object{"caFiles": []any{usersFile}}
	config := maps.Clone(shared.config)
	config["clusters"], config["authentication"] = []any{cluster}, authentication
	config["ledger"] = gate.Object{"embedded": gate.Object{"directory": filepath.Join(dir, "ledger")}}

	// Where the API servers ask there is a gate with a ledger for a while.
	if err := shared.gate.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := startGate(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	})
	g, err := gate.Start(t.Context(), gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: config, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(dir, "guard.kubeconfig")
	if err := g.Access().WithCertificate(issue(t, users, pki.Client(guard))).Write(file); err != nil {
		t.Fatal(err)
	}
	plugin := kubectl.Command{
		Path: shared.paths[binaries.Kubectl], Kubeconfig: file, PluginDir: filepath.Dir(shared.paths[binaries.KubectlOstiary]),
	}
	ostiary := func(args ...string) string {
		t.Helper()
		out, err := plugin.MustSucceed(t.Context(), append([]string{"ostiary"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	comesIn := func(claims map[string]any) bool {
		t.Helper()
		status, body := ask(t, c, mint(t, claims))
		if status != http.StatusOK && status != http.StatusUnauthorized {
			t.Fatalf("%d: %s", status, body)
		}
		return status == http.StatusOK
	}
	jane, john := map[string]any{"sub": "jane"}, map[string]any{"sub": "john"}
	if !comesIn(jane) || !comesIn(john) {
		t.Fatal("somebody is refused before anybody is shut out")
	}
	if out := ostiary("get", "credentials", "--user=oidc:jane"); strings.Count(out, "oidc:jane") != 1 {
		t.Errorf("what was asked about is not on record once:\n%s", out)
	}
	name := strings.TrimPrefix(strings.TrimSpace(ostiary("revoke", "--user=oidc:jane", "--reason=left", "-o", "name")), "revocation.ostiary.dev/")
	if comesIn(jane) {
		t.Error("who is shut out comes in with a new token")
	}
	if !comesIn(john) {
		t.Error("somebody else is refused")
	}
	if _, err := g.WaitAccessLog(stage.Within(t), func(l gate.Line) bool { return l.Kind == "token_review" && l.Reason == "revoked" }); err != nil {
		t.Errorf("not in the access log: %v", err)
	}
	ostiary("lift", name, "--reason=back")
	if !comesIn(jane) {
		t.Error("who is shut out no more is refused")
	}
}

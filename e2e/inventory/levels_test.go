package inventory_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// TestLevels: each level of rights that the project ships reads what it says, and what it leaves unknown is named.
func TestLevels(t *testing.T) {
	access, err := shared.plane.CertificateAccess(pki.Client("auditor"))
	if err != nil {
		t.Fatal(err)
	}
	auditor := filepath.Join(t.TempDir(), "auditor.kubeconfig")
	if err := access.Write(auditor); err != nil {
		t.Fatal(err)
	}
	admin := kubectl.Command{Path: shared.paths[binaries.Kubectl], Kubeconfig: shared.plane.AdminKubeconfig}
	do := func(args ...string) {
		t.Helper()
		if _, err := admin.MustSucceed(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	role := func(name string) string {
		file, err := filepath.Abs(filepath.Join("..", "..", "deploy", "rbac", name))
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	// What no right of the API gives: the files of the control plane, and the log.
	files := []string{"OpenID Connect issuers", "certificate files", "kubeconfig files", "records of use", "static token file", "webhook"}
	objects := []string{"RBAC", "certificate signing requests", "extension-apiserver-authentication", "service accounts"}
	for _, level := range []struct {
		name    string
		grant   func()
		unknown []string
	}{
		{"no rights", func() {}, slices.Concat(files, objects, []string{"aws-auth", "bootstrap tokens", "nodes", "service account token Secrets"})},
		{"level 1", func() {
			do("apply", "-f", role("level-1-objects.yaml"))
			do("create", "clusterrolebinding", "auditor-1", "--clusterrole=ostiary-inventory-objects", "--user=auditor")
			do("create", "rolebinding", "auditor-1", "--namespace=kube-system", "--role=ostiary-inventory-objects", "--user=auditor")
		}, slices.Concat(files, []string{"bootstrap tokens", "service account token Secrets"})},
		{"level 2", func() {
			do("apply", "-f", role("level-2-bootstrap-tokens.yaml"))
			do("create", "rolebinding", "auditor-2", "--namespace=kube-system", "--role=ostiary-inventory-bootstrap-tokens", "--user=auditor")
		}, slices.Concat(files, []string{"service account token Secrets"})},
		{"level 3", func() {
			do("apply", "-f", role("level-3-token-secrets.yaml"))
			do("create", "clusterrolebinding", "auditor-3", "--clusterrole=ostiary-inventory-token-secrets", "--user=auditor")
		}, files},
	} {
		level.grant()
		result := runCommand(t, auditor, 3, "inventory", "--output", "json", "--read-bootstrap-tokens")
		var report inventoryReport
		if err := json.Unmarshal([]byte(result.Stdout), &report); err != nil {
			t.Fatalf("%s: %v\n%s", level.name, err, result)
		}
		var unknown []string
		for _, s := range report.Sources {
			if s.Access != "read" && s.Access != "off" && s.Name != "the gate's ledger" && !slices.Contains([]string{"ConfigMaps", "Secrets", "private key files", "roster"}, s.Name) {
				unknown = append(unknown, s.Name)
			}
		}
		slices.Sort(unknown)
		slices.Sort(level.unknown)
		if diff := cmp.Diff(level.unknown, unknown); diff != "" {
			t.Errorf("%s leaves unknown (-want +got):\n%s", level.name, diff)
		}
	}
}

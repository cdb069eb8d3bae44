package through_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/scenario"
)

func TestScenarios(t *testing.T) {
	for mode, g := range shared.gates {
		t.Run(mode, func(t *testing.T) {
			pair, err := shared.plane.Authorities.Client.Issue(pki.Client("sam", "scenarios"))
			if err != nil {
				t.Fatal(err)
			}
			scenario.Run(t, scenario.Target{
				Access: g.Access().WithCertificate(pair), User: "sam", Kubectl: shared.paths[binaries.Kubectl], Plane: shared.plane, Node: shared.node,
			})
		})
	}
}

// TestSeveralClusters: each cluster has a path of its own, and group rules know which one is asked.
func TestSeveralClusters(t *testing.T) {
	for mode, g := range shared.gates {
		for cluster, want := range map[string][]string{
			"prod":  {"platform", "developers", "system:authenticated"},
			"stage": {"platform", "developers", "stagers", "system:authenticated"},
		} {
			t.Run(mode+" "+cluster, func(t *testing.T) {
				got, err := command(t, g.ClusterAccess(cluster).WithToken(staticToken)).WhoAmI(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got.Groups); diff != "" || got.UID != "uid-of-jane" {
					t.Errorf("uid %q, groups (-want +got):\n%s", got.UID, diff)
				}
			})
		}
	}
}

// TestPlugin: kubectl finds the plugin, and the plugin finds the gate.
func TestPlugin(t *testing.T) {
	dir := filepath.Dir(shared.paths[binaries.KubectlOstiary])
	for mode, g := range shared.gates {
		t.Run(mode, func(t *testing.T) {
			k := command(t, g.Access().WithToken(staticToken)).With("PATH=" + dir + ":/usr/bin:/bin")
			status, err := k.MustSucceed(t.Context(), "ostiary", "status", "-o", "json")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{mode, "jane", "staticToken", `"prod"`} {
				if !strings.Contains(status, want) {
					t.Errorf("status lacks %q:\n%s", want, status)
				}
			}
			if whoami, err := k.MustSucceed(t.Context(), "ostiary", "whoami"); err != nil || !strings.Contains(whoami, "platform") {
				t.Errorf("whoami: %v\n%s", err, whoami)
			}
		})
	}
}

func command(t *testing.T, access kubectl.Access) kubectl.Command {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := access.Write(file); err != nil {
		t.Fatal(err)
	}
	return kubectl.Command{Path: shared.paths[binaries.Kubectl], Kubeconfig: file}
}

package direct_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

func command(t *testing.T, access kubectl.Access) kubectl.Command {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := access.Write(file); err != nil {
		t.Fatal(err)
	}
	return kubectl.Command{Path: shared.paths[binaries.Kubectl], Kubeconfig: file}
}

func TestWhoAmI(t *testing.T) {
	certificate, err := shared.plane.CertificateAccess(pki.Client("jane", "platform", "developers"))
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := pki.NewAuthority("client-ca") // the right name, the wrong key
	if err != nil {
		t.Fatal(err)
	}
	forged, err := stranger.Issue(pki.Client("jane", "system:masters"))
	if err != nil {
		t.Fatal(err)
	}
	jane := []string{"platform", "developers", "system:authenticated"}
	for _, tt := range []struct {
		name   string
		access kubectl.Access
		user   string
		groups []string
	}{
		{"client certificate", certificate, "jane", jane},
		{"static token", shared.plane.Access().WithToken(staticToken), "jane", jane},
		{"wrong token", shared.plane.Access().WithToken(staticToken + "x"), "", nil},
		{"forged certificate", shared.plane.Access().WithCertificate(forged), "", nil},
		{"no credential", shared.plane.Access(), "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := command(t, tt.access).WhoAmI(t.Context())
			if tt.user == "" {
				if err == nil {
					t.Fatalf("let in as %+v, want a refusal", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Username != tt.user {
				t.Errorf("user = %q, want %q", got.Username, tt.user)
			}
			if diff := cmp.Diff(tt.groups, got.Groups); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
		})
	}
}

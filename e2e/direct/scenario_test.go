package direct_test

import (
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/scenario"
)

func TestScenarios(t *testing.T) {
	access, err := shared.plane.CertificateAccess(pki.Client("sam", "scenarios"))
	if err != nil {
		t.Fatal(err)
	}
	scenario.Run(t, scenario.Target{
		Access: access, User: "sam", Kubectl: shared.paths[binaries.Kubectl], Plane: shared.plane, Node: shared.node,
	})
}

// Package login_test has a person sign in with the built kubectl-ostiary, a real OpenID Connect provider's pages, a real browser
// and Ostiary, the built program, in front of two real API servers; and then works with kubectl and client-go.
package login_test

import (
	"context"
	"path/filepath"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/oidcprovider"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	jane     = "jane"
	password = "correct horse battery staple"
	account  = "ostiary-account"
	builder  = "builder" // has a static token
	// deadline bounds every wait.
	deadline = stage.Deadline
)

// shared is what all tests use.
var shared struct {
	paths  binaries.Paths
	planes [2]*controlplane.ControlPlane
}

func TestMain(m *testing.M) { stage.Main(m, append(binaries.All(), binaries.Helm), set) }

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	for i := range shared.planes {
		if shared.planes[i], err = s.Plane(ctx, controlplane.Options{}); err != nil {
			return err
		}
		if err := prepare(ctx, shared.planes[i]); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the gate's account, and lets jane and the pipeline work.
func prepare(ctx context.Context, plane *controlplane.ControlPlane) error {
	if err := plane.Grant(ctx, account, []rbacv1.PolicyRule{
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
		{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}},
	}, controlplane.User(account)); err != nil {
		return err
	}
	if err := plane.Bind(ctx, account+"-keys", "system:service-account-issuer-discovery", controlplane.User(account)); err != nil {
		return err
	}
	// Who revokes, and who issues what needs no certificate.
	if err := plane.Grant(ctx, "e2e-guard", []rbacv1.PolicyRule{{APIGroups: []string{"ostiary.dev"}, Resources: []string{"*"}, Verbs: []string{"*"}}}, controlplane.Group("platform")); err != nil {
		return err
	}
	return plane.Grant(ctx, "e2e-work", []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "namespaces", "serviceaccounts"}, Verbs: []string{"get", "list", "watch", "create", "update"}},
	}, controlplane.Group("platform"), controlplane.Group("system:serviceaccounts:default"), controlplane.User(builder))
}

// place is a gate in front of both clusters, and the provider at which one signs in there.
type place struct {
	*gate.Gate
	provider *oidcprovider.Provider
	caFile   string
}

// open starts a provider and a gate. people is the configuration of people's lifetimes.
func open(t *testing.T, people gate.Object) *place {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	provider, err := oidcprovider.Start(t.Context(), oidcprovider.Options{Users: []oidcprovider.User{{Name: jane, Password: password, Groups: []string{"platform"}}}})
	must(err)
	t.Cleanup(func() {
		if err := provider.Stop(); err != nil {
			t.Error(err)
		}
	})
	authentication, err := provider.AuthenticationConfiguration()
	must(err)
	authenticationFile, providerCA, root := filepath.Join(dir, "authentication.yaml"), filepath.Join(dir, "provider-ca.pem"), filepath.Join(dir, "issuer.pem")
	must(pki.WriteFile(authenticationFile, authentication))
	must(pki.WriteFile(providerCA, provider.CA))
	run(t, nil, shared.paths[binaries.Ostiary], "issuer", "new-root", root)
	var clusters []any
	for i, name := range []string{"prod", "test"} {
		plane := shared.planes[i]
		cluster, err := gate.RequestHeader(plane, name)
		must(err)
		access, err := plane.CertificateAccess(pki.Client(account))
		must(err)
		kubeconfig := filepath.Join(dir, name+"-account.kubeconfig")
		must(access.Write(kubeconfig))
		cluster["access"] = gate.Object{"kubeconfig": kubeconfig}
		cluster["serviceAccounts"] = gate.Object{"issuers": []string{controlplane.Issuer}, "keysFromCluster": true}
		clusters = append(clusters, cluster)
	}
	signIn := gate.Object{"providers": []any{gate.Object{
		"name": "corp", "issuer": provider.Issuer, "clientID": provider.ClientID, "certificateAuthorityFile": providerCA,
	}}}
	if people != nil {
		signIn["people"] = people
	}
	p := &place{provider: provider, caFile: filepath.Join(dir, "gate-ca.pem")}
	p.Gate, err = gate.Start(t.Context(), gate.Options{Ostiary: shared.paths[binaries.Ostiary], Dir: dir, Config: gate.Object{
		"clusters":       clusters,
		"ledger":         gate.Object{"embedded": gate.Object{"directory": filepath.Join(dir, "ledger")}},
		"issuer":         gate.Object{"rootFile": root},
		"signIn":         signIn,
		"authentication": gate.Object{"tokenRequest": gate.Object{}, "jwt": gate.Object{"file": authenticationFile}},
	}})
	must(err)
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	must(pki.WriteFile(p.caFile, p.CA))
	return p
}

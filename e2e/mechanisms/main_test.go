// Package mechanisms_test runs what people and machines do with the tokens of a cluster's own, through gates in both
// identity modes, and has an API server ask Ostiary about tokens.
package mechanisms_test

import (
	"context"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// accountName is the gates' own account on the cluster.
	accountName = "ostiary-account"
	// joinToken is a bootstrap token of the cluster.
	joinID, joinSecret = "joinid", "q7x2m9k4w1z8r5t3"
	joinToken          = joinID + "." + joinSecret
	robot              = "robot"
)

// shared is what all tests use; TestMain makes it.
var shared struct {
	paths binaries.Paths
	plane *controlplane.ControlPlane
	// gates are hardened, one in each identity mode; twin does as kube-apiserver does.
	gates map[string]*gate.Gate
	twin  *gate.Gate
}

func TestMain(m *testing.M) { stage.Main(m, binaries.All(), set) }

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.plane, err = s.Plane(ctx, controlplane.Options{}); err != nil {
		return err
	}
	if err := prepare(ctx); err != nil {
		return err
	}
	account, err := account(ctx)
	if err != nil {
		return err
	}
	frontProxy, err := gate.RequestHeader(shared.plane, "plane")
	if err != nil {
		return err
	}
	impersonator, err := shared.plane.Impersonator(ctx)
	if err != nil {
		return err
	}
	shared.gates = make(map[string]*gate.Gate)
	for mode, cluster := range map[string]gate.Object{
		"requestHeader": frontProxy, "impersonation": gate.Impersonation(shared.plane, "plane", impersonator),
	} {
		if shared.gates[mode], err = s.Gate(ctx, configuration(cluster, account, true)); err != nil {
			return err
		}
	}
	shared.twin, err = s.Gate(ctx, configuration(frontProxy, account, false))
	return err
}

// configuration is that of a gate for the cluster's own tokens.
func configuration(cluster gate.Object, account string, hardened bool) gate.Object {
	cluster["access"] = gate.Object{"kubeconfig": account}
	cluster["serviceAccounts"] = gate.Object{"issuers": []string{controlplane.Issuer}, "keysFromCluster": true}
	authentication := gate.Object{
		"clientCertificate": gate.Object{"caFiles": []string{shared.plane.ClientCAFile()}, "allowedSystemNames": []string{"system:node:*", "system:nodes", "system:masters"}},
	}
	config := gate.Object{"clusters": []any{cluster}, "authentication": authentication}
	if hardened {
		authentication["serviceAccountSecret"] = gate.Object{"maxIdle": "720h"}
		authentication["tokenRequest"] = gate.Object{"maxLifetime": "1h"}
		authentication["bootstrapToken"] = gate.Object{"fromCluster": true, "maxUses": 2}
		config["tokenRequests"] = gate.Object{"maxLifetime": "1h"}
		config["groupRules"] = []any{gate.Object{"name": "robots", "match": gate.Object{"mechanisms": []string{"tokenRequest"}}, "add": []string{"robots"}}}
	} else {
		for _, name := range []string{"serviceAccountSecret", "tokenRequest"} {
			authentication[name] = gate.Object{"profile": "kubernetes"}
		}
		authentication["bootstrapToken"] = gate.Object{"fromCluster": true, "profile": "kubernetes"}
	}
	return config
}

// account is the gates' own account, with the rights that docs/rbac.md names.
func account(ctx context.Context) (string, error) {
	user := controlplane.User(accountName)
	if err := shared.plane.Grant(ctx, accountName, []rbacv1.PolicyRule{
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch"}},
	}, user); err != nil {
		return "", err
	}
	if err := shared.plane.Bind(ctx, accountName+"-keys", "system:service-account-issuer-discovery", user); err != nil {
		return "", err
	}
	access, err := shared.plane.CertificateAccess(pki.Client(accountName))
	if err != nil {
		return "", err
	}
	file := filepath.Join(shared.plane.Dir, accountName+".kubeconfig")
	return file, access.Write(file)
}

// prepare makes a bootstrap token and a ServiceAccount. RBAC lets bootstrap tokens do more than joining needs.
func prepare(ctx context.Context) error {
	plane := shared.plane
	for name, role := range map[string]string{
		"join": "system:node-bootstrapper", "join-approved": "system:certificates.k8s.io:certificatesigningrequests:nodeclient", "join-too-much": "view",
	} {
		if err := plane.Bind(ctx, name, role, controlplane.Group("system:bootstrappers")); err != nil {
			return err
		}
	}
	if err := plane.Bind(ctx, "robots", "view", controlplane.Group("robots")); err != nil {
		return err
	}
	core := plane.Admin.CoreV1()
	if _, err := core.Secrets(metav1.NamespaceSystem).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + joinID}, Type: "bootstrap.kubernetes.io/token",
		StringData: map[string]string{"token-id": joinID, "token-secret": joinSecret, "usage-bootstrap-authentication": "true"},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err := core.ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: robot}}, metav1.CreateOptions{})
	return err
}

// Package ledger_test shows out people and credentials of every mechanism at a real API server, and looks for what a ledger
// must not give away.
package ledger_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	guard       = "guard"
	person      = "jane"
	robot       = "robot"
	robotUser   = "system:serviceaccount:default:" + robot
	joinID      = "joinid"
	joinUser    = "system:bootstrap:" + joinID
	portalName  = "portal"
	audience    = "ostiary"
	keyID       = "key-1"
	accountName = "ostiary-account"
)

// shared is what all tests use.
var shared struct {
	paths  binaries.Paths
	plane  *controlplane.ControlPlane
	issuer *minter.Minter
	// account and webhook are kubeconfigs of the gates'.
	account, webhook string
	// foreignToken is one that the cluster knows and the gate does not.
	foreignToken, joinSecret string
}

func TestMain(m *testing.M) { stage.Main(m, binaries.All(), set) }

func set(ctx context.Context, s *stage.Stage) (err error) {
	shared.paths = s.Paths
	if shared.issuer, err = s.Issuer(ctx, keyID); err != nil {
		return err
	}
	shared.foreignToken, shared.joinSecret = rand.Text(), "q7x2m9k4w1z8r5t3"
	if shared.plane, err = s.Plane(ctx, controlplane.Options{TokenFile: shared.foreignToken + "," + person + ",u-1,platform\n"}); err != nil {
		return err
	}
	return prepare(ctx)
}

// prepare makes the gate's account, who may revoke, a bootstrap token and a ServiceAccount.
func prepare(ctx context.Context) error {
	plane, account := shared.plane, controlplane.User(accountName)
	if err := plane.Grant(ctx, accountName, []rbacv1.PolicyRule{
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
		{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}},
		{APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"certificatesigningrequests"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch"}},
	}, account); err != nil {
		return err
	}
	if err := plane.Bind(ctx, accountName+"-keys", "system:service-account-issuer-discovery", account); err != nil {
		return err
	}
	if err := plane.Grant(ctx, "e2e-guard", []rbacv1.PolicyRule{
		{APIGroups: []string{"ostiary.dev"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		{APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"certificatesigningrequests"}, Verbs: []string{"list"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list"}},
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}},
	}, controlplane.User(guard)); err != nil {
		return err
	}
	access, err := plane.CertificateAccess(pki.Client(accountName))
	if err != nil {
		return err
	}
	shared.account = filepath.Join(plane.Dir, accountName+".kubeconfig")
	if err := access.Write(shared.account); err != nil {
		return err
	}
	access.Server += "/apis/authentication.k8s.io/v1/tokenreviews"
	shared.webhook = filepath.Join(plane.Dir, "webhook.kubeconfig")
	if err := access.Write(shared.webhook); err != nil {
		return err
	}
	core := plane.Admin.CoreV1()
	if _, err := core.Secrets(metav1.NamespaceSystem).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + joinID}, Type: "bootstrap.kubernetes.io/token",
		StringData: map[string]string{"token-id": joinID, "token-secret": shared.joinSecret, "usage-bootstrap-authentication": "true"},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err = core.ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: robot}}, metav1.CreateOptions{})
	return err
}

// house is a gate with all eight mechanisms and a ledger.
type house struct {
	*gate.Gate
	users, portals *pki.Authority
	usersFile      string
	config         gate.Object
	staticToken    string
	guard          kubectl.Command
	admin          *pki.KeyPair
}

// open starts a gate. change changes its configuration before that.
func open(t *testing.T, change func(*house)) *house {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	h := &house{staticToken: rand.Text() + rand.Text()}
	var err error
	h.users, err = pki.NewAuthority("users-ca")
	must(err)
	h.usersFile, err = h.users.Write(dir, "users-ca")
	must(err)
	h.portals, err = pki.NewAuthority("portals-ca")
	must(err)
	portalsFile, err := h.portals.Write(dir, "portals-ca")
	must(err)
	tokens := filepath.Join(dir, "tokens.csv")
	must(pki.WriteFile(tokens, []byte(h.staticToken+","+person+",u-1,platform\n")))
	authentication, err := json.Marshal(gate.Object{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": []any{gate.Object{
			"issuer":        gate.Object{"url": shared.issuer.Issuer, "certificateAuthority": string(shared.issuer.CA), "audiences": []any{audience}},
			"claimMappings": gate.Object{"username": gate.Object{"claim": "sub", "prefix": ""}, "groups": gate.Object{"claim": "groups", "prefix": ""}},
		}},
	})
	must(err)
	authenticationFile := filepath.Join(dir, "authentication.json")
	must(pki.WriteFile(authenticationFile, authentication))
	cluster, err := gate.RequestHeader(shared.plane, "prod")
	must(err)
	cluster["access"] = gate.Object{"kubeconfig": shared.account}
	cluster["serviceAccounts"] = gate.Object{"issuers": []string{controlplane.Issuer}, "keysFromCluster": true}
	h.config = gate.Object{
		"clusters": []any{cluster},
		"ledger":   gate.Object{"embedded": gate.Object{"directory": filepath.Join(dir, "ledger")}, "certificateSigningRequests": true},
		"authentication": gate.Object{
			"proxyHeader":          gate.Object{"caFiles": []string{portalsFile}, "allowedNames": []string{portalName}},
			"clientCertificate":    gate.Object{"caFiles": []string{h.usersFile, shared.plane.ClientCAFile()}},
			"staticToken":          gate.Object{"file": tokens, "allowClearText": true},
			"serviceAccountSecret": gate.Object{},
			"tokenRequest":         gate.Object{},
			"bootstrapToken":       gate.Object{"fromCluster": true},
			"jwt":                  gate.Object{"file": authenticationFile},
			"webhook":              gate.Object{"kubeconfig": shared.webhook, "version": "v1"},
		},
	}
	h.admin, err = h.users.Issue(pki.Client(guard))
	must(err)
	if change != nil {
		change(h)
	}
	h.Gate, err = gate.Start(t.Context(), gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: h.config, Dir: dir})
	must(err)
	t.Cleanup(func() {
		if err := h.Stop(); err != nil {
			t.Error(err)
		}
	})
	h.guard = h.as(t, h.Access().WithCertificate(h.admin))
	return h
}

// ledger is that part of the configuration.
func (h *house) ledger() gate.Object { ledger, _ := h.config["ledger"].(gate.Object); return ledger }

// as is a kubectl, with the plugin, for whoever has a credential.
func (h *house) as(t *testing.T, access kubectl.Access) kubectl.Command {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := access.Write(file); err != nil {
		t.Fatal(err)
	}
	return kubectl.Command{
		Path: shared.paths[binaries.Kubectl], Kubeconfig: file, PluginDir: filepath.Dir(shared.paths[binaries.KubectlOstiary]),
	}
}

// ostiary runs "kubectl ostiary" as the guard and wants it to succeed.
func (h *house) ostiary(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.guard.MustSucceed(t.Context(), append([]string{"ostiary"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// credential is one way to come in.
type credential struct {
	name, user string
	access     kubectl.Access
	header     http.Header
	secrets    []string // that nobody may find
}

// comesIn asks with the credential, and returns the status and the body.
func (c *credential) comesIn(t *testing.T) (int, string) {
	t.Helper()
	config, err := c.access.REST()
	if err != nil {
		t.Fatal(err)
	}
	return ask(t, config, c.header, c.access.Server)
}

// fingerprint is a certificate's credential id.
func fingerprint(pair *pki.KeyPair) string {
	sum := sha256.Sum256(pair.Certificate.Raw)
	return "X509SHA256=" + hex.EncodeToString(sum[:])
}

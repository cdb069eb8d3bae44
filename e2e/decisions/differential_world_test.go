package decisions_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// gateAccount is the gates' own account on the API server.
const gateAccount = "ostiary-account"

// webhookTokens are those that the webhook alone knows: a second API server, whose TokenReview API it is.
const webhookTokens = "wh-alice,wendy,uid-w,\"dev,ops\"\n" +
	"wh-empty-user,,uid-w,dev\n" +
	"wh-masters,walter,,system:masters\n" +
	"wh-node,system:node:one,,system:nodes\n" +
	"wh-empty-groups,wanda,,\"\"\n" +
	"wh-ünï,Wünï Жук,uid-ü,группа\n"

// everything is an API server with all mechanisms on, and two gates in front of that same one: one that does as it does,
// and one that is hardened.
type everything struct {
	plane, peer             *controlplane.ControlPlane
	reference               server
	kubernetes, hardened    server
	accounts                *minter.Minter // signs tokens of ServiceAccounts, with the API server's own key
	keyID, oldKeyID         string
	certificates            map[string]*tls.Certificate
	objects                 map[string]*corev1.ServiceAccount
	secretTokens, bootstrap map[string]string
	podUID, nodeUID         string
}

// start starts it all.
func (e *everything) start(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	e.peer, err = controlplane.Start(ctx, controlplane.Options{Binaries: shared.paths, NoControllerManager: true, TokenFile: webhookTokens})
	must(err)
	t.Cleanup(func() { must(e.peer.Stop()) })
	must(e.peer.Grant(ctx, gateAccount, []rbacv1.PolicyRule{
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
	}, controlplane.User(gateAccount)))
	asking, err := e.peer.CertificateAccess(pki.Client(gateAccount))
	must(err)
	asking.Server += "/apis/authentication.k8s.io/v1/tokenreviews"
	webhookFile := filepath.Join(t.TempDir(), "webhook.kubeconfig")
	must(asking.Write(webhookFile))

	oldKeyFile := e.keys(t)
	e.plane, err = controlplane.Start(ctx, controlplane.Options{
		Binaries: shared.paths, NoControllerManager: true, Anonymous: true, TokenFile: tokenFile + emptyUserLine,
		AuthenticationConfiguration: shared.issuers.configuration(),
		ExtraArgs: []string{
			"--api-audiences=" + audience + "," + controlplane.Issuer, "--service-account-key-file=" + oldKeyFile,
			"--authentication-token-webhook-config-file=" + webhookFile, "--authentication-token-webhook-version=v1",
			"--authentication-token-webhook-cache-ttl=1s",
		},
	})
	must(err)
	t.Cleanup(func() { must(e.plane.Stop()) })
	must(e.plane.Bind(ctx, "whoami", "system:basic-user",
		controlplane.Group("system:unauthenticated"), controlplane.User("system:anonymous")))
	e.reference, err = newServer("kube-apiserver", e.plane.URL, e.plane.CA())
	must(err)
	must(e.signingKey())
	must(e.makeObjects(ctx))
	must(e.issueCertificates())
	account := e.account(t)
	for _, one := range []struct {
		into     *server
		name     string
		hardened bool
	}{{&e.kubernetes, "gate with the profile kubernetes", false}, {&e.hardened, "hardened gate", true}} {
		started, err := gate.Start(ctx, gate.Options{
			Ostiary: shared.paths[binaries.Ostiary], Config: e.configuration(t, account, webhookFile, oldKeyFile, one.hardened),
		})
		must(err)
		t.Cleanup(func() { must(started.Stop()) })
		*one.into, err = newServer(one.name, started.URL, started.CA)
		must(err)
	}
}

// keys makes the key that is rotated out, and starts what signs with it.
func (e *everything) keys(t *testing.T) (publicFile string) {
	t.Helper()
	var err error
	if e.accounts, err = minter.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.accounts.Stop() })
	old, err := pki.NewKey(pki.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := pki.NewKey(pki.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	e.accounts.AddKey("old", old)
	e.accounts.AddKey("stranger", stranger)
	e.oldKeyID = keyID(t, old)
	public, err := pki.PublicKeyPEM(old.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicFile = filepath.Join(t.TempDir(), "old.pub")
	if err := pki.WriteFile(publicFile, public); err != nil {
		t.Fatal(err)
	}
	return publicFile
}

// keyID is the id that Kubernetes gives a key (SAB-3).
func keyID(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// signingKey reads the API server's own key.
func (e *everything) signingKey() error {
	content, err := os.ReadFile(e.plane.ServiceAccountSigningKeyFile())
	if err != nil {
		return err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return errors.New("the API server's key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return errors.New("the API server's key signs nothing")
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return err
	}
	digest := sha256.Sum256(der)
	e.keyID = base64.RawURLEncoding.EncodeToString(digest[:])
	e.accounts.AddKey("own", signer)
	return nil
}

// account is the gates' own account on the API server.
func (e *everything) account(t *testing.T) string {
	t.Helper()
	err := e.plane.Grant(t.Context(), gateAccount, []rbacv1.PolicyRule{
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch"}},
	}, controlplane.User(gateAccount))
	if err != nil {
		t.Fatal(err)
	}
	access, err := e.plane.CertificateAccess(pki.Client(gateAccount))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.kubeconfig")
	if err := access.Write(file); err != nil {
		t.Fatal(err)
	}
	return file
}

// configuration turns on for a gate what the API server has on.
func (e *everything) configuration(t *testing.T, account, webhookFile, oldKeyFile string, hardened bool) gate.Object {
	t.Helper()
	written, err := authentication(e.plane, shared.issuers.configuration(), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := gate.RequestHeader(e.plane, "plane")
	if err != nil {
		t.Fatal(err)
	}
	cluster["access"] = gate.Object{"kubeconfig": account}
	cluster["audiences"] = []string{audience, controlplane.Issuer}
	cluster["serviceAccounts"] = gate.Object{"issuers": []string{controlplane.Issuer}, "keyFiles": []string{e.plane.ServiceAccountKeyFile(), oldKeyFile}}
	written["proxyHeader"] = gate.Object{"caFiles": []string{e.plane.RequestHeaderCAFile()}, "allowedNames": []string{controlplane.FrontProxyName}}
	written["serviceAccountSecret"] = gate.Object{}
	written["tokenRequest"] = gate.Object{}
	written["bootstrapToken"] = gate.Object{"fromCluster": true}
	written["webhook"] = gate.Object{"kubeconfig": webhookFile, "version": "v1", "cacheTTL": "1s"}
	delete(written, "audiences")
	for name, mechanism := range written {
		object, ok := mechanism.(gate.Object)
		if !ok || name == "anonymous" {
			continue
		}
		delete(object, "allowedSystemNames")
		if !hardened {
			object["profile"] = "kubernetes"
			delete(object, "allowClearText")
		}
	}
	return gate.Object{"clusters": []any{cluster}, "authentication": written}
}

// issueCertificates makes all certificates once: signing is slow, and what differs is what counts.
func (e *everything) issueCertificates() error {
	stranger, err := pki.NewAuthority("client-ca")
	if err != nil {
		return err
	}
	now := time.Now()
	authorities := e.plane.Authorities
	e.certificates = make(map[string]*tls.Certificate)
	for name, one := range map[string]struct {
		authority *pki.Authority
		leaf      pki.Leaf
	}{
		"user":            {authorities.Client, pki.Client("jane", "dev", "ops")},
		"no groups":       {authorities.Client, pki.Client("jane")},
		"doubled group":   {authorities.Client, pki.Client("jane", "dev", "dev")},
		"unicode":         {authorities.Client, pki.Client("Jänë Жук", "группа")},
		"uid":             {authorities.Client, pki.Leaf{CommonName: "jane", UIDs: []string{"uid-jane"}}},
		"two uids":        {authorities.Client, pki.Leaf{CommonName: "jane", UIDs: []string{"a", "b"}}},
		"empty uid":       {authorities.Client, pki.Leaf{CommonName: "jane", UIDs: []string{""}}},
		"no name":         {authorities.Client, pki.Leaf{Organizations: []string{"dev"}}},
		"masters":         {authorities.Client, pki.Client("mallory", "system:masters")},
		"node":            {authorities.Client, pki.Client("system:node:one", "system:nodes")},
		"anonymous":       {authorities.Client, pki.Client("system:anonymous", "dev")},
		"empty group":     {authorities.Client, pki.Client("jane", "dev", "")},
		"blank name":      {authorities.Client, pki.Client(" jane", "dev")},
		"expired":         {authorities.Client, pki.Leaf{CommonName: "jane", NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}},
		"not yet":         {authorities.Client, pki.Leaf{CommonName: "jane", NotBefore: now.Add(time.Hour), NotAfter: now.Add(2 * time.Hour)}},
		"server usage":    {authorities.Client, pki.Leaf{CommonName: "jane", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}},
		"any usage":       {authorities.Client, pki.Leaf{CommonName: "jane", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}},
		"stranger":        {stranger, pki.Client("jane", "system:masters")},
		"proxy":           {authorities.RequestHeader, pki.Client(controlplane.FrontProxyName)},
		"proxy's name":    {authorities.Client, pki.Client(controlplane.FrontProxyName)},
		"other proxy":     {authorities.RequestHeader, pki.Client("other")},
		"expired proxy":   {authorities.RequestHeader, pki.Leaf{CommonName: controlplane.FrontProxyName, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}},
		"proxy as server": {authorities.RequestHeader, pki.Leaf{CommonName: controlplane.FrontProxyName, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}},
		"proxy by SAN":    {authorities.RequestHeader, pki.Leaf{CommonName: "other", DNSNames: []string{controlplane.FrontProxyName}}},
	} {
		pair, err := one.authority.Issue(one.leaf)
		if err != nil {
			return err
		}
		certificate := pair.TLS()
		e.certificates[name] = &certificate
	}
	return nil
}

// makeObjects makes what tokens speak of.
func (e *everything) makeObjects(ctx context.Context) error {
	core := e.plane.Admin.CoreV1()
	e.objects = make(map[string]*corev1.ServiceAccount)
	for _, name := range []string{"robot", "gone", "renewed", "old"} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if name == "old" { // as accounts were when their Secrets were made for them (SAL-9)
			account.Secrets = []corev1.ObjectReference{{Name: "secret-generated"}}
		}
		account, err := core.ServiceAccounts("default").Create(ctx, account, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		e.objects[name] = account
	}
	if err := core.ServiceAccounts("default").Delete(ctx, "gone", metav1.DeleteOptions{}); err != nil {
		return err
	}
	node, err := core.Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-one"}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	e.nodeUID = string(node.UID)
	automount := false
	pod, err := core.Pods("default").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pod-one"},
		Spec: corev1.PodSpec{
			ServiceAccountName: "robot", AutomountServiceAccountToken: &automount, NodeName: "node-one",
			Containers: []corev1.Container{{Name: "c", Image: "none"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	e.podUID = string(pod.UID)
	if err := e.makeSecretTokens(ctx); err != nil {
		return err
	}
	return e.makeBootstrapTokens(ctx)
}

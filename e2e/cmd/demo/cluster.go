package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstrapsecrets "k8s.io/cluster-bootstrap/token/util"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

const (
	// robotNamespace and robotName are the ServiceAccount that comes in.
	robotNamespace, robotName = "demo", "robot"
	robotSecret               = "robot-token"
	// sampleBootstrapToken stands in Kubernetes' documentation, and therefore in clusters (G-17).
	sampleBootstrapToken = "abcdef.0123456789abcdef"
	// accountName is the gate's own account on the cluster.
	accountName = "ostiary-account"
	// secretDeadline bounds the wait for the controller that writes a token into a Secret.
	secretDeadline = 30 * time.Second
	secretPoll     = 50 * time.Millisecond
)

// account writes the kubeconfig of the gate's own account, which may do what the gate asks of the cluster itself: have
// tokens reviewed, ask who may use the ledger, and watch the bootstrap tokens in kube-system.
func (w *world) account(ctx context.Context) (string, error) {
	err := w.plane.Grant(ctx, accountName, []rbacv1.PolicyRule{
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
		{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}},
	}, controlplane.User(accountName))
	if err != nil {
		return "", err
	}
	err = w.grantIn(ctx, metav1.NamespaceSystem, accountName, controlplane.User(accountName),
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch"}})
	if err != nil {
		return "", err
	}
	access, err := w.plane.CertificateAccess(pki.Client(accountName))
	if err != nil {
		return "", err
	}
	file := filepath.Join(w.dir, accountName+".kubeconfig")
	return file, access.Write(file)
}

// grantIn gives a subject rights in one namespace.
func (w *world) grantIn(ctx context.Context, namespace, name string, subject rbacv1.Subject, rules ...rbacv1.PolicyRule) error {
	meta := metav1.ObjectMeta{Name: name, Namespace: namespace}
	if _, err := w.plane.Admin.RbacV1().Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("grant %s: %w", name, err)
	}
	subject.APIGroup = rbacv1.GroupName
	_, err := w.plane.Admin.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: []rbacv1.Subject{subject},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
	}, metav1.CreateOptions{})
	return err
}

// makeRobot makes the ServiceAccount and lets it see what the group may see. Jane may request tokens for it.
func (w *world) makeRobot(ctx context.Context) error {
	admin := w.plane.Admin.CoreV1()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: robotNamespace}}
	if _, err := admin.Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: robotName}}
	if _, err := admin.ServiceAccounts(robotNamespace).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		return err
	}
	err := w.plane.Bind(ctx, "demo-robot", "view",
		rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: robotNamespace, Name: robotName})
	if err != nil {
		return err
	}
	return w.grantIn(ctx, robotNamespace, "request-tokens", controlplane.Group(group),
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}})
}

// secretOfRobot makes a Secret that holds a token without an end, as people did before tokens could be requested.
func (w *world) secretOfRobot(ctx context.Context) (string, error) {
	secrets := w.plane.Admin.CoreV1().Secrets(robotNamespace)
	_, err := secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: robotSecret, Annotations: map[string]string{corev1.ServiceAccountNameKey: robotName}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, secretDeadline)
	defer cancel()
	ticker := time.NewTicker(secretPoll)
	defer ticker.Stop()
	for {
		secret, err := secrets.Get(ctx, robotSecret, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		if token := secret.Data[corev1.ServiceAccountTokenKey]; len(token) > 0 {
			return string(token), nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return "", errors.New("no controller wrote a token into the Secret")
		}
	}
}

// makeBootstrapTokens puts a strong bootstrap token and the sample one into the cluster, and returns the strong one. RBAC
// lets both do more than joining needs.
func (w *world) makeBootstrapTokens(ctx context.Context) (string, error) {
	for name, role := range map[string]string{"demo-join": "system:node-bootstrapper", "demo-too-much": "view"} {
		if err := w.plane.Bind(ctx, name, role, controlplane.Group(bootstrapapi.BootstrapDefaultGroup)); err != nil {
			return "", err
		}
	}
	strong, err := bootstrapsecrets.GenerateBootstrapToken()
	if err != nil {
		return "", err
	}
	for _, token := range []string{strong, sampleBootstrapToken} {
		id, part, _ := strings.Cut(token, ".")
		_, err := w.plane.Admin.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: bootstrapapi.BootstrapTokenSecretPrefix + id},
			Type:       bootstrapapi.SecretTypeBootstrapToken,
			StringData: map[string]string{
				bootstrapapi.BootstrapTokenIDKey: id, bootstrapapi.BootstrapTokenSecretKey: part,
				bootstrapapi.BootstrapTokenUsageAuthentication: "true",
				bootstrapapi.BootstrapTokenExpirationKey:       time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
			},
		}, metav1.CreateOptions{})
		if err != nil {
			return "", err
		}
	}
	return strong, nil
}

// startOther starts the second API server. It has static tokens of its own, which make its TokenReview API the webhook of
// the gate; and it asks the gate about every token that it does not know itself.
func (w *world) startOther(ctx context.Context) (err error) {
	dir, err := w.folder("other")
	if err != nil {
		return err
	}
	w.foreignToken = rand.Text()
	caller, err := w.callers.Issue(pki.Client(callerName))
	if err != nil {
		return err
	}
	asking := w.gate.Access().WithServer(w.gate.ReviewURL, w.gate.CA).WithCertificate(caller)
	webhookFile := filepath.Join(dir, "webhook.kubeconfig")
	if err := asking.Write(webhookFile); err != nil {
		return err
	}
	w.other, err = controlplane.Start(ctx, controlplane.Options{
		Binaries: w.paths, Dir: dir, Progress: w.terminal, NoControllerManager: true,
		TokenFile: w.foreignToken + "," + person + ",u-1," + group + "\n",
		ExtraArgs: []string{
			"--authentication-token-webhook-config-file=" + webhookFile, "--authentication-token-webhook-version=v1",
		},
	})
	if err != nil {
		return err
	}
	w.stops = append(w.stops, w.other.Stop)
	w.good("a second API server is " + w.other.URL + "; its authentication webhook is Ostiary")
	return w.other.Grant(ctx, accountName, []rbacv1.PolicyRule{
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
	}, controlplane.User(accountName))
}

// webhookKubeconfig is how the gate asks the second API server about tokens: its TokenReview API, exactly.
func (w *world) webhookKubeconfig() (string, error) {
	access, err := w.other.CertificateAccess(pki.Client(accountName))
	if err != nil {
		return "", err
	}
	access.Server += "/apis/authentication.k8s.io/v1/tokenreviews"
	file := filepath.Join(w.dir, "tokenreviews-of-other.kubeconfig")
	return file, access.Write(file)
}

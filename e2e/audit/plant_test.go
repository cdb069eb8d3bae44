package audit_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// pollEvery and pollFor bound the wait for controllers.
const (
	pollEvery = 100 * time.Millisecond
	pollFor   = stage.Deadline
)

// until asks again and again until the answer is yes.
func until(ctx context.Context, what string, ready func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, pollFor)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		ok, err := ready(ctx)
		if ok {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s did not come about: %w", what, context.Cause(ctx)), err)
		}
	}
}

// steps does one thing after the other.
func steps(ctx context.Context, w *world, all ...func(context.Context, *world) error) error {
	for i, step := range all {
		if err := step(ctx, w); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// joinable makes a join token and waits until cluster-info is signed with it.
func joinable(ctx context.Context, w *world, id, secret string, ends time.Time, group string) error {
	w.secrets = append(w.secrets, secret)
	data := map[string]string{
		"token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true", "auth-extra-groups": group,
	}
	if !ends.IsZero() {
		data["expiration"] = ends.UTC().Format(time.RFC3339)
	}
	_, err := w.Admin.CoreV1().Secrets("kube-system").Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + id}, Type: corev1.SecretTypeBootstrapToken, StringData: data,
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := until(ctx, "the namespace kube-public", func(ctx context.Context) (bool, error) {
		_, err := w.Admin.CoreV1().Namespaces().Get(ctx, "kube-public", metav1.GetOptions{})
		return err == nil, err
	}); err != nil {
		return err
	}
	_, err = w.Admin.CoreV1().ConfigMaps("kube-public").Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "cluster-info"}, Data: map[string]string{"kubeconfig": "apiVersion: v1\nkind: Config\n"},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return until(ctx, "the signature of cluster-info", func(ctx context.Context) (bool, error) {
		info, err := w.Admin.CoreV1().ConfigMaps("kube-public").Get(ctx, "cluster-info", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		_, ok := info.Data["jws-kubeconfig-"+id]
		return ok, nil
	})
}

// publicClusterInfo lets everybody read cluster-info, as kubeadm does.
func publicClusterInfo(ctx context.Context, w *world) error {
	const name = "kubeadm:bootstrap-signer-clusterinfo"
	_, err := w.Admin.RbacV1().Roles("kube-public").Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"cluster-info"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = w.Admin.RbacV1().RoleBindings("kube-public").Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "system:anonymous"}},
	}, metav1.CreateOptions{})
	return err
}

// signed asks for a client certificate as the client's user, approves it as the administrator, and waits for it.
func signed(ctx context.Context, w *world, client kubernetes.Interface, name string, lifetime time.Duration, organizations ...string) error {
	key, err := pki.NewKey(pki.ECDSAP256)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name, Organization: organizations}}, key)
	if err != nil {
		return err
	}
	seconds := int32(lifetime / time.Second)
	made, err := client.CertificatesV1().CertificateSigningRequests().Create(ctx, &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "audit-"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), SignerName: certificatesv1.KubeAPIServerClientSignerName,
			ExpirationSeconds: &seconds, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	made.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "test"}}
	requests := w.Admin.CertificatesV1().CertificateSigningRequests()
	if _, err := requests.UpdateApproval(ctx, made.Name, made, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return until(ctx, "the certificate of "+name, func(ctx context.Context) (bool, error) {
		now, err := requests.Get(ctx, made.Name, metav1.GetOptions{})
		return err == nil && len(now.Status.Certificate) > 0, err
	})
}

// tokenSecret makes a Secret with a token of an account, waits for the token, and returns it.
func tokenSecret(ctx context.Context, w *world, namespace, account string) (string, error) {
	name := account + "-token"
	_, err := w.Admin.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}}, Type: corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	var token string
	err = until(ctx, "the token of "+account, func(ctx context.Context) (bool, error) {
		secret, err := w.Admin.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		token = string(secret.Data[corev1.ServiceAccountTokenKey])
		return token != "", nil
	})
	w.secrets = append(w.secrets, token)
	return token, err
}

// uses lists something as whoever has a credential, with the kubectl of people, whether that is allowed or not.
func uses(ctx context.Context, access kubectl.Access, w *world, args ...string) error {
	file := filepath.Join(w.Dir, "used.kubeconfig")
	if err := access.Write(file); err != nil {
		return err
	}
	command := kubectl.Command{Path: shared.paths[binaries.Kubectl], Kubeconfig: file}
	_, err := command.Run(ctx, args...)
	return errors.Join(err, os.Remove(file))
}

// mint asks for a token of an account.
func mint(ctx context.Context, w *world, namespace, account string, lifetime time.Duration) error {
	seconds := int64(lifetime / time.Second)
	made, err := w.Admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err == nil {
		w.secrets = append(w.secrets, made.Status.Token)
	}
	return err
}

// write writes a file that goes into the audit under a flag.
func (w *world) write(flag, name, content string) error {
	file := filepath.Join(w.Dir, name)
	w.args = append(w.args, flag, file)
	return pki.WriteFile(file, []byte(content))
}

// kubeconfig writes one that goes into the audit.
func (w *world) kubeconfig(name string, access kubectl.Access) error {
	file := filepath.Join(w.Dir, name+".kubeconfig")
	w.args = append(w.args, "--kubeconfig-file", file)
	return access.Write(file)
}

// clusterRole makes a role and binds it.
func clusterRole(name string, subject rbacv1.Subject, rules ...rbacv1.PolicyRule) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error { return w.Grant(ctx, name, rules, subject) }
}

func bound(name, role string, subject rbacv1.Subject) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error { return w.Bind(ctx, name, role, subject) }
}

func rule(group string, resources []string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
}

var (
	user  = controlplane.User
	group = controlplane.Group
)

package audit_test

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
)

// pollEvery and pollFor bound the wait for controllers.
const (
	pollEvery = 100 * time.Millisecond
	pollFor   = 60 * time.Second
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
			return fmt.Errorf("%s did not come about: %w; the last answer: %w", what, context.Cause(ctx), err)
		}
	}
}

// plant makes the objects that should not be.
func plant(ctx context.Context, c *controlplane.ControlPlane) error {
	if err := joinable(ctx, c, weakJoinID, weakJoinSecret, nil); err != nil {
		return err
	}
	return publicClusterInfo(ctx, c)
}

// plantSound makes what a cluster that is run with care has, too.
func plantSound(ctx context.Context, c *controlplane.ControlPlane) error {
	ends := time.Now().Add(time.Hour)
	return joinable(ctx, c, "k3x9qz", "v7m2c8w4t1p6r0nd", &ends)
}

// joinable makes a join token and waits until cluster-info is signed with it.
func joinable(ctx context.Context, c *controlplane.ControlPlane, id, secret string, ends *time.Time) error {
	data := map[string]string{
		"token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true",
	}
	if ends != nil {
		data["expiration"] = ends.UTC().Format(time.RFC3339)
	}
	_, err := c.Admin.CoreV1().Secrets("kube-system").Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + id}, Type: corev1.SecretTypeBootstrapToken, StringData: data,
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := until(ctx, "the namespace kube-public", func(ctx context.Context) (bool, error) {
		_, err := c.Admin.CoreV1().Namespaces().Get(ctx, "kube-public", metav1.GetOptions{})
		return err == nil, err
	}); err != nil {
		return err
	}
	_, err = c.Admin.CoreV1().ConfigMaps("kube-public").Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "cluster-info"}, Data: map[string]string{"kubeconfig": "apiVersion: v1\nkind: Config\n"},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return until(ctx, "the signature of cluster-info", func(ctx context.Context) (bool, error) {
		info, err := c.Admin.CoreV1().ConfigMaps("kube-public").Get(ctx, "cluster-info", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		_, ok := info.Data["jws-kubeconfig-"+id]
		return ok, nil
	})
}

// publicClusterInfo lets everybody read cluster-info, as kubeadm does.
func publicClusterInfo(ctx context.Context, c *controlplane.ControlPlane) error {
	const name = "kubeadm:bootstrap-signer-clusterinfo"
	_, err := c.Admin.RbacV1().Roles("kube-public").Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"cluster-info"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = c.Admin.RbacV1().RoleBindings("kube-public").Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "system:anonymous"}},
	}, metav1.CreateOptions{})
	return err
}

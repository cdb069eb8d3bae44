package controlplane

import (
	"context"
	"fmt"
	"path/filepath"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// ImpersonatorName is the user as whom Ostiary impersonates.
const ImpersonatorName = "ostiary-gate"

// serviceAccountReady says whether a ServiceAccount is there.
func (c *ControlPlane) serviceAccountReady(ctx context.Context, namespace, name string) error {
	_, err := c.Admin.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
	return err
}

// ImpersonatorRules are all the rights that Ostiary needs where it hands identities on by impersonation, and no other:
// to act as users, groups, ServiceAccounts, UIDs and extras, and to ask what somebody may do. The extras' keys are
// names of subresources, which RBAC cannot match by prefix, so that its rule names all of authentication.k8s.io; the
// only other resources there can be reviewed, not impersonated.
func ImpersonatorRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"users", "groups", "serviceaccounts"}, Verbs: []string{"impersonate"}},
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"*"}, Verbs: []string{"impersonate"}},
		{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}},
	}
}

// Impersonator writes the kubeconfig of a user that has ImpersonatorRules, and grants them. It may be called again.
func (c *ControlPlane) Impersonator(ctx context.Context) (kubeconfig string, err error) {
	if err := c.Grant(ctx, ImpersonatorName, ImpersonatorRules(), rbacv1.Subject{Kind: rbacv1.UserKind, Name: ImpersonatorName}); err != nil {
		return "", err
	}
	access, err := c.CertificateAccess(pki.Client(ImpersonatorName))
	if err != nil {
		return "", err
	}
	file := filepath.Join(c.Dir, ImpersonatorName+".kubeconfig")
	return file, access.Write(file)
}

// Grant makes a cluster role of the given name with the given rules and binds it to the given subjects. One that is
// there already is left as it is.
func (c *ControlPlane) Grant(ctx context.Context, name string, rules []rbacv1.PolicyRule, subjects ...rbacv1.Subject) error {
	_, err := c.Admin.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules,
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("grant %s: %w", name, err)
	}
	return c.Bind(ctx, name, name, subjects...)
}

// Bind binds a cluster role that is there, in all namespaces. A binding that is there already is left as it is.
func (c *ControlPlane) Bind(ctx context.Context, name, clusterRole string, subjects ...rbacv1.Subject) error {
	for i := range subjects {
		if subjects[i].Kind != rbacv1.ServiceAccountKind {
			subjects[i].APIGroup = rbacv1.GroupName
		}
	}
	_, err := c.Admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole},
		Subjects:   subjects,
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("bind %s: %w", name, err)
	}
	return nil
}

// User and Group are subjects for Grant and Bind.
func User(name string) rbacv1.Subject { return rbacv1.Subject{Kind: rbacv1.UserKind, Name: name} }

// Group is a group as a subject for Grant and Bind.
func Group(name string) rbacv1.Subject { return rbacv1.Subject{Kind: rbacv1.GroupKind, Name: name} }

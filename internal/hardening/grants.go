package hardening

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/power"
)

func (in *input) newPolicy() *power.Policy {
	f := in.f
	objects := &power.Objects{
		ClusterRoles: f.ClusterRoles, ClusterRoleBindings: f.ClusterRoleBindings, Roles: f.Roles, RoleBindings: f.RoleBindings,
	}
	for _, account := range f.ServiceAccounts {
		objects.Accounts = append(objects.Accounts, power.Account{Namespace: account.Namespace, Name: account.Name})
	}
	for _, secret := range f.TokenSecrets {
		objects.TokenSecrets = append(objects.TokenSecrets, power.TokenSecret{Namespace: secret.Namespace, Name: secret.Name, Account: secret.ServiceAccount})
	}
	return power.New(objects)
}

// strong says why somebody has the whole cluster; empty where they have not, as far as RBAC says.
func (in *input) strong(user string, groups ...string) string {
	of := in.policy().Of(power.With(user, groups...))
	if !of.Level.IsWholeCluster() {
		return ""
	}
	if len(of.Reasons) == 0 {
		return of.Level.String()
	}
	return of.Reasons[0].String()
}

// strongAccount is strong for a ServiceAccount.
func (in *input) strongAccount(namespace, name string) string {
	key := namespace + "/" + name
	why, known := in.accounts[key]
	if !known {
		if of := in.policy().Of(power.Account{Namespace: namespace, Name: name}.Subject()); of.Level.IsWholeCluster() {
			why = of.Level.String()
		}
		in.accounts[key] = why
	}
	return why
}

// grant is a binding and what it gives.
type grant struct {
	// name is for people, and names the object: "ClusterRoleBinding x" or "RoleBinding ns/x".
	name, namespace string
	roleKind, role  string
	rules           []rbacv1.PolicyRule
	subjects        []rbacv1.Subject
}

// allGrants are all bindings.
func (in *input) allGrants() []grant {
	clusterRoles, roles := map[string][]rbacv1.PolicyRule{}, map[string][]rbacv1.PolicyRule{}
	for i := range in.f.ClusterRoles {
		clusterRoles[in.f.ClusterRoles[i].Name] = in.f.ClusterRoles[i].Rules
	}
	for i := range in.f.Roles {
		roles[in.f.Roles[i].Namespace+"/"+in.f.Roles[i].Name] = in.f.Roles[i].Rules
	}
	var all []grant
	for i := range in.f.ClusterRoleBindings {
		b := &in.f.ClusterRoleBindings[i]
		all = append(all, grant{name: "ClusterRoleBinding " + b.Name, roleKind: b.RoleRef.Kind, role: b.RoleRef.Name, rules: clusterRoles[b.RoleRef.Name], subjects: b.Subjects})
	}
	for i := range in.f.RoleBindings {
		b := &in.f.RoleBindings[i]
		rules := clusterRoles[b.RoleRef.Name]
		if b.RoleRef.Kind == "Role" {
			rules = roles[b.Namespace+"/"+b.RoleRef.Name]
		}
		all = append(all, grant{
			name: "RoleBinding " + b.Namespace + "/" + b.Name, namespace: b.Namespace, roleKind: b.RoleRef.Kind, role: b.RoleRef.Name, rules: rules, subjects: b.Subjects,
		})
	}
	return all
}

// permits reports whether a grant allows a verb on a resource ("secrets", "serviceaccounts/token") for any name, and whether
// for some names only.
func (g *grant) permits(verb, group, resource string) (all, some bool) {
	for i := range g.rules {
		rule := &g.rules[i]
		if !has(rule.Verbs, verb) || !has(rule.APIGroups, group) || !hasResource(rule.Resources, resource) {
			continue
		}
		if len(rule.ResourceNames) == 0 {
			return true, true
		}
		some = true
	}
	return false, some
}

func has(list []string, want string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, want)
}

func hasResource(list []string, want string) bool {
	_, sub, ok := strings.Cut(want, "/")
	return has(list, want) || ok && slices.Contains(list, "*/"+sub)
}

// subjectName is a subject for people.
func subjectName(s *rbacv1.Subject, namespace string) string {
	if s.Kind == rbacv1.ServiceAccountKind {
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		return "ServiceAccount " + namespace + "/" + s.Name
	}
	return s.Kind + " " + s.Name
}

// isComponent reports whether a subject belongs to the cluster itself: its control plane's users and groups, and the
// controllers' accounts in kube-system.
func isComponent(s *rbacv1.Subject) bool {
	if s.Kind == rbacv1.ServiceAccountKind {
		return s.Namespace == "kube-system"
	}
	switch s.Name {
	case "system:authenticated", "system:unauthenticated", "system:anonymous", "system:serviceaccounts":
		return false
	}
	return isSystem(s.Name) && !strings.HasPrefix(s.Name, "system:serviceaccount:") && !strings.HasPrefix(s.Name, "system:serviceaccounts:") &&
		!strings.HasPrefix(s.Name, "system:bootstrap") || s.Name == "kubeadm:cluster-admins"
}

// holders are the subjects, besides components, of grants that a test picks, each with the grant's name.
func (in *input) holders(pick func(*grant) bool) map[string]string {
	all := map[string]string{}
	grants := in.grants()
	for i := range grants {
		g := &grants[i]
		if !pick(g) {
			continue
		}
		for j := range g.subjects {
			if isComponent(&g.subjects[j]) {
				continue
			}
			if name := subjectName(&g.subjects[j], g.namespace); all[name] == "" {
				all[name] = g.name + " to " + g.roleKind + " " + g.role
			}
		}
	}
	return all
}

// shown is a client certificate and where it was seen.
type shown struct {
	where    string
	evidence facts.Evidence
	cert     *facts.Certificate
}

// certificates are all client certificates that are known and not over.
func (in *input) certificates() []shown {
	return slices.DeleteFunc(in.allCertificates(), func(s shown) bool { return !s.cert.NotAfter.After(in.now) })
}

func (in *input) allCertificates() []shown {
	var all []shown
	for i := range in.f.CertificateRequests {
		// One for servers only, such as a kubelet's, lets nobody in.
		if r := &in.f.CertificateRequests[i]; r.Certificate != nil && (r.Certificate.ClientAuth || !r.Certificate.ServerAuth) {
			all = append(all, shown{"CertificateSigningRequest " + r.Name, facts.EvidenceObject, r.Certificate})
		}
	}
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		for j := range k.Users {
			if c := k.Users[j].Certificate; c != nil {
				all = append(all, shown{"user " + k.Users[j].Name + " in " + k.File.Path, facts.EvidenceFile, c})
			}
		}
	}
	for i := range in.f.CertificateFiles {
		file := &in.f.CertificateFiles[i]
		for j := range file.Certificates {
			all = append(all, shown{file.Path, facts.EvidenceFile, &file.Certificates[j]})
		}
	}
	return all
}

// isPerson reports whether a certificate's name is neither the cluster's own nor a program's that kubeadm names.
func isPerson(name string) bool {
	switch name {
	case "kube-apiserver-kubelet-client", "kube-apiserver-etcd-client", "front-proxy-client", "apiserver-kubelet-client":
		return false
	}
	return name != "" && !isSystem(name)
}

package power

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/identity"
)

// MastersGroup is the group whose members are asked nothing: no role binds it, and nothing takes it away from a certificate
// that names it.
const MastersGroup = "system:masters"

// kubeSystem is where the control plane's own accounts and pods are.
const kubeSystem = "kube-system"

// Objects are what a policy is made of.
type Objects struct {
	ClusterRoles        []rbacv1.ClusterRole
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
	Roles               []rbacv1.Role
	RoleBindings        []rbacv1.RoleBinding
	// Accounts are the ServiceAccounts that exist. Without them, paths through accounts are not seen.
	Accounts []Account
	// TokenSecrets are the Secrets with a ServiceAccount's token.
	TokenSecrets []TokenSecret
}

// Account names a ServiceAccount.
type Account struct{ Namespace, Name string }

// Subject is the account as the API server sees a caller that uses it (SAL-14).
func (a Account) Subject() Subject {
	return Subject{
		User:   identity.ServiceAccountPrefix + a.Namespace + ":" + a.Name,
		Groups: []string{identity.GroupServiceAccounts, identity.GroupServiceAccounts + ":" + a.Namespace, identity.GroupAuthenticated},
	}
}

// TokenSecret names a Secret that holds the token of an account in its namespace.
type TokenSecret struct{ Namespace, Name, Account string }

// Subject is a caller, as the API server sees one.
type Subject struct {
	User string
	// Groups must hold system:authenticated where the API server would add it: With does so.
	Groups []string
}

// With is the subject with the group that every authenticated caller has (GRP-1).
func With(user string, groups ...string) Subject {
	id := identity.Identity{Username: user, Groups: groups}
	id.AddAuthenticated()
	return Subject{User: user, Groups: id.Groups}
}

// Request is one request, as an authorizer sees it. With a Path it is one for a path that is no resource.
type Request struct {
	Verb, Group, Resource, Subresource string
	Namespace, Name                    string
	Path                               string
}

// role is a Role or ClusterRole that a binding may name.
type role struct {
	name  string // for people
	rules []rbacv1.PolicyRule
	// abilities are what its rules give without and with names.
	abilities ability
	named     []named
	// acts is the worst kind of verb in it, and basic says that every authenticated caller has it.
	acts  Level
	basic bool
}

// grant is a binding for one of its subjects.
type grant struct {
	binding   string // for people
	namespace string // empty for the whole cluster
	role      *role
}

// Policy answers what subjects may do. It is made by New, and safe for concurrent use.
type Policy struct {
	// grants are by subject: "u:" and a user name, "g:" and a group's.
	grants map[string][]grant
	// inNamespace are those of a namespace alone, everywhere those of the cluster, both with their subjects.
	inNamespace map[string][]bound
	everywhere  []bound
	accounts    map[string][]string      // names by namespace
	secrets     map[string][]TokenSecret // by namespace
	secretNames map[string][]TokenSecret // by name
	byName      map[string][]string      // namespaces that have an account of that name
	strong      strongSet                // who has the whole cluster
	roles       map[string]*role         // by "ClusterRole " and name, "Role " and namespace/name
	// clusterReaders read every Secret, clusterNamed some by name.
	clusterReaders []string
	clusterNamed   []bound
	dangling       []string // bindings that name a role that is not there
}

// bound is a grant and whom it is for.
type bound struct {
	grant

	subject string
}

// New indexes a policy, and finds who has the whole cluster by it.
func New(objects *Objects) *Policy {
	p := &Policy{
		grants: map[string][]grant{}, inNamespace: map[string][]bound{}, accounts: map[string][]string{},
		secrets: map[string][]TokenSecret{}, secretNames: map[string][]TokenSecret{}, byName: map[string][]string{}, roles: map[string]*role{},
	}
	for i := range objects.ClusterRoles {
		one := &objects.ClusterRoles[i]
		p.roles["ClusterRole "+one.Name] = newRole("ClusterRole "+one.Name, one.Rules)
	}
	for i := range objects.Roles {
		one := &objects.Roles[i]
		key := "Role " + one.Namespace + "/" + one.Name
		p.roles[key] = newRole(key, one.Rules)
	}
	for i := range objects.ClusterRoleBindings {
		one := &objects.ClusterRoleBindings[i]
		p.bind("ClusterRoleBinding "+one.Name, "", one.RoleRef, one.Subjects)
	}
	for i := range objects.RoleBindings {
		one := &objects.RoleBindings[i]
		p.bind("RoleBinding "+one.Namespace+"/"+one.Name, one.Namespace, one.RoleRef, one.Subjects)
	}
	for _, account := range objects.Accounts {
		p.accounts[account.Namespace] = append(p.accounts[account.Namespace], account.Name)
		p.byName[account.Name] = append(p.byName[account.Name], account.Namespace)
	}
	for _, secret := range objects.TokenSecrets {
		p.secrets[secret.Namespace] = append(p.secrets[secret.Namespace], secret)
		p.secretNames[secret.Name] = append(p.secretNames[secret.Name], secret)
	}
	p.indexReaders()
	p.findStrong()
	return p
}

// Dangling lists bindings that name a role that is not there. They give nothing until somebody creates it.
func (p *Policy) Dangling() []string { return p.dangling }

// bind adds a binding. One whose role is missing gives nothing, as at the API server.
func (p *Policy) bind(name, namespace string, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
	key := ref.Kind + " " + ref.Name
	if ref.Kind == "Role" {
		key = "Role " + namespace + "/" + ref.Name
	}
	found := p.roles[key]
	if found == nil {
		p.dangling = append(p.dangling, name+" names "+key)
		return
	}
	one := grant{binding: name, namespace: namespace, role: found}
	for i := range subjects {
		key, shown := subjectKey(&subjects[i], namespace)
		if key == "" {
			continue
		}
		p.grants[key] = append(p.grants[key], one)
		if namespace == "" {
			p.everywhere = append(p.everywhere, bound{one, shown})
		} else {
			p.inNamespace[namespace] = append(p.inNamespace[namespace], bound{one, shown})
		}
	}
}

// subjectKey is how a binding's subject is found, and what it is called; empty for one that means nobody. An account is
// found by its user name, so that a binding of kind User may name one, as at the API server.
func subjectKey(subject *rbacv1.Subject, namespace string) (key, shown string) {
	switch subject.Kind {
	case rbacv1.UserKind:
		return userKey(subject.Name), "User " + subject.Name
	case rbacv1.GroupKind:
		return groupKey(subject.Name), "Group " + subject.Name
	case rbacv1.ServiceAccountKind:
		if subject.Namespace != "" {
			namespace = subject.Namespace
		}
		if namespace == "" {
			return "", ""
		}
		return userKey(identity.ServiceAccountPrefix + namespace + ":" + subject.Name), "ServiceAccount " + namespace + "/" + subject.Name
	default:
		return "", ""
	}
}

func userKey(name string) string  { return "u:" + name }
func groupKey(name string) string { return "g:" + name }

// of gives all grants of a subject.
func (p *Policy) of(subject Subject) []grant {
	all := p.grants[userKey(subject.User)]
	all = slices.Clip(all)
	for i, group := range subject.Groups {
		if !slices.Contains(subject.Groups[:i], group) {
			all = append(all, p.grants[groupKey(group)]...)
		}
	}
	return all
}

// Allows decides one request as kube-apiserver's RBAC authorizer does, and says through which binding. Members of
// system:masters are let through before it.
func (p *Policy) Allows(subject Subject, request Request) (through string, allowed bool) {
	if slices.Contains(subject.Groups, MastersGroup) {
		return "group " + MastersGroup, true
	}
	for _, one := range p.of(subject) {
		if one.namespace != "" && (request.Path != "" || one.namespace != request.Namespace) {
			continue
		}
		for i := range one.role.rules {
			if ruleAllows(&one.role.rules[i], &request) {
				return one.through(), true
			}
		}
	}
	return "", false
}

func (g *grant) through() string { return g.binding + " to " + g.role.name }

// ruleAllows is RuleAllows of kube-apiserver's RBAC authorizer.
func ruleAllows(rule *rbacv1.PolicyRule, request *Request) bool {
	if !hasOrAll(rule.Verbs, request.Verb) {
		return false
	}
	if request.Path != "" {
		for _, path := range rule.NonResourceURLs {
			if path == "*" || path == request.Path ||
				strings.HasSuffix(path, "*") && strings.HasPrefix(request.Path, strings.TrimRight(path, "*")) {
				return true
			}
		}
		return false
	}
	return hasOrAll(rule.APIGroups, request.Group) && resourceMatches(rule, request) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, request.Name))
}

func resourceMatches(rule *rbacv1.PolicyRule, request *Request) bool {
	combined := request.Resource
	if request.Subresource != "" {
		combined += "/" + request.Subresource
	}
	for _, resource := range rule.Resources {
		if resource == "*" || resource == combined || request.Subresource != "" && resource == "*/"+request.Subresource {
			return true
		}
	}
	return false
}

func hasOrAll(list []string, value string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, value)
}

package power

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// ability is a set of things that lead, alone or together, to more rights than a role seems to give.
type ability uint32

// The abilities. Kubernetes' page "RBAC Good Practices" says of most of them why they are risky.
const (
	everything               ability = 1 << iota // all verbs on all resources of all groups
	readSecrets                                  // get, list or watch: each returns the values
	writeSecrets                                 // a new Secret of an account is filled with its token
	mintTokens                                   // create serviceaccounts/token
	runPods                                      // a pod runs as any account of its namespace, and on any node
	enterPods                                    // exec, attach, ephemeral containers: whatever the pod has
	proxyNodes                                   // the kubelet's API, which enters every pod and asks no admission
	impersonateUsers                             // any user name
	impersonateGroups                            // any group, system:masters included
	impersonateAccounts                          // any ServiceAccount
	escalateRoles                                // roles may be given more than their writer has
	changeRoles                                  // update or patch Roles
	changeClusterRoles                           // update or patch ClusterRoles
	bindRoles                                    // bindings may give more than their writer has
	writeRoleBindings                            // create, update or patch
	writeClusterRoleBindings                     // create, update or patch
	createRequests                               // ask for a certificate
	approveRequests                              // update certificatesigningrequests/approval
	approveClients                               // for the signer of client certificates
	writeAdmission                               // webhooks and policies that see and change every object
	writeAPIServices                             // take over an API group
	writeVolumes                                 // PersistentVolumes reach the file systems of nodes
	changeNamespaces                             // labels of namespaces switch pod security off
)

// probe is a request that shows an ability.
type probe struct {
	ability ability
	Request
}

const (
	rbacGroup         = "rbac.authorization.k8s.io"
	certificatesGroup = "certificates.k8s.io"
	admissionGroup    = "admissionregistration.k8s.io"
	clientSigner      = "kubernetes.io/kube-apiserver-client"
	anySigner         = "kubernetes.io/*"
)

// probes are the requests for each ability; one that is allowed is enough.
func probes() []probe {
	var all []probe
	add := func(a ability, group, resource, subresource string, verbs ...string) {
		for _, verb := range verbs {
			all = append(all, probe{a, Request{Verb: verb, Group: group, Resource: resource, Subresource: subresource}})
		}
	}
	add(readSecrets, "", "secrets", "", "get", "list", "watch")
	add(writeSecrets, "", "secrets", "", "create")
	add(mintTokens, "", "serviceaccounts", "token", "create")
	add(runPods, "", "pods", "", "create")
	add(runPods, "", "replicationcontrollers", "", "create", "update", "patch")
	for _, workload := range []string{"deployments", "daemonsets", "statefulsets", "replicasets"} {
		add(runPods, "apps", workload, "", "create", "update", "patch")
	}
	for _, workload := range []string{"jobs", "cronjobs"} {
		add(runPods, "batch", workload, "", "create")
	}
	add(runPods, "batch", "cronjobs", "", "update", "patch")
	add(enterPods, "", "pods", "exec", "create", "get")
	add(enterPods, "", "pods", "attach", "create", "get")
	add(enterPods, "", "pods", "ephemeralcontainers", "update", "patch")
	add(proxyNodes, "", "nodes", "proxy", "get", "create")
	add(impersonateUsers, "", "users", "", "impersonate")
	add(impersonateGroups, "", "groups", "", "impersonate")
	add(impersonateAccounts, "", "serviceaccounts", "", "impersonate")
	add(escalateRoles, rbacGroup, "clusterroles", "", "escalate")
	add(escalateRoles, rbacGroup, "roles", "", "escalate")
	add(changeRoles, rbacGroup, "roles", "", "update", "patch")
	add(changeClusterRoles, rbacGroup, "clusterroles", "", "update", "patch")
	add(bindRoles, rbacGroup, "clusterroles", "", "bind")
	add(writeRoleBindings, rbacGroup, "rolebindings", "", "create", "update", "patch")
	add(writeClusterRoleBindings, rbacGroup, "clusterrolebindings", "", "create", "update", "patch")
	add(createRequests, certificatesGroup, "certificatesigningrequests", "", "create")
	add(approveRequests, certificatesGroup, "certificatesigningrequests", "approval", "update", "patch")
	add(approveClients, certificatesGroup, "signers", "", "approve")
	for _, kind := range []string{
		"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "mutatingadmissionpolicies",
	} {
		add(writeAdmission, admissionGroup, kind, "", "create", "update", "patch")
	}
	add(writeAPIServices, "apiregistration.k8s.io", "apiservices", "", "create", "update", "patch")
	add(writeVolumes, "", "persistentvolumes", "", "create")
	add(changeNamespaces, "", "namespaces", "", "update", "patch")
	return all
}

// named are abilities on things of certain names only.
type named struct {
	abilities ability
	names     []string
}

// forSomething are abilities for which one name is as good as all: whoever may change one webhook may change what it does
// to every object.
const forSomething = proxyNodes | writeAdmission | writeAPIServices | enterPods | changeRoles | changeClusterRoles |
	writeRoleBindings | writeClusterRoleBindings | approveRequests

// newRole works out what a role gives.
func newRole(name string, rules []rbacv1.PolicyRule) *role {
	r := &role{name: name, rules: rules, basic: isBasic(name), acts: None}
	all := probes()
	for i := range rules {
		rule := &rules[i]
		r.acts = max(r.acts, acts(rule))
		if len(rule.ResourceNames) == 0 {
			r.abilities |= abilitiesOf(rule, all)
			continue
		}
		unnamed := *rule
		unnamed.ResourceNames = nil
		got := abilitiesOf(&unnamed, all) &^ everything
		r.abilities |= got & forSomething
		if got&approveClients != 0 && (slices.Contains(rule.ResourceNames, clientSigner) || slices.Contains(rule.ResourceNames, anySigner)) {
			r.abilities |= approveClients
		}
		// Only verbs that act on one thing know its name: nothing is created, and nothing is listed without saying which.
		const byName = readSecrets | mintTokens | impersonateUsers | impersonateGroups | impersonateAccounts | bindRoles | escalateRoles
		if got &= byName; got != 0 {
			r.named = append(r.named, named{got, rule.ResourceNames})
		}
	}
	r.basic = r.basic && r.abilities == 0 && len(r.named) == 0 // somebody may have added to it
	return r
}

func abilitiesOf(rule *rbacv1.PolicyRule, all []probe) (got ability) {
	if slices.Contains(rule.Verbs, "*") && slices.Contains(rule.APIGroups, "*") && slices.Contains(rule.Resources, "*") {
		got |= everything
	}
	for i := range all {
		if got&all[i].ability == 0 && ruleAllows(rule, &all[i].Request) {
			got |= all[i].ability
		}
	}
	return got
}

// isBasic reports whether everybody, or every ServiceAccount, has the role in every cluster: it says who they are, what
// there is, and which keys are believed.
func isBasic(name string) bool {
	switch name {
	case "ClusterRole system:basic-user", "ClusterRole system:discovery", "ClusterRole system:public-info-viewer",
		"ClusterRole system:service-account-issuer-discovery", "ClusterRole system:cluster-trust-bundle-discovery":
		return true
	default:
		return false
	}
}

// acts is Write for a rule with a verb that changes something, Read for one that reads, Limited for anything else.
func acts(rule *rbacv1.PolicyRule) Level {
	level := None
	for _, verb := range rule.Verbs {
		switch verb {
		case "get", "list", "watch", "head":
			level = max(level, Read)
		default:
			level = max(level, Write)
		}
	}
	return level
}

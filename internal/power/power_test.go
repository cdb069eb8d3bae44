package power_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/power"
)

// world is a cluster in which ServiceAccount infra/robot is cluster-admin, and its token lies in a Secret. Each test adds
// one role for eve.
func world() *power.Objects {
	o := &power.Objects{
		Accounts:     []power.Account{{Namespace: "infra", Name: "robot"}, {Namespace: "infra", Name: "default"}, {Namespace: "ci", Name: "default"}},
		TokenSecrets: []power.TokenSecret{{Namespace: "infra", Name: "robot-token", Account: "robot"}},
	}
	give(o, "cluster-admin", "", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "infra", Name: "robot"}, rule("*", "*", "*"))
	give(o, "system:basic-user", "", rbacv1.Subject{Kind: "Group", Name: "system:authenticated"}, rule("create", "authentication.k8s.io", "selfsubjectreviews"))
	return o
}

// rule reads lists separated by commas: verbs, groups, resources, and names.
func rule(lists ...string) rbacv1.PolicyRule {
	split := func(i int) []string {
		if i >= len(lists) {
			return nil
		}
		return strings.Split(lists[i], ",")
	}
	return rbacv1.PolicyRule{Verbs: split(0), APIGroups: split(1), Resources: split(2), ResourceNames: split(3)}
}

// give binds a new ClusterRole, in a namespace or in the cluster.
func give(o *power.Objects, role, namespace string, subject rbacv1.Subject, rules ...rbacv1.PolicyRule) {
	o.ClusterRoles = append(o.ClusterRoles, rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: role}, Rules: rules})
	ref := rbacv1.RoleRef{Kind: "ClusterRole", Name: role}
	if namespace == "" {
		o.ClusterRoleBindings = append(o.ClusterRoleBindings, rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: role}, RoleRef: ref, Subjects: []rbacv1.Subject{subject},
		})
		return
	}
	o.RoleBindings = append(o.RoleBindings, rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role, Namespace: namespace}, RoleRef: ref, Subjects: []rbacv1.Subject{subject},
	})
}

func eve() rbacv1.Subject { return rbacv1.Subject{Kind: "User", Name: "eve"} }

const rbacGroup = "rbac.authorization.k8s.io"

// TestLevels: each way to everything is found, and the row below it, which lacks one part of it, is not one.
func TestLevels(t *testing.T) {
	t.Parallel()

	for _, row := range []struct {
		name      string
		namespace string
		rules     []rbacv1.PolicyRule
		want      power.Level
		says      string
	}{
		{"nothing", "", nil, power.None, ""},
		{"reads pods", "ci", []rbacv1.PolicyRule{rule("get,list", "", "pods")}, power.Read, "read some things in ci"},
		{"writes ConfigMaps", "ci", []rbacv1.PolicyRule{rule("get,update", "", "configmaps")}, power.Write, "write some things in ci"},
		{"all of the cluster", "", []rbacv1.PolicyRule{rule("*", "*", "*")}, power.ClusterAdmin, "everything"},
		{"all of a namespace", "ci", []rbacv1.PolicyRule{rule("*", "*", "*")}, power.Namespace, "everything in ci"},
		{"all of a namespace with a strong account", "infra", []rbacv1.PolicyRule{rule("*", "*", "*")}, power.Equivalent, "ServiceAccount infra/robot"},
		{"all but groups", "", []rbacv1.PolicyRule{rule("*", "", "*")}, power.Equivalent, "run pods in every namespace"},

		{"impersonates users and groups", "", []rbacv1.PolicyRule{rule("impersonate", "", "users,groups")}, power.Equivalent, "system:masters"},
		{"impersonates users, none of whom is strong", "", []rbacv1.PolicyRule{rule("impersonate", "", "users")}, power.Strong, "impersonate any user"},
		{"impersonates any group, and one user in it", "", []rbacv1.PolicyRule{rule("impersonate", "", "groups"), rule("impersonate", "", "users", "bob")}, power.Equivalent, "system:masters"},
		{"impersonates any group, and nobody in it", "", []rbacv1.PolicyRule{rule("impersonate", "", "groups")}, power.Write, ""},
		{"impersonates one group, and nobody in it", "", []rbacv1.PolicyRule{rule("impersonate", "", "groups", "system:masters")}, power.Write, ""},
		{"impersonates somebody in a group", "", []rbacv1.PolicyRule{rule("impersonate", "", "groups", "system:masters"), rule("impersonate", "", "users", "bob")}, power.Equivalent, "impersonate group system:masters"},
		{"impersonates a strong account", "infra", []rbacv1.PolicyRule{rule("impersonate", "", "serviceaccounts", "robot")}, power.Equivalent, "become account robot"},
		{"impersonates a weak account", "infra", []rbacv1.PolicyRule{rule("impersonate", "", "serviceaccounts", "default")}, power.Write, ""},

		{"binds roles", "", []rbacv1.PolicyRule{rule("bind", rbacGroup, "clusterroles"), rule("create", rbacGroup, "clusterrolebindings")}, power.Equivalent, "bind any role"},
		{"writes bindings of what it has itself", "", []rbacv1.PolicyRule{rule("create", rbacGroup, "clusterrolebindings")}, power.Write, ""},
		{"binds roles, and may write no binding", "", []rbacv1.PolicyRule{rule("bind", rbacGroup, "clusterroles")}, power.Write, ""},
		{"binds the admin role by name", "", []rbacv1.PolicyRule{rule("bind", rbacGroup, "clusterroles", "cluster-admin"), rule("create", rbacGroup, "clusterrolebindings")}, power.Equivalent, "bind role cluster-admin in the cluster"},
		{"binds a small role by name", "", []rbacv1.PolicyRule{rule("bind", rbacGroup, "clusterroles", "view"), rule("create", rbacGroup, "clusterrolebindings")}, power.Write, ""},
		{"binds in a namespace", "ci", []rbacv1.PolicyRule{rule("bind", rbacGroup, "clusterroles"), rule("create", rbacGroup, "rolebindings")}, power.Namespace, "everything in ci"},
		{"binds in a namespace with a strong account", "infra", []rbacv1.PolicyRule{rule("bind", rbacGroup, "clusterroles"), rule("create", rbacGroup, "rolebindings")}, power.Equivalent, "infra/robot"},
		{"escalates", "", []rbacv1.PolicyRule{rule("escalate,update", rbacGroup, "clusterroles")}, power.Equivalent, "change ClusterRoles"},
		{"escalates, and may change no role", "", []rbacv1.PolicyRule{rule("escalate", rbacGroup, "clusterroles")}, power.Write, ""},

		{"approves client certificates", "", []rbacv1.PolicyRule{
			rule("create", "certificates.k8s.io", "certificatesigningrequests"), rule("update", "certificates.k8s.io", "certificatesigningrequests/approval"),
			rule("approve", "certificates.k8s.io", "signers", "kubernetes.io/kube-apiserver-client"),
		}, power.Equivalent, "client certificate"},
		{"approves certificates of kubelets", "", []rbacv1.PolicyRule{
			rule("create", "certificates.k8s.io", "certificatesigningrequests"), rule("update", "certificates.k8s.io", "certificatesigningrequests/approval"),
			rule("approve", "certificates.k8s.io", "signers", "kubernetes.io/kubelet-serving"),
		}, power.Write, ""},

		{"gets tokens where a strong account is", "infra", []rbacv1.PolicyRule{rule("create", "", "serviceaccounts/token")}, power.Equivalent, "get tokens of accounts in infra"},
		{"gets tokens where none is", "ci", []rbacv1.PolicyRule{rule("create", "", "serviceaccounts/token")}, power.Namespace, "ci"},
		{"gets the token of the strong account", "infra", []rbacv1.PolicyRule{rule("create", "", "serviceaccounts/token", "robot")}, power.Equivalent, "become account robot"},
		{"gets tokens everywhere", "", []rbacv1.PolicyRule{rule("create", "", "serviceaccounts/token")}, power.Equivalent, "infra/robot"},
		{"creates accounts", "infra", []rbacv1.PolicyRule{rule("create", "", "serviceaccounts")}, power.Write, ""},

		{"reads a strong account's Secret", "infra", []rbacv1.PolicyRule{rule("list", "", "secrets")}, power.Equivalent, "read the token in Secret infra/robot-token"},
		{"reads it by name", "infra", []rbacv1.PolicyRule{rule("get", "", "secrets", "robot-token")}, power.Equivalent, "read the token in Secret infra/robot-token"},
		{"reads another by name", "infra", []rbacv1.PolicyRule{rule("get", "", "secrets", "tls")}, power.Read, ""},
		{"reads Secrets elsewhere", "ci", []rbacv1.PolicyRule{rule("list", "", "secrets")}, power.Namespace, "ci"},
		{"reads all Secrets", "", []rbacv1.PolicyRule{rule("watch", "", "secrets")}, power.Equivalent, "infra/robot-token"},

		{"runs pods where a strong account is", "infra", []rbacv1.PolicyRule{rule("create", "batch", "cronjobs")}, power.Equivalent, "run pods as accounts in infra"},
		{"runs pods in kube-system", "kube-system", []rbacv1.PolicyRule{rule("patch", "apps", "deployments")}, power.Equivalent, "kube-system"},
		{"enters pods in kube-system", "kube-system", []rbacv1.PolicyRule{rule("create", "", "pods/exec")}, power.Equivalent, "enter pods in kube-system"},
		{"enters pods by any resource's name", "", []rbacv1.PolicyRule{rule("create", "", "*/exec")}, power.Equivalent, "enter pods in every namespace"},
		{"reads pods in kube-system", "kube-system", []rbacv1.PolicyRule{rule("get", "", "pods,pods/log")}, power.Read, ""},
		{"uses kubelets", "", []rbacv1.PolicyRule{rule("get", "", "nodes/proxy")}, power.Equivalent, "kubelets' API"},
		{"reads nodes", "", []rbacv1.PolicyRule{rule("get", "", "nodes,nodes/metrics")}, power.Read, ""},
		{"changes webhooks", "", []rbacv1.PolicyRule{rule("patch", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "mesh")}, power.Equivalent, "change admission"},
		{"changes API services", "", []rbacv1.PolicyRule{rule("update", "apiregistration.k8s.io", "apiservices")}, power.Equivalent, "API group"},
		{"makes volumes", "", []rbacv1.PolicyRule{rule("create", "", "persistentvolumes")}, power.Strong, "volumes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			o := world()
			give(o, "view", "", rbacv1.Subject{Kind: "Group", Name: "nobody"}, rule("get", "", "pods"))
			give(o, "eve", row.namespace, eve(), row.rules...)
			got := power.New(o).Of(power.With("eve"))
			var text []string
			for _, reason := range got.Reasons {
				text = append(text, reason.String())
				if len(reason.Through) == 0 {
					t.Errorf("the reason %q names no binding", reason)
				}
			}
			if got.Level != row.want {
				t.Errorf("level %v, want %v; reasons %q", got.Level, row.want, text)
			}
			if all := strings.Join(text, "\n"); !strings.Contains(all, row.says) {
				t.Errorf("reasons %q, want one with %q", text, row.says)
			}
		})
	}
}

// TestChains: power is followed from account to account, and a circle of weak ones stays weak.
func TestChains(t *testing.T) {
	t.Parallel()

	o := world()
	account := func(namespace, name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
	}
	for _, namespace := range []string{"a", "b", "c", "x", "y"} {
		o.Accounts = append(o.Accounts, power.Account{Namespace: namespace, Name: "runner"})
	}
	pods, tokens := rule("create", "", "pods"), rule("create", "", "serviceaccounts/token")
	give(o, "eve-a", "a", eve(), pods)
	give(o, "a-b", "b", account("a", "runner"), tokens)
	give(o, "b-c", "c", account("b", "runner"), pods)
	give(o, "c-infra", "infra", account("c", "runner"), tokens)
	give(o, "mallory-x", "x", rbacv1.Subject{Kind: "User", Name: "mallory"}, pods)
	give(o, "x-y", "y", account("x", "runner"), pods)
	give(o, "y-x", "x", account("y", "runner"), pods)
	p := power.New(o)

	got := p.Of(power.With("eve"))
	if got.Level != power.Equivalent || got.Reasons[0].Becomes != "ServiceAccount a/runner" {
		t.Errorf("eve has %v, by %v; want a way over four accounts", got.Level, got.Reasons)
	}
	if got := p.Of(power.With("mallory")); got.Level != power.Namespace {
		t.Errorf("mallory has %v, by %v; want no more than a namespace", got.Level, got.Reasons)
	}
}

// TestGroupsAddUp: what a user has by a name and by groups counts together.
func TestGroupsAddUp(t *testing.T) {
	t.Parallel()

	o := world()
	give(o, "half", "", eve(), rule("bind", rbacGroup, "clusterroles"))
	give(o, "other-half", "", rbacv1.Subject{Kind: "Group", Name: "writers"}, rule("create", rbacGroup, "clusterrolebindings"))
	give(o, "accounts", "", rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts:ci"}, rule("*", "*", "*"))
	p := power.New(o)
	for _, row := range []struct {
		name    string
		subject power.Subject
		want    power.Level
	}{
		{"one half", power.With("eve"), power.Write},
		{"the other", power.With("bob", "writers"), power.Write},
		{"both", power.With("eve", "writers"), power.Equivalent},
		{"a group of accounts", power.Account{Namespace: "ci", Name: "any"}.Subject(), power.ClusterAdmin},
		{"another namespace's", power.Account{Namespace: "cd", Name: "any"}.Subject(), power.None},
		{"masters", power.With("kubernetes-admin", "system:masters"), power.Masters},
		{"a node", power.With("system:node:n1", "system:nodes"), power.Strong},
		{"a node's name without the group", power.With("system:node:n1"), power.None},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := p.Of(row.subject); got.Level != row.want {
				t.Errorf("%v, want %v; %v", got.Level, row.want, got.Reasons)
			}
		})
	}
}

func TestSecretReaders(t *testing.T) {
	t.Parallel()

	o := world()
	give(o, "everywhere", "", rbacv1.Subject{Kind: "Group", Name: "backup"}, rule("list", "", "secrets"))
	give(o, "there", "infra", eve(), rule("get", "", "secrets"))
	give(o, "by-name", "infra", rbacv1.Subject{Kind: "ServiceAccount", Name: "app"}, rule("get", "", "secrets", "robot-token"))
	give(o, "creates", "infra", rbacv1.Subject{Kind: "User", Name: "writer"}, rule("create", "", "secrets"))
	give(o, "elsewhere", "ci", rbacv1.Subject{Kind: "User", Name: "other"}, rule("*", "*", "*"))
	p := power.New(o)
	want := []string{"Group backup", "ServiceAccount infra/app", "ServiceAccount infra/robot", "User eve"}
	if diff := cmp.Diff(want, p.SecretReaders("infra", "robot-token")); diff != "" {
		t.Errorf("readers (-want +got):\n%s", diff)
	}
	want = []string{"Group backup", "ServiceAccount infra/robot", "User eve"}
	if diff := cmp.Diff(want, p.SecretReaders("infra", "another")); diff != "" {
		t.Errorf("readers of another (-want +got):\n%s", diff)
	}
}

func TestUnaggregated(t *testing.T) {
	t.Parallel()

	pods, secrets := rule("get", "", "pods"), rule("get", "", "secrets")
	label := map[string]string{"to": "view"}
	selects := &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: label}}}
	roles := []rbacv1.ClusterRole{
		{ObjectMeta: metav1.ObjectMeta{Name: "pods", Labels: label}, Rules: []rbacv1.PolicyRule{pods}},
		{ObjectMeta: metav1.ObjectMeta{Name: "secrets", Labels: label}, Rules: []rbacv1.PolicyRule{secrets}},
		{ObjectMeta: metav1.ObjectMeta{Name: "done", Labels: label}, AggregationRule: selects, Rules: []rbacv1.PolicyRule{pods, secrets}},
		{ObjectMeta: metav1.ObjectMeta{Name: "behind"}, AggregationRule: selects, Rules: []rbacv1.PolicyRule{pods}},
	}
	got, err := power.Unaggregated(roles)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"behind"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	roles[3].AggregationRule.ClusterRoleSelectors[0].MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "x", Operator: "near"}}
	if _, err := power.Unaggregated(roles); err == nil {
		t.Error("a selector that cannot be read selects something")
	}
}

func TestDangling(t *testing.T) {
	t.Parallel()

	o := world()
	give(o, "gone", "", eve(), rule("*", "*", "*"))
	o.ClusterRoles = o.ClusterRoles[:len(o.ClusterRoles)-1]
	p := power.New(o)
	if got := p.Of(power.With("eve")); got.Level != power.None {
		t.Errorf("a binding without a role gives %v", got.Level)
	}
	if diff := cmp.Diff([]string{"ClusterRoleBinding gone names ClusterRole gone"}, p.Dangling()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAllows holds what the API server's RBAC authorizer does; an end-to-end test compares it with a real one.
func TestAllows(t *testing.T) {
	t.Parallel()

	o := world()
	give(o, "eve", "ci", eve(), rule("get", "", "secrets,pods/*", "a"), rule("create", "apps", "*/scale"), rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}})
	give(o, "paths", "", eve(), rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/logs/*"}})
	p := power.New(o)
	for _, row := range []struct {
		name    string
		request power.Request
		want    bool
	}{
		{"by name", power.Request{Verb: "get", Resource: "secrets", Namespace: "ci", Name: "a"}, true},
		{"another name", power.Request{Verb: "get", Resource: "secrets", Namespace: "ci", Name: "b"}, false},
		{"no name", power.Request{Verb: "get", Resource: "secrets", Namespace: "ci"}, false},
		{"another namespace", power.Request{Verb: "get", Resource: "secrets", Namespace: "cd", Name: "a"}, false},
		{"another verb", power.Request{Verb: "list", Resource: "secrets", Namespace: "ci", Name: "a"}, false},
		{"another group", power.Request{Verb: "get", Group: "apps", Resource: "secrets", Namespace: "ci", Name: "a"}, false},
		{"a star after the resource is no pattern", power.Request{Verb: "get", Resource: "pods", Subresource: "log", Namespace: "ci", Name: "a"}, false},
		{"a star before the subresource is one", power.Request{Verb: "create", Group: "apps", Resource: "deployments", Subresource: "scale", Namespace: "ci"}, true},
		{"of the resource itself it says nothing", power.Request{Verb: "create", Group: "apps", Resource: "deployments", Namespace: "ci"}, false},
		{"a path", power.Request{Verb: "get", Path: "/logs/kubelet"}, true},
		{"a path by a binding of a namespace", power.Request{Verb: "get", Path: "/metrics"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if through, got := p.Allows(power.With("eve"), row.request); got != row.want {
				t.Errorf("allowed: %v, by %q", got, through)
			}
		})
	}
}

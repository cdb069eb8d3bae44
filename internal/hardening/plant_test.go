package hardening_test

import (
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/facts"
)

// What cases plant: each makes a step that changes sound facts.

func setFlag(name string, values ...string) func(*facts.Facts) {
	return func(f *facts.Facts) { f.APIServers[0].Flags[name] = values }
}

func both(steps ...func(*facts.Facts)) func(*facts.Facts) {
	return func(f *facts.Facts) {
		for _, step := range steps {
			step(f)
		}
	}
}

func used(o facts.Observation) func(*facts.Facts) { return func(f *facts.Facts) { uses(f, o) } }

func signed(r facts.CertificateRequest) func(*facts.Facts) {
	return func(f *facts.Facts) { f.CertificateRequests = append(f.CertificateRequests, r) }
}

func token(change func(*facts.BootstrapToken)) func(*facts.Facts) {
	return func(f *facts.Facts) { change(&f.BootstrapTokens[0]) }
}

func static(change func(*facts.StaticToken)) func(*facts.Facts) {
	return both(withTokenFile, func(f *facts.Facts) { change(&f.APIServers[0].StaticTokens.Entries[0]) })
}

func tokenFile(change func(*facts.File)) func(*facts.Facts) {
	return both(withTokenFile, func(f *facts.Facts) { change(&f.APIServers[0].Files[3]) })
}

func webhook(change func(*facts.KubeconfigCluster)) func(*facts.Facts) {
	return both(withWebhook, func(f *facts.Facts) { change(&f.APIServers[0].Webhook.Clusters[0]) })
}

func issuer(change func(*facts.Issuer)) func(*facts.Facts) {
	return func(f *facts.Facts) { change(&f.APIServers[0].Authentication.Issuers[0]) }
}

func section(s *facts.AnonymousSection) func(*facts.Facts) {
	return func(f *facts.Facts) { f.APIServers[0].Authentication.Anonymous = s }
}

func kubeconfig(change func(*facts.Kubeconfig)) func(*facts.Facts) {
	return func(f *facts.Facts) { change(&f.Kubeconfigs[0]) }
}

func granted(subject rbacv1.Subject, rules ...rbacv1.PolicyRule) func(*facts.Facts) {
	return func(f *facts.Facts) { grants(f, subject, rules...) }
}

func stored(kind, what string) func(*facts.Facts) {
	return func(f *facts.Facts) {
		f.StoredCredentials = append(f.StoredCredentials, facts.StoredCredential{Kind: kind, Namespace: "ci", Name: "x", Key: "config", What: what, Subject: "bob"})
	}
}

func secretUsed(o facts.Observation) func(*facts.Facts) {
	o.Secret, o.Mechanism, o.Username = "builder-token", "serviceAccountSecret", "system:serviceaccount:ci:builder"
	return used(o)
}

func replica(change func(*facts.APIServer)) func(*facts.Facts) {
	return func(f *facts.Facts) {
		s := server("node-2")
		f.APIServers = append(f.APIServers, s)
		if len(f.APIServers[0].Files) > len(s.Files) {
			f.APIServers[1].Files = append(f.APIServers[1].Files, f.APIServers[0].Files[3])
			f.APIServers[1].StaticTokens, f.APIServers[1].Flags["token-auth-file"] = f.APIServers[0].StaticTokens, f.APIServers[0].Flags["token-auth-file"]
		}
		change(&f.APIServers[1])
	}
}

func approving() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("update", "certificates.k8s.io", "certificatesigningrequests/approval"), rule("approve", "certificates.k8s.io", "signers"),
	}
}

// joinable lets nodes join by tokens.
func joinable(f *facts.Facts) {
	f.APIServers[0].Flags["enable-bootstrap-token-auth"] = []string{"true"}
}

// joinRole gives holders of join tokens a role of kube-system.
func joinRole(name string, rules ...rbacv1.PolicyRule) func(*facts.Facts) {
	return func(f *facts.Facts) {
		role := rbacv1.Role{Rules: rules}
		role.Name, role.Namespace = name, "kube-system"
		binding := rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{Kind: "Role", Name: name}, Subjects: []rbacv1.Subject{group("system:bootstrappers:kubeadm:default-node-token")}}
		binding.Name, binding.Namespace = name, "kube-system"
		f.Roles, f.RoleBindings = append(f.Roles, role), append(f.RoleBindings, binding)
	}
}

func nobodyJoins(f *facts.Facts) { f.Nodes[0].Created, f.Nodes[1].Created = time.Time{}, time.Time{} }

// without takes a flag away.
func without(name string) func(*facts.Facts) {
	return func(f *facts.Facts) { delete(f.APIServers[0].Flags, name) }
}

// boundIn binds a ClusterRole in one namespace.
func boundIn(namespace, role string, subject rbacv1.Subject) func(*facts.Facts) {
	return func(f *facts.Facts) {
		one := rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role}, Subjects: []rbacv1.Subject{subject}}
		one.Name, one.Namespace = "planted", namespace
		f.RoleBindings = append(f.RoleBindings, one)
	}
}

// failures are refused attempts from one address.
func failures(source, attempted string, count int, took time.Duration) func(*facts.Facts) {
	return func(f *facts.Facts) {
		f.Usage.Failures = append(f.Usage.Failures, facts.FailedAttempts{Source: source, Attempted: attempted, First: now.Add(-took), Last: now, Count: count})
	}
}

// recordedForADay makes the records of use reach back no further.
func recordedForADay(f *facts.Facts) { f.Usage.From = now.Add(-day) }

// software changes what is known of what answers for a provider, or for the webhook where there is one.
func software(i int, change func(*facts.Software)) func(*facts.Facts) {
	return func(f *facts.Facts) { change(&f.Software[i]) }
}

package hardening

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func bt08() Check {
	return Check{
		ID: "BT-08", Title: "Join tokens are good for joining, and for nothing else", Mechanism: Bootstrap, Severity: report.Critical, Points: []string{"G-16"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Remove the binding, or the group from auth-extra-groups; joining needs system:node-bootstrapper and the " +
			"approval of node certificates only.",
		References: []string{"CIS 3.1.3"},
		judge:      judgeBT08,
	}
}

func judgeBT08(in *input, v *verdict) {
	const group = "system:bootstrappers"
	in.needs(v, facts.SourceRBAC)
	groups := map[string]bool{group: true}
	in.eachJoinToken(v, func(t *facts.BootstrapToken, _ string) {
		for _, extra := range t.ExtraGroups {
			groups[extra] = true
		}
	})
	for _, g := range in.grants() {
		for i := range g.subjects {
			s := &g.subjects[i]
			held := s.Kind == rbacv1.GroupKind && (groups[s.Name] || strings.HasPrefix(s.Name, group)) ||
				s.Kind == rbacv1.UserKind && strings.HasPrefix(s.Name, "system:bootstrap:")
			if held && !joins(&g) {
				v.fail(g.name, facts.EvidenceObject, "gives the %s %s to %s, so to holders of join tokens", g.roleKind, g.role, s.Name)
			}
		}
	}
	v.pass(facts.EvidenceObject, "groups of join tokens have the rights that joining needs")
}

// joins reports whether a grant is one that kubeadm makes for joining.
func joins(g *grant) bool {
	switch g.role {
	case "system:node-bootstrapper", "system:certificates.k8s.io:certificatesigningrequests:nodeclient":
		return g.roleKind == "ClusterRole"
	case "kubeadm:get-nodes", "kubeadm:kubeadm-certs", "kubeadm:nodes-kubeadm-config", "kubeadm:kubelet-config", "kube-proxy", "kubeadm:bootstrap-signer-clusterinfo":
	default:
		if !strings.HasPrefix(g.role, "kubeadm:kubelet-config-1.") {
			return false
		}
	}
	// The names are kubeadm's; what they give must be no more than to get nodes, and what is named.
	return !slices.ContainsFunc(g.rules, func(rule rbacv1.PolicyRule) bool {
		return !slices.Equal(rule.Verbs, []string{"get"}) || len(rule.ResourceNames) == 0 && !slices.Equal(rule.Resources, []string{"nodes"})
	})
}

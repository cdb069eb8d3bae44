package hardening

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func an03() Check {
	return Check{
		ID: "AN-03", Title: "Callers without a credential have no rights", Mechanism: Anonymous, Severity: report.Critical, Points: []string{"G-01"},
		Evidence:   []facts.Evidence{facts.EvidenceObject},
		Remedy:     "Delete the binding: kubectl delete clusterrolebinding NAME; no program needs rights without a credential.",
		References: []string{"CIS 5.1.1", "NSA/CISA: disable anonymous access"},
		judge:      judgeAN03,
	}
}

func judgeAN03(in *input, v *verdict) {
	in.needs(v, facts.SourceRBAC)
	for _, g := range in.grants() {
		if g.roleKind == "ClusterRole" && g.role == "system:public-info-viewer" && readsPathsOnly(&g) ||
			g.namespace == "kube-public" && g.role == "kubeadm:bootstrap-signer-clusterinfo" && readsOnly(&g, "cluster-info") {
			continue
		}
		for i := range g.subjects {
			if name := g.subjects[i].Name; name == "system:anonymous" || name == "system:unauthenticated" {
				v.fail(g.name, facts.EvidenceObject, "gives the %s %s to %s: to anybody who can reach the API server", g.roleKind, g.role, name)
			}
		}
	}
	v.pass(facts.EvidenceObject, "system:anonymous and system:unauthenticated have what Kubernetes and kubeadm give them, and no more")
}

// readsPathsOnly reports whether all that a grant gives is to get paths that are no resources.
func readsPathsOnly(g *grant) bool {
	return !slices.ContainsFunc(g.rules, func(rule rbacv1.PolicyRule) bool {
		return len(rule.Resources) > 0 || !slices.Equal(rule.Verbs, []string{"get"}) || slices.Contains(rule.NonResourceURLs, "*")
	})
}

// readsOnly reports whether all that a grant gives is to get one ConfigMap.
func readsOnly(g *grant, name string) bool {
	for i := range g.rules {
		rule := &g.rules[i]
		if !slices.Equal(rule.Verbs, []string{"get"}) || !slices.Equal(rule.Resources, []string{"configmaps"}) || !slices.Equal(rule.ResourceNames, []string{name}) {
			return false
		}
	}
	return true
}

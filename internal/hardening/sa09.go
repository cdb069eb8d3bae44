package hardening

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa09() Check {
	return Check{
		ID: "SA-09", Title: "Rights are given to service accounts, not to all of a namespace", Mechanism: TokenSecret, Severity: report.Medium, Points: []string{"G-21"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Bind the account that needs it (kubectl create rolebinding NAME --role=ROLE --serviceaccount=NAMESPACE:NAME), and " +
			"delete the binding of the group; group rules in Ostiary make groups of accounts.",
		References: []string{"CIS 5.1.5"},
		judge:      judgeSA09,
	}
}

func judgeSA09(in *input, v *verdict) {
	const group = "system:serviceaccounts"
	in.needs(v, facts.SourceRBAC)
	for _, g := range in.grants() {
		if g.roleKind == "ClusterRole" && (g.role == "system:service-account-issuer-discovery" || g.role == "system:cluster-trust-bundle-discovery") {
			continue // Kubernetes' own
		}
		for i := range g.subjects {
			s := &g.subjects[i]
			if s.Kind != rbacv1.GroupKind || s.Name != group && !strings.HasPrefix(s.Name, group+":") {
				continue
			}
			if own := strings.TrimPrefix(s.Name, group+":"); own == g.namespace && g.readsOnly() {
				continue
			}
			v.fail(g.name, facts.EvidenceObject, "gives the %s %s to every account of %s, those to come too", g.roleKind, g.role, s.Name)
		}
	}
	v.pass(facts.EvidenceObject, "no binding gives all accounts of a namespace more than reading in it")
}

// readsOnly reports whether a grant allows no more than reading, and no Secrets.
func (g *grant) readsOnly() bool {
	for i := range g.rules {
		for _, verb := range g.rules[i].Verbs {
			if verb != "get" && verb != "list" && verb != "watch" {
				return false
			}
		}
		if has(g.rules[i].APIGroups, "") && has(g.rules[i].Resources, "secrets") {
			return false
		}
	}
	return len(g.rules) > 0
}

package hardening

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov14() Check {
	return Check{
		ID: "OV-14", Title: "Being authenticated gives no more than the default roles", Mechanism: Overview, Severity: report.High, Points: []string{"G-01"},
		Evidence:   []facts.Evidence{facts.EvidenceObject},
		Remedy:     "Delete the binding, and bind those who need the role: kubectl delete clusterrolebinding NAME.",
		References: []string{"CIS 5.1.1", "NSA/CISA: least privilege"},
		judge:      judgeOV14,
	}
}

func judgeOV14(in *input, v *verdict) {
	in.needs(v, facts.SourceRBAC)
	for _, g := range in.grants() {
		switch g.role {
		case "system:basic-user", "system:discovery", "system:public-info-viewer", "system:service-account-issuer-discovery", "system:cluster-trust-bundle-discovery":
			if g.roleKind == "ClusterRole" {
				continue
			}
		}
		for i := range g.subjects {
			if s := &g.subjects[i]; s.Kind == rbacv1.GroupKind && (s.Name == "system:authenticated" || s.Name == "system:serviceaccounts") {
				v.fail(g.name, facts.EvidenceObject, "gives the %s %s to %s, so to everybody with any credential", g.roleKind, g.role, s.Name)
			}
		}
	}
	v.pass(facts.EvidenceObject, "system:authenticated and system:serviceaccounts have the default roles only")
}

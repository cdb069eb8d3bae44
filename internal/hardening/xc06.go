package hardening

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc06() Check {
	return Check{
		ID: "XC-06", Title: "People's groups do not stand in their certificates", Mechanism: ClientCert, Severity: report.Medium, Points: []string{"G-11"},
		Evidence: []facts.Evidence{facts.EvidenceObject, facts.EvidenceFile},
		Remedy: "Bind the user instead of the group (kubectl create clusterrolebinding NAME --clusterrole=ROLE --user=USER), and issue " +
			"the certificate anew without O.",
		References: []string{"CIS 3.1.1"},
		judge:      judgeXC06,
	}
}

func judgeXC06(in *input, v *verdict) {
	in.needs(v, facts.SourceCertificates, facts.SourceRBAC)
	bound := map[string]string{}
	for _, g := range in.grants() {
		for i := range g.subjects {
			if s := &g.subjects[i]; s.Kind == rbacv1.GroupKind {
				bound[s.Name] = g.name
			}
		}
	}
	for _, c := range in.certificates() {
		if !isPerson(c.cert.CommonName) {
			continue
		}
		for _, group := range c.cert.Organizations {
			if through := bound[group]; through != "" {
				v.warn(c.where, c.evidence, "%s is in the group %s for another %s, whatever anybody decides before: %s gives it rights", c.cert.CommonName, group, span(c.cert.NotAfter.Sub(in.now)), through)
			}
		}
	}
	v.pass(facts.EvidenceObject, "no certificate of a person that is known puts them into a group that has rights")
}

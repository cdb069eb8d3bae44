package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa01() Check {
	return Check{
		ID: "SA-01", Title: "No token without an end is kept in a Secret", Mechanism: TokenSecret, Severity: report.Medium, Points: []string{"G-19"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Delete the Secret, and let its users ask for tokens that end: kubectl create token NAME, or a projected " +
			"volume.",
		References: []string{"CIS 3.1.2"},
		judge:      judgeSA01,
	}
}

func judgeSA01(in *input, v *verdict) {
	in.needs(v, facts.SourceTokenSecrets, facts.SourceRBAC, facts.SourceServiceAccounts)
	byNamespace := map[string][]string{}
	for i := range in.f.TokenSecrets {
		s := &in.f.TokenSecrets[i]
		if power := in.strongAccount(s.Namespace, s.ServiceAccount); power != "" {
			v.failAs(report.High, "Secret "+s.Namespace+"/"+s.Name, facts.EvidenceObject, "holds a token without an end of %s, which amounts to the whole cluster (%s)", s.ServiceAccount, power)
			continue
		}
		byNamespace[s.Namespace] = append(byNamespace[s.Namespace], s.Name)
	}
	for namespace, names := range byNamespace {
		v.fail("namespace "+namespace, facts.EvidenceObject, "%d Secrets hold tokens without an end: %s", len(names), someOf(names))
	}
	v.pass(facts.EvidenceObject, "no Secret holds a service account's token")
}

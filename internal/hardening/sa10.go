package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa10() Check {
	return Check{
		ID: "SA-10", Title: "Tokens in Secrets are used by programs in the cluster", Mechanism: TokenSecret, Severity: report.High, Points: []string{"G-20", "G-04"},
		Evidence:   []facts.Evidence{facts.EvidenceUse},
		Remedy:     "Find out who has the token, delete its Secret, and have people sign in at an OpenID Connect provider.",
		References: []string{"CIS 3.1.2"},
		judge:      judgeSA10,
	}
}

func judgeSA10(in *input, v *verdict) {
	in.needs(v, facts.SourceNodes)
	used := in.usage(v)
	for i := range used {
		o := &used[i]
		if o.Secret == "" {
			continue
		}
		if in.byPerson(o) || in.fromOutside(o) && len(in.f.Nodes) > 0 {
			v.fail("user "+o.Username, facts.EvidenceUse, "the token in the Secret %s was used by %s from %s, which is no node and no pod", o.Secret, agentName(o.Agent), o.Source)
		}
	}
	v.pass(facts.EvidenceUse, "tokens in Secrets were used from nodes only")
}

package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov04() Check {
	return Check{
		ID: "OV-04", Title: "People do not use the cluster's internal mechanisms", Mechanism: Overview, Severity: report.High, Points: []string{"G-04"},
		Evidence: []facts.Evidence{facts.EvidenceUse},
		Remedy: "Have people sign in at an OpenID Connect provider (authentication.jwt, or Ostiary's sign-in), and delete " +
			"what they used.",
		References: []string{"CIS 3.1.1", "CIS 3.1.2", "CIS 3.1.3"},
		judge:      judgeOV04,
	}
}

func judgeOV04(in *input, v *verdict) {
	used := in.usage(v)
	for i := range used {
		o := &used[i]
		switch o.Mechanism {
		case "clientCertificate", "serviceAccountSecret", "tokenRequest", "bootstrapToken":
		default:
			continue
		}
		if in.byPerson(o) {
			v.fail("user "+o.Username, facts.EvidenceUse, "a person (%s from %s) used %s", agentName(o.Agent), o.Source, wayOf(o.Mechanism))
		}
	}
	v.pass(facts.EvidenceUse, "nobody who looks like a person used a certificate, a service account's token or a join token")
}

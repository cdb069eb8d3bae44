package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tr05() Check {
	return Check{
		ID: "TR-05", Title: "People do not make themselves tokens of service accounts", Mechanism: TokenReq, Severity: report.High, Points: []string{"G-23", "G-04"},
		Evidence:   []facts.Evidence{facts.EvidenceUse},
		Remedy:     "Have people sign in at an OpenID Connect provider, and take create on serviceaccounts/token from them.",
		References: []string{"CIS 3.1.2"},
		judge:      judgeTR05,
	}
}

func judgeTR05(in *input, v *verdict) {
	in.usage(v)
	if in.f.Usage != nil {
		for i := range in.f.Usage.IssuedIDs {
			t := &in.f.Usage.IssuedIDs[i]
			if !isSystem(t.IssuedBy) && t.IssuedBy != "" {
				v.fail(t.CredentialID, facts.EvidenceUse, "%s made a token of %s on %s", t.IssuedBy, t.Account, t.At.Format(time.RFC3339))
			}
		}
	}
	v.pass(facts.EvidenceUse, "tokens were made by nodes and components only")
}

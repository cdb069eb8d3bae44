package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi03() Check {
	return Check{
		ID: "OI-03", Title: "No two providers can name the same user", Mechanism: OIDC, Severity: report.High, Points: []string{"G-26"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy:   "Give each issuer a prefix of its own in claimMappings.",
		judge:    judgeOI03,
	}
}

func judgeOI03(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		issuers, known := s.Issuers()
		if !known {
			in.file(v, s, "authentication-config")
			continue
		}
		seen := map[string]string{}
		for i := range issuers {
			issuer := &issuers[i]
			prefix := issuer.Username.Prefix
			if issuer.Username.Expression != "" {
				prefix = literalPrefix(issuer.Username.Expression)
			}
			if before, ok := seen[prefix]; ok {
				v.fail("issuer "+issuer.URL+" on "+s.Name, facts.EvidenceFile, "has the prefix %q of %s: one name means two people", prefix, before)
			}
			seen[prefix] = issuer.URL
		}
	}
	v.pass(facts.EvidenceFile, "each provider has a prefix of its own")
}

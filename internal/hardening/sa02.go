package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa02() Check {
	return Check{
		ID: "SA-02", Title: "Tokens in Secrets that nobody uses are gone", Mechanism: TokenSecret, Severity: report.Medium, Points: []string{"G-19"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy:   "Delete the Secret: its token was not used.",
		judge:    judgeSA02,
	}
}

func judgeSA02(in *input, v *verdict) {
	const unusedDays = 90
	in.needs(v, facts.SourceTokenSecrets, facts.SourceTokenTracking)
	if in.f.TokenTrackingSince.IsZero() {
		v.unknown("the use of token Secrets is not recorded in this cluster (SA-03)")
		return
	}
	byNamespace := map[string][]string{}
	for i := range in.f.TokenSecrets {
		s := &in.f.TokenSecrets[i]
		since := s.LastUsed
		if since.IsZero() {
			since = in.f.TokenTrackingSince
			if s.Created.After(since) {
				since = s.Created
			}
		}
		if in.now.Sub(since) > days(unusedDays) {
			byNamespace[s.Namespace] = append(byNamespace[s.Namespace], s.Name)
		}
	}
	for namespace, names := range byNamespace {
		v.fail("namespace "+namespace, facts.EvidenceObject, "%d tokens in Secrets were not used for %d days: %s", len(names), unusedDays, someOf(names))
	}
	v.pass(facts.EvidenceObject, "every token in a Secret was used within %d days, or is not that old", unusedDays)
}

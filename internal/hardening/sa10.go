package hardening

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
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
	ids := slices.ContainsFunc(used, func(o facts.Observation) bool { return o.CredentialID != "" })
	for i := range used {
		o := &used[i]
		what := "the token in the Secret " + o.Secret
		if o.Secret == "" {
			// Only tokens that are asked for have an id. With --service-account-lookup=false no Secret is named.
			if o.CredentialID != "" || !strings.HasPrefix(o.Username, identity.ServiceAccountPrefix) {
				continue
			}
			if !ids {
				v.unknown("which tokens were those in Secrets: the log names no credential by its id")
				continue
			}
			what = "a token without an id, as those in Secrets are,"
		}
		if in.byPerson(o) || in.fromOutside(o) && len(in.f.Nodes) > 0 {
			v.fail("user "+o.Username, facts.EvidenceUse, "%s was used by %s from %s, which is no node and no pod", what, agentName(o.Agent), o.Source)
		}
	}
	v.pass(facts.EvidenceUse, "tokens in Secrets were used from nodes only")
}

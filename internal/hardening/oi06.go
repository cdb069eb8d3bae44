package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi06() Check {
	return Check{
		ID: "OI-06", Title: "Tokens of a provider are for this cluster", Mechanism: OIDC, Severity: report.Medium, Points: []string{"G-26"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy:   "Register a client of its own for the cluster, and name it alone in issuer.audiences (or --oidc-client-id).",
		judge:    judgeOI06,
	}
}

func judgeOI06(in *input, v *verdict) {
	held := map[string][]string{}
	for i := range in.f.Kubeconfigs {
		for j := range in.f.Kubeconfigs[i].Users {
			if t := in.f.Kubeconfigs[i].Users[j].Token; t != nil && len(t.Audience) > 1 {
				held[t.Issuer] = t.Audience
			}
		}
	}
	in.eachIssuer(v, func(subject string, evidence facts.Evidence, issuer *facts.Issuer) {
		if len(issuer.Audiences) > 1 {
			v.warn(subject, evidence, "tokens for %d clients are taken: whoever has one for another application gets in (%s)", len(issuer.Audiences), strings.Join(issuer.Audiences, ", "))
		}
		if audience := held[issuer.URL]; audience != nil {
			v.fail(subject, facts.EvidenceFile, "a kubeconfig holds a token for %d clients at once: any of them can use it here (%s)", len(audience), strings.Join(audience, ", "))
		}
	})
	v.pass(facts.EvidenceFile, "of each provider tokens for one client are taken, and no token was found that is for others, too")
}

package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa11() Check {
	return Check{
		ID: "SA-11", Title: "A deleted service account's tokens end", Mechanism: TokenSecret, Severity: report.Critical, Points: []string{"G-19", "G-22"},
		Evidence:   []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy:     "Take --service-account-lookup=false away: it is on by default.",
		References: []string{"CIS 1.2.21"},
		judge:      judgeSA11,
	}
}

func judgeSA11(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		if !s.Flags.Bool("service-account-lookup", true) {
			v.fail(s.Name, s.Evidence, "--service-account-lookup=false: tokens in Secrets stay good after their Secret or account is deleted")
		}
	}
	v.pass(facts.EvidenceFlagz, "tokens are looked up")
}

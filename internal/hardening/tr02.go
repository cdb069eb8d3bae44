package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tr02() Check {
	return Check{
		ID: "TR-02", Title: "Tokens in pods live as long as they say", Mechanism: TokenReq, Severity: report.Medium, Points: []string{"G-24"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Set --service-account-extend-token-expiration=false once the metric serviceaccount_stale_tokens_total " +
			"stays at zero.",
		References: []string{"CIS 1.2.30"},
		judge:      judgeTR02,
	}
}

func judgeTR02(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		if s.Flags.Bool("service-account-extend-token-expiration", true) {
			v.fail(s.Name, s.Evidence, "--service-account-extend-token-expiration is on, which is its default: tokens in pods live for a year instead of an hour")
		}
	}
	v.pass(facts.EvidenceFlagz, "tokens in pods are not extended")
}

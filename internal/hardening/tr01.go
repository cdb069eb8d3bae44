package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tr01() Check {
	return Check{
		ID: "TR-01", Title: "Tokens that are asked for live for a day at most", Mechanism: TokenReq, Severity: report.Medium, Points: []string{"G-24"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Set --service-account-max-token-expiration=24h on kube-apiserver; Ostiary caps requests and refuses longer " +
			"tokens.",
		judge: judgeTR01,
	}
}

func judgeTR01(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		switch longest := s.Flags.Duration("service-account-max-token-expiration", 0); {
		case s.Flags.Text("service-account-signing-endpoint", "") != "":
			v.unknown("%s has tokens signed elsewhere, by %s: its own cap is not known", s.Name, s.Flags.Text("service-account-signing-endpoint", ""))
		case longest == 0:
			v.fail(s.Name, s.Evidence, "--service-account-max-token-expiration is not set: whoever may ask for a token may ask for one of many years")
		case longest > days(1):
			v.warn(s.Name, s.Evidence, "--service-account-max-token-expiration is %s", span(longest))
		}
	}
	v.pass(facts.EvidenceFlagz, "no token lives for more than a day")
}

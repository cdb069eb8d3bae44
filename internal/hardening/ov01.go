package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov01() Check {
	return Check{
		ID: "OV-01", Title: "Few mechanisms are on", Mechanism: Overview, Severity: report.Medium, Points: []string{"G-01"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Turn off what nobody answers for: take --token-auth-file, --authentication-token-webhook-config-file or an issuer " +
			"away, set --enable-bootstrap-token-auth=false while no node joins.",
		judge: judgeOV01,
	}
}

func judgeOV01(in *input, v *verdict) {
	const most, tooMany = 3, 4 // besides ServiceAccounts' tokens, which every cluster has
	for _, s := range in.servers(v) {
		on, known := in.waysOn(v, s)
		switch {
		case len(on) > tooMany:
			v.fail(s.Name, s.Evidence, "%d mechanisms are on besides service accounts' tokens: %s", len(on), shownWays(on))
		case len(on) > most:
			v.warn(s.Name, s.Evidence, "%d mechanisms are on besides service accounts' tokens: %s", len(on), shownWays(on))
		case !known:
			v.unknown("whether %s trusts a provider", s.Name)
		}
	}
	v.pass(facts.EvidenceFlagz, "no API server has more than %d mechanisms on besides service accounts' tokens", most)
}

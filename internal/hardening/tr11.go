package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tr11() Check {
	return Check{
		ID: "TR-11", Title: "One issuer signs the cluster's tokens, under a name that can be verified", Mechanism: TokenReq, Severity: report.Low, Points: []string{"G-22"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Set --service-account-issuer to an https URL, and take an old one away once its tokens have ended (a day after every " +
			"pod was restarted).",
		judge: judgeTR11,
	}
}

func judgeTR11(in *input, v *verdict) {
	const keptDays = 30
	for _, s := range in.servers(v) {
		issuers := s.Flags["service-account-issuer"]
		if len(issuers) == 0 {
			v.unknown("--service-account-issuer of %s is not among its flags", s.Name)
		}
		for _, issuer := range issuers {
			if !strings.HasPrefix(issuer, "https://") {
				v.warn(s.Name, s.Evidence, "the issuer %s is no https URL: nobody else can verify its tokens", issuer)
			}
		}
		if len(issuers) > 1 {
			old := strings.Join(issuers[1:], ", ")
			switch since := in.now.Sub(s.StartedAt); {
			case s.StartedAt.IsZero():
				v.unknown("since when %s has believed old issuers (%s)", s.Name, old)
			case since > days(keptDays):
				v.warn(s.Name, s.Evidence, "old issuers have been believed for %s at least: %s", span(since), old)
			default:
				v.unknown("since when %s has believed old issuers (%s): it was started %s ago with them", s.Name, old, span(since))
			}
		}
	}
	v.pass(facts.EvidenceFlagz, "tokens are of one issuer, an https URL")
}

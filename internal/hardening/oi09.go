package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi09() Check {
	return Check{
		ID: "OI-09", Title: "Providers are verified by a CA of their own", Mechanism: OIDC, Severity: report.Medium, Points: []string{"G-26", "G-30"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy:   "Name the CA in issuer.certificateAuthority (or --oidc-ca-file), and renew it before it ends.",
		judge:    judgeOI09,
	}
}

func judgeOI09(in *input, v *verdict) {
	const soonDays = 30
	in.eachIssuer(v, func(subject string, evidence facts.Evidence, issuer *facts.Issuer) {
		switch {
		case !issuer.OwnCA && isPrivateHost(issuer.URL):
			v.warn(subject, evidence, "the name is private, and any of the host's CAs is believed for it")
		case issuer.OwnCA && len(issuer.CAs) == 0:
			v.unknown("the CA of the %s", subject)
		}
		for i := range issuer.CAs {
			if ca := &issuer.CAs[i]; ca.NotAfter.Sub(in.now) < days(soonDays) {
				v.fail(subject, evidence, "the CA %s ends on %s: nobody can sign in from then on", ca.CommonName, ca.NotAfter.Format(time.DateOnly))
			}
		}
	})
	v.pass(facts.EvidenceFile, "private providers have a CA of their own, and none ends within %d days", soonDays)
}

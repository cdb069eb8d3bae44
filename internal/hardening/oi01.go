package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi01() Check {
	return Check{
		ID: "OI-01", Title: "No provider can name its users as the cluster names its own", Mechanism: OIDC, Severity: report.Critical, Points: []string{"G-26"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest, facts.EvidenceFile},
		Remedy: "Set claimMappings.username.prefix (or --oidc-username-prefix), and a userValidationRule that forbids names " +
			"beginning with \"system:\".",
		judge: judgeOI01,
	}
}

func judgeOI01(in *input, v *verdict) {
	in.eachIssuer(v, func(subject string, evidence facts.Evidence, issuer *facts.Issuer) {
		if prefixed(issuer.Username) || forbidsSystem(issuer.UserRules, "user.username") {
			return
		}
		if unreadRule(v, subject, issuer, "user.username") {
			return
		}
		v.fail(subject, evidence, "takes user names as the provider sends them (%s): a user there who is called system:admin is that here", mapped(issuer.Username))
	})
	v.pass(facts.EvidenceFile, "user names of every provider bear a prefix, or may not begin with system:")
}

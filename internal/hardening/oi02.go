package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi02() Check {
	return Check{
		ID: "OI-02", Title: "No provider can put its users into the cluster's own groups", Mechanism: OIDC, Severity: report.Critical, Points: []string{"G-26"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest, facts.EvidenceFile},
		Remedy: "Set claimMappings.groups.prefix (or --oidc-groups-prefix), for example \"idp:\", and bind the groups under " +
			"their new names.",
		judge: judgeOI02,
	}
}

func judgeOI02(in *input, v *verdict) {
	in.eachIssuer(v, func(subject string, evidence facts.Evidence, issuer *facts.Issuer) {
		if issuer.Groups == (facts.Mapping{}) || prefixed(issuer.Groups) || forbidsSystem(issuer.UserRules, "user.groups") {
			return
		}
		if unreadRule(v, subject, issuer, "user.groups") {
			return
		}
		v.fail(subject, evidence, "takes groups as the provider sends them (%s): a group there that is called system:masters has the whole cluster", mapped(issuer.Groups))
	})
	v.pass(facts.EvidenceFile, "groups of every provider bear a prefix, or may not begin with system:")
}

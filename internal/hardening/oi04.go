package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi04() Check {
	return Check{
		ID: "OI-04", Title: "Names of people stay theirs", Mechanism: OIDC, Severity: report.Medium, Points: []string{"G-26"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Set claimMappings.username.claim: sub (or --oidc-username-claim=sub). Where it must be email, demand that it was " +
			"verified: claimValidationRules with expression claims.email_verified == true.",
		judge: judgeOI04,
	}
}

func judgeOI04(in *input, v *verdict) {
	in.eachIssuer(v, func(subject string, evidence facts.Evidence, issuer *facts.Issuer) {
		claim := issuer.Username.Claim
		for _, one := range []string{"preferred_username", "nickname", "given_name", "upn", "unique_name", "name"} {
			if claim == one || strings.Contains(issuer.Username.Expression, "claims."+one) {
				v.warn(subject, evidence, "names are taken from %s, which a person can change or another be given later", one)
				return
			}
		}
		if claim != "email" && !strings.Contains(issuer.Username.Expression, "claims.email") {
			return
		}
		for _, rule := range append(append([]string{issuer.Username.Expression}, issuer.ClaimRules...), issuer.UserRules...) {
			if strings.Contains(rule, "email_verified") {
				return
			}
		}
		v.fail(subject, evidence, "names are taken from email, and a token that does not say email_verified is taken, too")
	})
	v.pass(facts.EvidenceFile, "every provider names people by something that stays theirs")
}

package hardening

import (
	"regexp"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi05() Check {
	return Check{
		ID: "OI-05", Title: "Of a shared provider, only your own users are let in", Mechanism: OIDC, Severity: report.Critical, Points: []string{"G-26"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Add a claimValidationRule for your own tenant, domain or repository (hd, tid, repository_owner), or " +
			"--oidc-required-claim.",
		judge: judgeOI05,
	}
}

func judgeOI05(in *input, v *verdict) {
	in.eachIssuer(v, func(subject string, evidence facts.Evidence, issuer *facts.Issuer) {
		claim := sharedBy(issuer.URL)
		if claim == "" {
			return
		}
		for required := range issuer.RequiredClaims {
			if slices.Contains(strings.Split(claim, ","), required) {
				return
			}
		}
		for _, rule := range slices.Concat(issuer.ClaimRules, issuer.UserRules) {
			for one := range strings.SplitSeq(claim, ",") {
				if names(rule, one) {
					return
				}
			}
		}
		v.fail(subject, evidence, "everybody in the world can have an account there, and no rule asks for a claim of your own (%s)", claim)
	})
	v.pass(facts.EvidenceFile, "no shared provider is trusted without a rule that names your own users")
}

// names reports whether a rule names a claim, as claims.hd or claims["hd"]. That email_verified holds says nothing of email.
func names(rule, claim string) bool {
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(claim) + `\b`).MatchString(rule)
}

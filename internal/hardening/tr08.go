package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tr08() Check {
	return Check{
		ID: "TR-08", Title: "Every token in use was issued by the cluster", Mechanism: TokenReq, Severity: report.Critical, Points: []string{"G-22", "G-08"},
		Evidence: []facts.Evidence{facts.EvidenceUse},
		Remedy: "Make a new signing key (--service-account-signing-key-file), and take the old one out of " +
			"--service-account-key-file: somebody has it.",
		judge: judgeTR08,
	}
}

func judgeTR08(in *input, v *verdict) {
	used := in.usage(v)
	if in.f.Usage != nil && !in.f.Usage.Complete {
		v.unknown("the records of use are not complete, so that a token without a record of its issue proves nothing")
		return
	}
	issued := map[string]bool{}
	if in.f.Usage != nil {
		for i := range in.f.Usage.IssuedIDs {
			issued[in.f.Usage.IssuedIDs[i].CredentialID] = true
		}
	}
	for i := range used {
		if o := &used[i]; o.Mechanism == "tokenRequest" && o.CredentialID != "" && !issued[o.CredentialID] {
			v.fail(o.CredentialID, facts.EvidenceUse, "a token of %s was used from %s, of whose issue there is no record", o.Username, o.Source)
		}
	}
	v.pass(facts.EvidenceUse, "the issue of every token that was used is recorded")
}

package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tr03() Check {
	return Check{
		ID: "TR-03", Title: "No token that was used lives for more than a day", Mechanism: TokenReq, Severity: report.High, Points: []string{"G-24"},
		Evidence: []facts.Evidence{facts.EvidenceUse},
		Remedy: "Have it issued anew for an hour (kubectl create token NAME --duration 1h), and shut the long one out " +
			"(kubectl ostiary revoke --jti ID --issuer ISSUER).",
		judge: judgeTR03,
	}
}

func judgeTR03(in *input, v *verdict) {
	const longDays = 7
	used := in.usage(v)
	judge := func(subject, who string, lifetime time.Duration) {
		switch {
		case lifetime > days(longDays):
			v.fail(subject, facts.EvidenceUse, "a token of %s lives for %s", who, span(lifetime))
		case lifetime > days(1):
			v.warn(subject, facts.EvidenceUse, "a token of %s lives for %s", who, span(lifetime))
		}
	}
	for i := range used {
		if o := &used[i]; o.Mechanism == "tokenRequest" {
			judge(o.CredentialID, o.Username, o.Lifetime)
		}
	}
	if in.f.Usage != nil {
		for i := range in.f.Usage.IssuedIDs {
			t := &in.f.Usage.IssuedIDs[i]
			judge(t.CredentialID, t.Account, t.Lifetime)
		}
	}
	v.pass(facts.EvidenceUse, "no token that was seen lives for more than a day")
}

package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi07() Check {
	return Check{
		ID: "OI-07", Title: "People's tokens are short-lived", Mechanism: OIDC, Severity: report.High, Points: []string{"G-27"},
		Evidence: []facts.Evidence{facts.EvidenceUse},
		Remedy:   "Set the lifetime of ID tokens at the provider to an hour; Ostiary's maxLifetime refuses longer ones.",
		judge:    judgeOI07,
	}
}

func judgeOI07(in *input, v *verdict) {
	used := in.usage(v)
	for i := range used {
		o := &used[i]
		if o.Mechanism != "jwt" {
			continue
		}
		switch {
		case o.Lifetime == 0:
			v.unknown("how long the tokens of people live was not recorded")
		case o.Lifetime > days(1):
			v.fail("user "+o.Username, facts.EvidenceUse, "used a token that lives for %s", span(o.Lifetime))
		case o.Lifetime > time.Hour:
			v.warn("user "+o.Username, facts.EvidenceUse, "used a token that lives for %s", span(o.Lifetime))
		}
	}
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		for j := range k.Users {
			t := k.Users[j].Token
			if t == nil || !t.JWT || !in.isProvider(t.Issuer) || t.Issued.IsZero() || t.Expires.IsZero() {
				continue
			}
			subject := "user " + k.Users[j].Name + " in " + k.File.Path
			switch lifetime := t.Expires.Sub(t.Issued); {
			case lifetime > days(1):
				v.fail(subject, facts.EvidenceFile, "holds a token of %s that lives for %s", t.Issuer, span(lifetime))
			case lifetime > time.Hour:
				v.warn(subject, facts.EvidenceFile, "holds a token of %s that lives for %s", t.Issuer, span(lifetime))
			}
		}
	}
	v.pass(facts.EvidenceUse, "no token of a provider lives for more than an hour")
}

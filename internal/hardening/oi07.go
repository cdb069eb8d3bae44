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
	// An audit log does not tell how long a token of a provider lives; the token itself does, where a file holds it.
	held := map[string]time.Duration{}
	for i := range in.f.Kubeconfigs {
		for j := range in.f.Kubeconfigs[i].Users {
			if t := in.f.Kubeconfigs[i].Users[j].Token; t != nil && t.ID != "" && !t.Issued.IsZero() && !t.Expires.IsZero() {
				held["JTI="+t.ID] = t.Expires.Sub(t.Issued)
			}
		}
	}
	used := in.usage(v)
	for i := range used {
		o := &used[i]
		if o.Mechanism != "jwt" {
			continue
		}
		lifetime := o.Lifetime
		if lifetime == 0 {
			lifetime = held[o.CredentialID]
		}
		switch {
		case lifetime == 0:
			v.unknown("how long the tokens of people live was not recorded")
		case lifetime > days(1):
			v.fail("user "+o.Username, facts.EvidenceUse, "used a token that lives for %s", span(lifetime))
		case lifetime > time.Hour:
			v.warn("user "+o.Username, facts.EvidenceUse, "used a token that lives for %s", span(lifetime))
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

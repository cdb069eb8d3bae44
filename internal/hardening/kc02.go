package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func kc02() Check {
	return Check{
		ID: "KC-02", Title: "Kubeconfigs hold nothing that lasts", Mechanism: Kubeconfig, Severity: report.Medium, Points: []string{"G-09"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy: "Use an exec plugin of your identity provider, which asks for a short-lived credential; take token, username " +
			"and client-key-data away.",
		judge: judgeKC02,
	}
}

func judgeKC02(in *input, v *verdict) {
	const longDays = 30
	in.needs(v, facts.SourceKubeconfigs)
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		for j := range k.Users {
			u := &k.Users[j]
			subject := "user " + u.Name + " in " + k.File.Path
			switch {
			case u.Basic:
				v.fail(subject, facts.EvidenceFile, "holds a password")
			case u.Token != nil && u.Token.Expires.IsZero():
				v.fail(subject, facts.EvidenceFile, "holds a token that has no end that it says")
			case u.EmbeddedKey && u.Certificate != nil && u.Certificate.NotAfter.Sub(in.now) > days(longDays):
				v.warn(subject, facts.EvidenceFile, "holds the key of a certificate that is good until %s", u.Certificate.NotAfter.Format(time.DateOnly))
			}
		}
	}
	if len(in.f.Kubeconfigs) > 0 {
		v.pass(facts.EvidenceFile, "no kubeconfig that was given holds a lasting credential")
	}
}

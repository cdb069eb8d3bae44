package hardening

import (
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/power"
	"github.com/ostiary/ostiary/internal/report"
)

func xc05() Check {
	return Check{
		ID: "XC-05", Title: "No group in a certificate amounts to the whole cluster", Mechanism: ClientCert, Severity: report.High, Points: []string{"G-11"},
		Evidence: []facts.Evidence{facts.EvidenceObject, facts.EvidenceFile},
		Remedy: "Bind a group of the OpenID Connect provider instead, and let the certificate end: the group cannot be " +
			"taken out of it.",
		References: []string{"CIS 5.1.1"},
		judge:      judgeXC05,
	}
}

func judgeXC05(in *input, v *verdict) {
	in.needs(v, facts.SourceCertificates, facts.SourceRBAC)
	for _, c := range in.certificates() {
		if !isPerson(c.cert.CommonName) || slices.Contains(c.cert.Organizations, power.MastersGroup) {
			continue // XC-04
		}
		for _, group := range c.cert.Organizations {
			if why := in.strong("", group); why != "" {
				v.fail(c.where, c.evidence, "the certificate of %s is in %s, which amounts to the whole cluster (%s), until %s", c.cert.CommonName, group, why, c.cert.NotAfter.Format(time.DateOnly))
			}
		}
	}
	v.pass(facts.EvidenceObject, "no group in a person's certificate amounts to the whole cluster")
}

package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc23() Check {
	return Check{
		ID: "XC-23", Title: "No certificate of a component is about to end", Mechanism: ClientCert, Severity: report.Medium, Points: []string{"G-07"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceExtension, facts.EvidenceObject},
		Remedy: "Renew it (kubeadm certs renew all, then restart the static pods); a CA is exchanged in stages, with both in " +
			"--client-ca-file meanwhile.",
		judge: judgeXC23,
	}
}

func judgeXC23(in *input, v *verdict) {
	in.needs(v, facts.SourceExtension, facts.SourceCertificates)
	all := in.componentCertificates()
	for _, c := range all {
		left := c.cert.NotAfter.Sub(in.now)
		warnAt, failAt := ends(c.cert.Lifetime())
		name := c.cert.CommonName
		switch {
		case left <= 0:
			v.fail(c.where, c.evidence, "the certificate of %s ended on %s, and is still there to be used", name, c.cert.NotAfter.Format(time.DateOnly))
		case left < failAt:
			v.fail(c.where, c.evidence, "the certificate of %s ends in %s", name, span(left))
		case left < warnAt:
			v.warn(c.where, c.evidence, "the certificate of %s ends in %s", name, span(left))
		}
	}
	v.pass(facts.EvidenceFile, "none of %d certificates of components and CAs that are known ends soon", len(all))
}

// ends says how much must be left of a certificate: a month and a week, or a tenth and a fortieth of those that live
// shorter, which are renewed by programs.
func ends(lifetime time.Duration) (warn, fail time.Duration) {
	const month, week, tenth, fortieth = 30, 7, 10, 40
	return min(days(month), lifetime/tenth), min(days(week), lifetime/fortieth)
}

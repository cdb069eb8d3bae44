package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc02() Check {
	return Check{
		ID: "XC-02", Title: "Certificates are signed for a short time by default", Mechanism: ClientCert, Severity: report.Medium, Points: []string{"G-06"},
		Evidence: []facts.Evidence{facts.EvidencePod, facts.EvidenceManifest},
		Remedy:   "Start kube-controller-manager with --cluster-signing-duration=720h; kubelets rotate theirs in time.",
		judge:    judgeXC02,
	}
}

func judgeXC02(in *input, v *verdict) {
	const yearDays, monthDays = 366, 30
	in.needs(v, facts.SourceControllerManager)
	for i := range in.f.ControllerManagers {
		m := &in.f.ControllerManagers[i]
		switch duration := m.Flags.Duration("cluster-signing-duration", days(yearDays-1)); {
		case duration > days(yearDays):
			v.fail(m.Name, m.Evidence, "certificates are signed for %s", span(duration))
		case duration > days(monthDays):
			v.warn(m.Name, m.Evidence, "certificates are signed for %s", span(duration))
		}
	}
	if len(in.f.ControllerManagers) > 0 {
		v.pass(facts.EvidencePod, "certificates are signed for a month at most")
	}
}

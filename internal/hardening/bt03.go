package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func bt03() Check {
	return Check{
		ID: "BT-03", Title: "Join tokens live for a day", Mechanism: Bootstrap, Severity: report.Medium, Points: []string{"G-16"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy:   "Make tokens when a node joins, with kubeadm token create --ttl 1h.",
		judge:    judgeBT03,
	}
}

func judgeBT03(in *input, v *verdict) {
	const longDays = 7
	in.eachJoinToken(v, func(t *facts.BootstrapToken, subject string) {
		if t.Expires.IsZero() {
			return // BT-02
		}
		switch lifetime := t.Expires.Sub(t.Created); {
		case lifetime > days(longDays):
			v.fail(subject, facts.EvidenceObject, "lives for %s", span(lifetime))
		case lifetime > days(1)+certificateSlack:
			v.warn(subject, facts.EvidenceObject, "lives for %s", span(lifetime))
		}
	})
	v.pass(facts.EvidenceObject, "no join token lives for more than a day")
}

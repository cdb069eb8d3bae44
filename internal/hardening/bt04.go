package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func bt04() Check {
	return Check{
		ID: "BT-04", Title: "Expired join tokens are gone", Mechanism: Bootstrap, Severity: report.Medium, Points: []string{"G-16"},
		Evidence: []facts.Evidence{facts.EvidenceObject, facts.EvidencePod},
		Remedy:   "Add tokencleaner to --controllers of kube-controller-manager, and delete the Secret.",
		judge:    judgeBT04,
	}
}

func judgeBT04(in *input, v *verdict) {
	in.eachJoinToken(v, func(t *facts.BootstrapToken, subject string) {
		if !t.Expires.IsZero() && in.now.Sub(t.Expires) > time.Hour {
			v.fail(subject, facts.EvidenceObject, "expired on %s and is still there: its cleaner does not run", t.Expires.Format(time.RFC3339))
		}
	})
	v.pass(facts.EvidenceObject, "no expired join token is left")
}

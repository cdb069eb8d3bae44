package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa03() Check {
	return Check{
		ID: "SA-03", Title: "The use of tokens in Secrets is recorded", Mechanism: TokenSecret, Severity: report.Medium, Points: []string{"G-19"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy:   "Upgrade to Kubernetes 1.28 or later; the API server then keeps the record by itself.",
		judge:    judgeSA03,
	}
}

func judgeSA03(in *input, v *verdict) {
	in.needs(v, facts.SourceTokenTracking)
	if in.f.TokenTrackingSince.IsZero() {
		if in.f.Knows(facts.SourceTokenTracking) {
			v.fail("kube-apiserver-legacy-service-account-token-tracking", facts.EvidenceObject, "the ConfigMap is not there, or does not say since when use is recorded")
		}
		return
	}
	v.pass(facts.EvidenceObject, "use is recorded since %s", in.f.TokenTrackingSince.Format(time.DateOnly))
}

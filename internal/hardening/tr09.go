package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tr09() Check {
	return Check{
		ID: "TR-09", Title: "Pods ask for tokens of a day at most", Mechanism: TokenReq, Severity: report.Low, Points: []string{"G-24"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Lower expirationSeconds of the serviceAccountToken source in the pod's projected volume; the kubelet renews tokens by " +
			"itself.",
		judge: judgeTR09,
	}
}

func judgeTR09(in *input, v *verdict) {
	in.needs(v, facts.SourcePods)
	for i := range in.f.ProjectedTokens {
		t := &in.f.ProjectedTokens[i]
		if lifetime := time.Duration(t.Seconds) * time.Second; lifetime > days(1) {
			v.warn("pod "+t.Namespace+"/"+t.Pod, facts.EvidenceObject, "asks in the volume %s for a token that lives for %s", t.Volume, span(lifetime))
		}
	}
	v.pass(facts.EvidenceObject, "no pod asks for a token that lives for more than a day")
}

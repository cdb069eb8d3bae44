package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ap07() Check {
	return Check{
		ID: "AP-07", Title: "There is no way round the gate", Mechanism: Proxy, Severity: report.Medium, Points: []string{"G-10", "G-31"},
		Evidence: []facts.Evidence{facts.EvidenceUse},
		Remedy: "Let the gate and the nodes alone reach the API servers (firewall, security group, or --bind-address of an inner " +
			"network), and give people the gate's address.",
		judge: judgeAP07,
	}
}

func judgeAP07(in *input, v *verdict) {
	used := in.usage(v)
	if in.f.Gate == nil || len(in.f.Gate.Addresses) == 0 {
		v.unknown("where the gate asks from is not known (needed: --gate-address; where there is no gate, nothing can be gone round)")
		return
	}
	for i := range used {
		o := &used[i]
		if isSystem(o.Username) || o.Source == "" || !in.fromOutside(o) || slices.Contains(in.f.Gate.Addresses, o.Source) {
			continue
		}
		v.warn("user "+o.Username, facts.EvidenceUse, "came straight from %s with %s, and not through the gate", o.Source, agentName(o.Agent))
	}
	v.pass(facts.EvidenceUse, "everybody but components came through the gate")
}

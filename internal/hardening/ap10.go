package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ap10() Check {
	return Check{
		ID: "AP-10", Title: "The front proxy's key is on control planes only", Mechanism: Proxy, Severity: report.Critical, Points: []string{"G-31"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy:   "Move it to the control plane, issue it anew, and delete the Secret: whoever has it can be anyone.",
		judge:    judgeAP10,
	}
}

func judgeAP10(in *input, v *verdict) {
	in.needs(v, facts.SourceSecrets)
	for i := range in.f.StoredCredentials {
		if s := &in.f.StoredCredentials[i]; s.What == "front proxy key" {
			v.fail(s.Kind+" "+s.Namespace+"/"+s.Name, facts.EvidenceObject, "holds the key of the front proxy %s", s.Subject)
		}
	}
	v.pass(facts.EvidenceObject, "no Secret holds a front proxy's key")
}

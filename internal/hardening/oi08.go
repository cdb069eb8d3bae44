package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi08() Check {
	return Check{
		ID: "OI-08", Title: "The provider runs by itself", Mechanism: OIDC, Severity: report.Medium, Points: []string{"G-25"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Give it a namespace of its own, a NetworkPolicy that names who may reach it, and nodes with a taint; take rights from " +
			"its service account that it does not need.",
		judge: judgeOI08,
	}
}

func judgeOI08(in *input, v *verdict) {
	on := false
	in.eachIssuer(v, func(string, facts.Evidence, *facts.Issuer) { on = true })
	if on || len(v.missing) > 0 {
		in.isolation(v, "provider")
	}
}

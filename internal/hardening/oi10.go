package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi10() Check {
	return Check{
		ID: "OI-10", Title: "All API servers go by the same configuration of providers", Mechanism: OIDC, Severity: report.High, Points: []string{"G-26"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy: "Distribute one AuthenticationConfiguration to all control planes; a change applies without a restart, and " +
			"a bad file is in kube-apiserver's log.",
		judge: judgeOI10,
	}
}

func judgeOI10(in *input, v *verdict) {
	var first *facts.APIServer
	for _, s := range in.servers(v) {
		if s.Flags.Text("authentication-config", "") == "" {
			continue
		}
		if s.Authentication == nil {
			in.file(v, s, "authentication-config")
			continue
		}
		switch {
		case first == nil:
			first = s
		case first.Authentication.SHA256 != s.Authentication.SHA256:
			v.fail(s.Name, facts.EvidenceFile, "has another AuthenticationConfiguration than %s", first.Name)
		}
	}
	v.pass(facts.EvidenceFile, "every AuthenticationConfiguration that was read is the same")
}

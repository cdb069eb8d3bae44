package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ap09() Check {
	return Check{
		ID: "AP-09", Title: "Servers behind the API server prove who they are", Mechanism: Proxy, Severity: report.High, Points: []string{"G-31"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Set caBundle on the APIService, and take insecureSkipTLSVerify away: what answers there learns who asks, " +
			"and may say anything.",
		judge: judgeAP09,
	}
}

func judgeAP09(in *input, v *verdict) {
	in.needs(v, facts.SourceAPIServices)
	for _, service := range in.f.APIServices {
		if service.Insecure {
			v.fail("APIService "+service.Name, facts.EvidenceObject, "insecureSkipTLSVerify: the server %s need not prove who it is", service.Service)
		}
	}
	v.pass(facts.EvidenceObject, "every server behind the API server is verified")
}

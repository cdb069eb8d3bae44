package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func wh11() Check {
	return Check{
		ID: "WH-11", Title: "No cloud principal is mapped to the whole cluster", Mechanism: Webhook, Severity: report.Medium, Points: []string{"G-28", "G-03"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Take the entry out of the ConfigMap aws-auth and use an EKS access entry with the least policy (aws eks " +
			"create-access-entry, associate-access-policy).",
		judge: judgeWH11,
	}
}

func judgeWH11(in *input, v *verdict) {
	in.needs(v, facts.SourceAWSAuth, facts.SourceRBAC)
	if in.f.Status(facts.SourceAWSAuth).State == facts.Absent && len(in.f.MappedPrincipals) == 0 {
		v.na(facts.EvidenceObject, "there is no ConfigMap aws-auth")
	}
	for i := range in.f.MappedPrincipals {
		p := &in.f.MappedPrincipals[i]
		if why := in.strong(p.Username, p.Groups...); why != "" {
			v.fail(p.Principal, facts.EvidenceObject, "whoever may be this principal has the whole cluster: %s", why)
		}
	}
	if v.off == nil {
		v.pass(facts.EvidenceObject, "none of %d cloud principals amounts to the whole cluster", len(in.f.MappedPrincipals))
	}
}

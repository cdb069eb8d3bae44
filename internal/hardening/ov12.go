package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov12() Check {
	return Check{
		ID: "OV-12", Title: "The audit log keeps no tokens", Mechanism: Overview, Severity: report.High, Points: []string{"G-03"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy: "Before any broader rule, log tokenreviews of authentication.k8s.io at Metadata, and serviceaccounts/token " +
			"at Request or Metadata.",
		References: []string{"CIS 3.2.1"},
		judge:      judgeOV12,
	}
}

func judgeOV12(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		if s.Flags.Text("audit-policy-file", "") == "" {
			continue
		}
		if s.AuditPolicy == nil {
			in.file(v, s, "audit-policy-file")
			continue
		}
		if level := s.AuditPolicy.LevelOf("create", "", "serviceaccounts/token"); level == "RequestResponse" {
			v.fail(s.Name, facts.EvidenceFile, "answers to serviceaccounts/token are logged with the tokens in them, at level %s", level)
		}
		if level := s.AuditPolicy.LevelOf("create", "authentication.k8s.io", "tokenreviews"); level == "RequestResponse" || level == "Request" {
			v.fail(s.Name, facts.EvidenceFile, "requests for tokenreviews are logged with the tokens in them, at level %s", level)
		}
	}
	v.pass(facts.EvidenceFile, "tokens that are issued or reviewed are not written to the audit log")
}

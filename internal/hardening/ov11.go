package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov11() Check {
	return Check{
		ID: "OV-11", Title: "Who issues credentials is written down", Mechanism: Overview, Severity: report.Medium, Points: []string{"G-08", "G-24"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Set --audit-log-path and --audit-policy-file, with a rule at level Metadata for certificatesigningrequests, their " +
			"approval, serviceaccounts/token and tokenreviews.",
		References: []string{"CIS 3.2.1"},
		judge:      judgeOV11,
	}
}

func judgeOV11(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		if s.Flags.Text("audit-policy-file", "") == "" || s.Flags.Text("audit-log-path", "")+s.Flags.Text("audit-webhook-config-file", "") == "" {
			v.fail(s.Name, s.Evidence, "writes no audit log: --audit-policy-file and --audit-log-path or --audit-webhook-config-file are not both set")
			continue
		}
		if s.AuditPolicy == nil {
			in.file(v, s, "audit-policy-file")
			v.unknown("the audit policy of %s", s.Name)
			continue
		}
		var missing []string
		for _, act := range []struct{ verb, group, resource string }{
			{"create", "certificates.k8s.io", "certificatesigningrequests"},
			{"update", "certificates.k8s.io", "certificatesigningrequests/approval"},
			{"create", "", "serviceaccounts/token"},
			{"create", "authentication.k8s.io", "tokenreviews"},
		} {
			if level := s.AuditPolicy.LeastLevelOf(act.verb, act.group, act.resource); !facts.Logs(level, "Metadata") {
				missing = append(missing, act.verb+" "+act.resource)
			}
		}
		if len(missing) > 0 {
			v.fail(s.Name, facts.EvidenceFile, "the audit policy leaves out, at least for some: %s", strings.Join(missing, ", "))
		}
	}
	v.pass(facts.EvidenceFile, "who has certificates signed and tokens made or reviewed is in the audit log")
}

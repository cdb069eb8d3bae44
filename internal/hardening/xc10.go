package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc10() Check {
	return Check{
		ID: "XC-10", Title: "The issue of certificates is recorded for good", Mechanism: ClientCert, Severity: report.Medium, Points: []string{"G-08"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Log create and update of certificatesigningrequests, /approval and /status at level Request (audit policy), and keep " +
			"the log; or have certificates issued by Ostiary, which records each.",
		judge: judgeXC10,
	}
}

func judgeXC10(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		if s.Flags.Text("audit-policy-file", "") == "" || s.Flags.Text("audit-log-path", "")+s.Flags.Text("audit-webhook-config-file", "") == "" {
			v.fail(s.Name, s.Evidence, "nothing records what is issued: a request is gone an hour after it was approved, and there is no audit log")
			continue
		}
		if s.AuditPolicy == nil {
			in.file(v, s, "audit-policy-file")
			v.unknown("the audit policy of %s", s.Name)
			continue
		}
		level := func(verb, part string) string {
			return s.AuditPolicy.LeastLevelOf(verb, "certificates.k8s.io", "certificatesigningrequests"+part)
		}
		switch {
		case !facts.Logs(level("create", ""), "Metadata") || !facts.Logs(level("update", "/approval"), "Metadata"):
			v.fail(s.Name, facts.EvidenceFile, "the audit log leaves out who asks for certificates or approves them, at least for some")
		case !facts.Logs(level("update", "/status"), "Request"):
			v.warn(s.Name, facts.EvidenceFile, "the audit log tells who asked and approved, and not which certificate came of it (level Request for certificatesigningrequests/status)")
		}
	}
	v.pass(facts.EvidenceFile, "the audit log holds every certificate that the cluster issues, with who asked and who approved")
}

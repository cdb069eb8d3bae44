package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc13() Check {
	return Check{
		ID: "XC-13", Title: "Certificates for system:masters are refused at admission", Mechanism: ClientCert, Severity: report.Critical, Points: []string{"G-11"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy:   "Take CertificateSubjectRestriction out of --disable-admission-plugins.",
		judge:    judgeXC13,
	}
}

func judgeXC13(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		if slices.Contains(s.Flags["disable-admission-plugins"], "CertificateSubjectRestriction") {
			v.fail(s.Name, s.Evidence, "the admission plugin CertificateSubjectRestriction is off: whoever may approve a request can have system:masters")
		}
	}
	v.pass(facts.EvidenceFlagz, "CertificateSubjectRestriction is on")
}

package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc12() Check {
	return Check{
		ID: "XC-12", Title: "Nothing is signed by the legacy signer", Mechanism: ClientCert, Severity: report.High, Points: []string{"G-08"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy:   "Delete the request, ask kubernetes.io/kube-apiserver-client instead, and let the certificate end.",
		judge:    judgeXC12,
	}
}

func judgeXC12(in *input, v *verdict) {
	in.needs(v, facts.SourceCertificates)
	for i := range in.f.CertificateRequests {
		if r := &in.f.CertificateRequests[i]; r.SignerName == "kubernetes.io/legacy-unknown" && r.Approved {
			v.fail("CertificateSigningRequest "+r.Name, facts.EvidenceObject, "was approved for kubernetes.io/legacy-unknown, to which no admission looks: it may be in any group")
		}
	}
	v.pass(facts.EvidenceObject, "no request for kubernetes.io/legacy-unknown is approved")
}

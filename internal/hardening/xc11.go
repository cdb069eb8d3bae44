package hardening

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc11() Check {
	return Check{
		ID: "XC-11", Title: "Certificates for clients are asked for and approved by those who should", Mechanism: ClientCert, Severity: report.High, Points: []string{"G-08"},
		Evidence:   []facts.Evidence{facts.EvidenceObject, facts.EvidenceUse},
		Remedy:     "Deny it (kubectl certificate deny NAME), and take the right to approve from whoever approved it.",
		References: []string{"CIS 5.1.11"},
		judge:      judgeXC11,
	}
}

func judgeXC11(in *input, v *verdict) {
	in.needs(v, facts.SourceCertificates)
	for i := range in.f.CertificateRequests {
		r := &in.f.CertificateRequests[i]
		if r.SignerName != "kubernetes.io/kube-apiserver-client" {
			continue
		}
		subject := "CertificateSigningRequest " + r.Name
		if strings.HasPrefix(r.Username, "system:serviceaccount:") {
			v.fail(subject, facts.EvidenceObject, "the service account %s asked for a certificate in the name of %s", r.Username, r.RequestedName)
		}
	}
	if in.f.Usage != nil && len(in.options.Approvers) > 0 {
		for i := range in.f.Usage.Certificates {
			c := &in.f.Usage.Certificates[i]
			if c.SignerName == "kubernetes.io/kube-apiserver-client" && c.ApprovedBy != "" && !slices.Contains(in.options.Approvers, c.ApprovedBy) {
				v.fail("CertificateSigningRequest "+c.Request, facts.EvidenceUse, "was approved by %s, who is not among the approvers", c.ApprovedBy)
			}
		}
	}
	v.pass(facts.EvidenceObject, "no service account asked for a client certificate, in what is left of the requests")
}

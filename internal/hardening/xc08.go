package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc08() Check {
	return Check{
		ID: "XC-08", Title: "No certificate bears a service account's name", Mechanism: ClientCert, Severity: report.Critical, Points: []string{"G-08"},
		Evidence: []facts.Evidence{facts.EvidenceObject, facts.EvidenceFile, facts.EvidenceUse},
		Remedy: "Delete the key, find out who signed it, and re-key the CA: deleting the service account does not take it " +
			"away.",
		judge: judgeXC08,
	}
}

func judgeXC08(in *input, v *verdict) {
	const prefix = "system:serviceaccount:"
	in.needs(v, facts.SourceCertificates)
	for _, c := range in.certificates() {
		if strings.HasPrefix(c.cert.CommonName, prefix) {
			v.fail(c.where, c.evidence, "the certificate bears the name %s", c.cert.CommonName)
		}
	}
	if in.f.Usage != nil {
		for i := range in.f.Usage.Observed {
			if o := &in.f.Usage.Observed[i]; o.Mechanism == "clientCertificate" && strings.HasPrefix(o.Username, prefix) {
				v.fail("user "+o.Username, facts.EvidenceUse, "a certificate with the name of a service account was used from %s", o.Source)
			}
		}
	}
	v.pass(facts.EvidenceObject, "no certificate that is known bears a service account's name")
}

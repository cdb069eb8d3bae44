package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc09() Check {
	return Check{
		ID: "XC-09", Title: "Every certificate in use has a record of its issue", Mechanism: ClientCert, Severity: report.High, Points: []string{"G-08"},
		Evidence: []facts.Evidence{facts.EvidenceUse, facts.EvidenceObject},
		Remedy:   "Find out who signed it. If nobody knows, the CA's key is in other hands: re-key it.",
		judge:    judgeXC09,
	}
}

func judgeXC09(in *input, v *verdict) {
	in.needs(v, facts.SourceCertificates)
	recorded := map[string]bool{}
	for _, c := range in.allCertificates() { // one that is over by now was good when it was used
		recorded["X509SHA256="+c.cert.Fingerprint] = true
	}
	if in.f.Usage != nil {
		for i := range in.f.Usage.Certificates {
			recorded[in.f.Usage.Certificates[i].CredentialID] = true
		}
	}
	for _, o := range in.usage(v) {
		if o.Mechanism == "clientCertificate" && o.CredentialID != "" && !recorded[o.CredentialID] {
			v.fail(o.CredentialID, facts.EvidenceUse, "%s used a certificate from %s of whose issue there is no record", o.Username, o.Source)
		}
	}
	v.pass(facts.EvidenceUse, "every certificate that was used is recorded")
}

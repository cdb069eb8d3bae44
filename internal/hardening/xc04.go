package hardening

import (
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/power"
	"github.com/ostiary/ostiary/internal/report"
)

func xc04() Check {
	return Check{
		ID: "XC-04", Title: "No certificate is in system:masters", Mechanism: ClientCert, Severity: report.Critical, Points: []string{"G-11"},
		Evidence: []facts.Evidence{facts.EvidenceObject, facts.EvidenceFile},
		Remedy: "Delete the key, and plan to re-key the client CA, for nothing else takes it away; Ostiary refuses it at " +
			"once (kubectl ostiary revoke --fingerprint HEX).",
		References: []string{"CIS 5.1.7"},
		judge:      judgeXC04,
	}
}

func judgeXC04(in *input, v *verdict) {
	in.needs(v, facts.SourceCertificates)
	for _, c := range in.certificates() {
		if slices.Contains(c.cert.Organizations, power.MastersGroup) && !slices.Contains(in.options.BreakGlass, c.cert.CommonName) {
			v.fail(c.where, c.evidence, "the certificate of %s is in system:masters, which no authorizer limits, until %s", c.cert.CommonName, c.cert.NotAfter.Format(time.DateOnly))
		}
	}
	for i := range in.f.CertificateRequests {
		r := &in.f.CertificateRequests[i]
		if r.Certificate == nil && r.Approved && slices.Contains(r.RequestedGroups, power.MastersGroup) {
			v.fail("CertificateSigningRequest "+r.Name, facts.EvidenceObject, "was approved and asks for system:masters")
		}
	}
	if in.f.Usage != nil {
		for i := range in.f.Usage.Observed {
			if o := &in.f.Usage.Observed[i]; o.Mechanism == "clientCertificate" && slices.Contains(o.Groups, power.MastersGroup) && !slices.Contains(in.options.BreakGlass, o.Username) {
				v.fail("user "+o.Username, facts.EvidenceUse, "a certificate in system:masters was used from %s", o.Source)
			}
		}
	}
	v.pass(facts.EvidenceObject, "no certificate that is known is in system:masters, but for those named as break-glass")
}

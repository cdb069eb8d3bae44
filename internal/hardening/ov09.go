package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov09() Check {
	return Check{
		ID: "OV-09", Title: "Credentials as strong as the whole cluster are in use, or gone", Mechanism: Overview, Severity: report.High, Points: []string{"G-02"},
		Evidence: []facts.Evidence{facts.EvidenceUse, facts.EvidenceObject},
		Remedy: "Shut the credential out (kubectl ostiary revoke --fingerprint HEX), and remove the binding that makes it " +
			"strong.",
		References: []string{"CIS 5.1.1"},
		judge:      judgeOV09,
	}
}

func judgeOV09(in *input, v *verdict) {
	const unusedDays = 90 // the guide's own reviews are quarterly
	in.needs(v, facts.SourceRBAC, facts.SourceCertificates)
	used := in.usage(v)
	if in.f.Usage != nil && in.f.Usage.Until.Sub(in.f.Usage.From) < days(unusedDays) {
		v.unknown("the records of use reach back to %s only, not %d days", in.f.Usage.From.Format(time.DateOnly), unusedDays)
		return
	}
	last := map[string]time.Time{}
	for i := range used {
		if used[i].Last.After(last[used[i].CredentialID]) {
			last[used[i].CredentialID] = used[i].Last
		}
	}
	for _, c := range in.certificates() {
		why := in.strong(c.cert.CommonName, c.cert.Organizations...)
		if why == "" || c.cert.NotBefore.After(in.now.Add(-days(unusedDays))) {
			continue
		}
		if at := last["X509SHA256="+c.cert.Fingerprint]; in.now.Sub(at) > days(unusedDays) {
			v.fail("certificate "+c.cert.Fingerprint, c.evidence, "%s (%s) was not used for %d days, and amounts to the whole cluster: %s", c.cert.CommonName, c.where, unusedDays, why)
		}
	}
	v.pass(facts.EvidenceUse, "every certificate that amounts to the whole cluster was used within %d days", unusedDays)
}

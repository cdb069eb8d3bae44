package hardening

import (
	"fmt"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc01() Check {
	return Check{
		ID: "XC-01", Title: "People's certificates live for a day, not for a year", Mechanism: ClientCert, Severity: report.High, Points: []string{"G-06"},
		Evidence: []facts.Evidence{facts.EvidenceObject, facts.EvidenceFile},
		Remedy: "Ask for less in the CertificateSigningRequest (spec.expirationSeconds: 86400), or issue through Ostiary " +
			"with maxLifetime: 24h.",
		References: []string{"CIS 3.1.1"},
		judge:      judgeXC01,
	}
}

func judgeXC01(in *input, v *verdict) {
	const longDays, shortHours = 30, 24
	in.needs(v, facts.SourceCertificates)
	for _, c := range in.certificates() {
		if !isPerson(c.cert.CommonName) {
			continue
		}
		switch lifetime := c.cert.Lifetime(); {
		case lifetime > days(longDays):
			v.fail(c.where, c.evidence, "the certificate of %s is valid for %s and cannot be revoked; it ends on %s", c.cert.CommonName, span(lifetime), c.cert.NotAfter.Format(time.DateOnly))
		case lifetime > shortHours*time.Hour+certificateSlack:
			v.warn(c.where, c.evidence, "the certificate of %s is valid for %s and cannot be revoked", c.cert.CommonName, span(lifetime))
		}
	}
	v.pass(facts.EvidenceObject, "no certificate of a person that is known is valid for more than a day")
}

// certificateSlack is what signers add at both ends of a day, for clocks that differ.
const certificateSlack = time.Hour

// span is a length of time in days, or hours.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day { //nolint:mnd // "1 days" is no English
		return fmt.Sprintf("%d days", d/day)
	}
	if d < 2*time.Hour { //nolint:mnd // likewise
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%d hours", d/time.Hour)
}

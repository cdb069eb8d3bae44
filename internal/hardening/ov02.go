package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/report"
)

func ov02() Check {
	return Check{
		ID: "OV-02", Title: "Every mechanism that is on is used", Mechanism: Overview, Severity: report.Medium, Points: []string{"G-01", "G-02"},
		Evidence: []facts.Evidence{facts.EvidenceUse, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Turn it off: whoever has a credential of it still gets in. Take the flag or the entry of the " +
			"AuthenticationConfiguration away.",
		judge: judgeOV02,
	}
}

func judgeOV02(in *input, v *verdict) {
	const unusedDays = 90 // the guide's own reviews are quarterly
	used := in.usage(v)
	if in.f.Usage == nil {
		return
	}
	seen := map[string]bool{}
	for i := range used {
		if o := &used[i]; in.now.Sub(o.Last) <= days(unusedDays) {
			for _, one := range in.candidates(v, o) {
				seen[one] = true
			}
		}
	}
	long := in.f.Usage.Until.Sub(in.f.Usage.From) >= days(unusedDays)
	for _, s := range in.servers(v) {
		on, _ := in.waysOn(v, s)
		for _, one := range on {
			if seen[one.name] || one.name == string(identity.ProxyHeader) && !in.proxyForPeople(s) {
				continue // the API server's own proxy to servers behind it needs the headers
			}
			if long {
				v.fail(one.name+" on "+s.Name, facts.EvidenceUse, "is on (%s), and nobody came by it for %d days", one.because, unusedDays)
			} else {
				v.warn(one.name+" on "+s.Name, facts.EvidenceUse, "is on (%s), and nobody came by it since %s, how far the records reach back", one.because, in.f.Usage.From.Format(time.DateOnly))
			}
		}
	}
	v.pass(facts.EvidenceUse, "somebody came by every mechanism that is on within %d days", unusedDays)
}

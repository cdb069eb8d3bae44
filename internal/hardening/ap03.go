package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ap03() Check {
	return Check{
		ID: "AP-03", Title: "The front proxy's certificate is short-lived and guarded", Mechanism: Proxy, Severity: report.High, Points: []string{"G-30"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy:   "Issue it anew for at most a year (kubeadm certs renew front-proxy-client), and chmod 600 its key.",
		judge:    judgeAP03,
	}
}

func judgeAP03(in *input, v *verdict) {
	const longest = 366
	on := false
	for _, s := range in.servers(v) {
		if s.Flags.Text("proxy-client-cert-file", "") == "" {
			continue
		}
		on = true
		if _, ok := in.file(v, s, "proxy-client-cert-file"); ok && s.FrontProxy != nil && s.FrontProxy.Lifetime() > days(longest) {
			v.fail(s.Name, facts.EvidenceFile, "the front proxy's certificate (%s) is valid for %s", s.FrontProxy.CommonName, span(s.FrontProxy.Lifetime()))
		}
	}
	for i := range in.f.Keys {
		if k := &in.f.Keys[i]; k.Use == "front proxy" && k.HasMode && k.Mode&groupOrOthers != 0 {
			v.fail(k.Path, facts.EvidenceFile, "the front proxy's key may be read by others than its owner (mode %04o)", k.Mode)
		}
	}
	if !on {
		in.offUnlessUnknown(v, "no API server has a front proxy's certificate")
		return
	}
	v.pass(facts.EvidenceFile, "the front proxy's certificate ends within a year, and its key is its owner's")
}

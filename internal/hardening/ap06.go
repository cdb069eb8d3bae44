package hardening

import (
	"net/http"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ap06() Check {
	return Check{
		ID: "AP-06", Title: "Nobody becomes somebody by a header", Mechanism: Proxy, Severity: report.Critical, Points: []string{"G-31"},
		Evidence: []facts.Evidence{facts.EvidenceBlackBox},
		Remedy: "Strip X-Remote-* and Impersonate-* in every spelling at the edge, and let the API server believe only a CA " +
			"of its own for proxies.",
		judge: judgeAP06,
	}
}

func judgeAP06(in *input, v *verdict) {
	in.needs(v, facts.SourceProbes)
	plain := map[string]int{}
	forged := false
	for _, probe := range in.f.Probes {
		if probe.Path == facts.GuardedPath && probe.Headers == "" {
			plain[probe.Server] = probe.Status
		}
	}
	for _, probe := range in.f.Probes {
		if probe.Headers == "" {
			continue
		}
		forged = true
		if probe.Status == http.StatusOK && plain[probe.Server] != http.StatusOK {
			v.fail(probe.Server, facts.EvidenceBlackBox, "a request without a credential that claimed by %s to be an administrator was let in", probe.Headers)
		}
	}
	if !forged {
		v.unknown("no request with a forged header was sent")
		return
	}
	v.pass(facts.EvidenceBlackBox, "headers of a stranger change nothing, in any spelling that was tried")
}

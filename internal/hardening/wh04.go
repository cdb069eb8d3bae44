package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func wh04() Check {
	return Check{
		ID: "WH-04", Title: "What the webhook took back counts soon", Mechanism: Webhook, Severity: report.Medium, Points: []string{"G-28"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy:   "Set --authentication-token-webhook-cache-ttl=2m or less.",
		judge:    judgeWH04,
	}
}

func judgeWH04(in *input, v *verdict) {
	const longMinutes, warnMinutes = 15, 5
	on := false
	for _, s := range in.servers(v) {
		if s.Flags.Text("authentication-token-webhook-config-file", "") == "" {
			continue
		}
		on = true
		switch ttl := s.Flags.Duration("authentication-token-webhook-cache-ttl", 2*time.Minute); { //nolint:mnd // kube-apiserver's own default
		case ttl > longMinutes*time.Minute:
			v.fail(s.Name, s.Evidence, "its answers are believed for %s", ttl)
		case ttl > warnMinutes*time.Minute:
			v.warn(s.Name, s.Evidence, "its answers are believed for %s", ttl)
		}
	}
	if !on {
		v.na(facts.EvidenceFlagz, "no webhook is asked about tokens")
		return
	}
	v.pass(facts.EvidenceFlagz, "the webhook's answers are believed for %d minutes at most", warnMinutes)
}

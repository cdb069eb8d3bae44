package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func wh05() Check {
	return Check{
		ID: "WH-05", Title: "The webhook is asked in the current version", Mechanism: Webhook, Severity: report.Low, Points: []string{"G-28"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy:   "Set --authentication-token-webhook-version=v1.",
		judge:    judgeWH05,
	}
}

func judgeWH05(in *input, v *verdict) {
	on := false
	for _, s := range in.servers(v) {
		if s.Flags.Text("authentication-token-webhook-config-file", "") == "" {
			continue
		}
		on = true
		if version := s.Flags.Text("authentication-token-webhook-version", "v1beta1"); version != "v1" {
			v.warn(s.Name, s.Evidence, "the webhook is asked in version %s", version)
		}
	}
	if !on {
		v.na(facts.EvidenceFlagz, "no webhook is asked about tokens")
		return
	}
	v.pass(facts.EvidenceFlagz, "the webhook is asked in version v1")
}

package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func wh07() Check {
	return Check{
		ID: "WH-07", Title: "The webhook runs by itself", Mechanism: Webhook, Severity: report.Medium, Points: []string{"G-29"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Give it a namespace of its own, a NetworkPolicy that lets the API servers alone reach it, and nodes with a taint; " +
			"take rights from its service account that it does not need.",
		judge: judgeWH07,
	}
}

func judgeWH07(in *input, v *verdict) {
	on := false
	in.eachWebhook(v, func(string, *facts.KubeconfigCluster) { on = true })
	if on || len(v.missing) > 0 {
		in.isolation(v, "webhook")
	}
}

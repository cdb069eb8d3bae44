package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func wh10() Check {
	return Check{
		ID: "WH-10", Title: "The webhook is asked over TLS 1.2 or later", Mechanism: Webhook, Severity: report.Medium, Points: []string{"G-28", "G-30"},
		Evidence: []facts.Evidence{facts.EvidenceBlackBox},
		Remedy:   "Set the least version of the webhook's server to TLS 1.2, better 1.3: every token goes there.",
		judge:    judgeWH10,
	}
}

func judgeWH10(in *input, v *verdict) {
	on := false
	in.eachWebhook(v, func(_ string, cluster *facts.KubeconfigCluster) {
		on = on || strings.HasPrefix(cluster.Server, "https://")
	})
	if !on {
		if len(v.missing) == 0 && v.off == nil {
			in.offUnlessUnknown(v, "the webhook is asked in clear, which WH-01 is about")
		}
		return
	}
	in.needs(v, facts.SourceWebhookHandshake)
	took := false
	for i := range in.f.WebhookHandshakes {
		h := &in.f.WebhookHandshakes[i]
		took = took || h.Accepted
		if h.Accepted && (h.Offered == "TLS 1.0" || h.Offered == "TLS 1.1") {
			v.fail(h.Server, facts.EvidenceBlackBox, "takes %s", h.Offered)
		}
	}
	if !took {
		v.unknown("no handshake with the webhook succeeded")
	}
	v.pass(facts.EvidenceBlackBox, "the webhook takes TLS 1.2 and later only")
}

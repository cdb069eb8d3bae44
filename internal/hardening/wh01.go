package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func wh01() Check {
	return Check{
		ID: "WH-01", Title: "The webhook is asked over TLS", Mechanism: Webhook, Severity: report.Critical, Points: []string{"G-28"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy:   "Write https in clusters[].cluster.server of the webhook's kubeconfig: every token goes there.",
		judge:    judgeWH01,
	}
}

func judgeWH01(in *input, v *verdict) {
	in.eachWebhook(v, func(subject string, cluster *facts.KubeconfigCluster) {
		if !strings.HasPrefix(cluster.Server, "https://") {
			v.fail(subject, facts.EvidenceFile, "tokens are sent to %s in clear", cluster.Server)
		}
	})
	v.pass(facts.EvidenceFile, "the webhook is asked over TLS")
}

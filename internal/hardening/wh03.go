package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func wh03() Check {
	return Check{
		ID: "WH-03", Title: "The webhook knows who asks", Mechanism: Webhook, Severity: report.Medium, Points: []string{"G-28"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy: "Give the webhook's kubeconfig a client certificate (users[].user.client-certificate and client-key), and let the " +
			"webhook answer nobody else: anybody could try tokens there.",
		judge: judgeWH03,
	}
}

func judgeWH03(in *input, v *verdict) {
	in.eachWebhook(v, func(string, *facts.KubeconfigCluster) {})
	for _, s := range in.known {
		if s.Webhook == nil {
			continue
		}
		i := slices.IndexFunc(s.Webhook.Users, func(u facts.KubeconfigUser) bool { return u.Name == s.Webhook.CurrentUser })
		if i < 0 || s.Webhook.Users[i].Certificate == nil {
			v.warn(s.Name, facts.EvidenceFile, "shows the webhook no client certificate: the webhook cannot tell it from anybody else")
		}
	}
	v.pass(facts.EvidenceFile, "every API server shows the webhook a client certificate")
}

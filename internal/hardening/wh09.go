package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func wh09() Check {
	return Check{
		ID: "WH-09", Title: "The webhook is your own", Mechanism: Webhook, Severity: report.Medium, Points: []string{"G-28", "G-29"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy: "Run the webhook inside (a name of the cluster or a private address): it gets every bearer token that no mechanism " +
			"before it took, mistyped and foreign ones too.",
		judge: judgeWH09,
	}
}

func judgeWH09(in *input, v *verdict) {
	in.eachWebhook(v, func(subject string, cluster *facts.KubeconfigCluster) {
		if !isPrivateHost(cluster.Server) {
			v.warn(subject, facts.EvidenceFile, "every token that no other mechanism took is sent to %s, which is no private name", cluster.Server)
		}
	})
	v.pass(facts.EvidenceFile, "the webhook has a private name or address")
}

package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func wh02() Check {
	return Check{
		ID: "WH-02", Title: "The webhook proves who it is", Mechanism: Webhook, Severity: report.Critical, Points: []string{"G-28"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy:   "Name its CA in clusters[].cluster.certificate-authority, and take insecure-skip-tls-verify away.",
		judge:    judgeWH02,
	}
}

func judgeWH02(in *input, v *verdict) {
	in.eachWebhook(v, func(subject string, cluster *facts.KubeconfigCluster) {
		switch {
		case cluster.Insecure:
			v.fail(subject, facts.EvidenceFile, "insecure-skip-tls-verify: whoever is on the way gets every token, and answers with any name")
		case !cluster.OwnCA && isPrivateHost(cluster.Server):
			v.fail(subject, facts.EvidenceFile, "%s is a private name, and no CA is named for it: any public CA's certificate for it would do", cluster.Server)
		}
	})
	v.pass(facts.EvidenceFile, "the webhook's certificate is verified")
}

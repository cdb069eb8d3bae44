package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func wh08() Check {
	return Check{
		ID: "WH-08", Title: "The webhook gives nobody a name of the cluster's own", Mechanism: Webhook, Severity: report.High, Points: []string{"G-28"},
		Evidence: []facts.Evidence{facts.EvidenceUse},
		Remedy: "Have the webhook refuse names and groups that begin with \"system:\"; Ostiary as the webhook, or before it, " +
			"does.",
		judge: judgeWH08,
	}
}

func judgeWH08(in *input, v *verdict) {
	used := in.usage(v)
	for i := range used {
		o := &used[i]
		if o.Mechanism == "webhook" && (isSystem(o.Username) || slices.ContainsFunc(o.Groups, func(group string) bool { return isSystem(group) && group != "system:authenticated" })) {
			v.fail("user "+o.Username, facts.EvidenceUse, "the webhook answered with a name or group of the cluster's own: %s", someOf(o.Groups))
		}
	}
	v.pass(facts.EvidenceUse, "the webhook answered with no name or group of the cluster's own")
}

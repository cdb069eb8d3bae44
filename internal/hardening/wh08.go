package hardening

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
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
	in.needs(v, facts.SourceFlags)
	own := func(group string) bool { return isSystem(group) && group != "system:authenticated" }
	used := in.usage(v)
	for i := range used {
		o := &used[i]
		if !isSystem(o.Username) && !slices.ContainsFunc(o.Groups, own) {
			continue
		}
		switch by := in.candidates(v, o); {
		case !slices.Contains(by, string(identity.Webhook)):
		case len(by) > 1:
			v.unknown("who gave %s a name or group of the cluster's own: the log does not tell %s apart", o.Username, strings.Join(by, ", "))
		default:
			v.fail("user "+o.Username, facts.EvidenceUse, "the webhook answered with a name or group of the cluster's own: %s", someOf(append([]string{o.Username}, o.Groups...)))
		}
	}
	v.pass(facts.EvidenceUse, "the webhook answered with no name or group of the cluster's own")
}

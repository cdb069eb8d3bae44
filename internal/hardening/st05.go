package hardening

import (
	"fmt"
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func st05() Check {
	return Check{
		ID: "ST-05", Title: "Static tokens give nobody a name or rights of the cluster's own", Mechanism: StaticToken, Severity: report.Critical, Points: []string{"G-12"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceObject},
		Remedy:   "Remove the line, restart kube-apiserver, and look in the audit log for what the name did.",
		judge:    judgeST05,
	}
}

func judgeST05(in *input, v *verdict) {
	in.eachTokenFile(v, func(s *facts.APIServer, file facts.File) {
		in.needs(v, facts.SourceRBAC)
		for i := range s.StaticTokens.Entries {
			entry := &s.StaticTokens.Entries[i]
			subject := fmt.Sprintf("%s, line %d", file.Path, entry.Line)
			if isSystem(entry.User) || slices.ContainsFunc(entry.Groups, isSystem) {
				v.fail(subject, facts.EvidenceFile, "makes its holder %s in %s: names of the cluster's own", entry.User, someOf(entry.Groups))
			} else if why := in.strong(entry.User, entry.Groups...); why != "" {
				v.fail(subject, facts.EvidenceFile, "%s amounts to the whole cluster: %s", entry.User, why)
			}
		}
	})
	v.pass(facts.EvidenceFile, "no static token has a name or rights of the cluster's own")
}

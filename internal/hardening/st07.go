package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func st07() Check {
	return Check{
		ID: "ST-07", Title: "The token file is read as it is meant", Mechanism: StaticToken, Severity: report.Medium, Points: []string{"G-12"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy:   "Correct the line; kube-apiserver says nothing of it, or does not start.",
		judge:    judgeST07,
	}
}

func judgeST07(in *input, v *verdict) {
	in.eachTokenFile(v, func(s *facts.APIServer, file facts.File) {
		for _, problem := range s.StaticTokens.Problems {
			v.fail(file.Path, facts.EvidenceFile, "%s", problem)
		}
	})
	v.pass(facts.EvidenceFile, "every line of the token file is sound")
}

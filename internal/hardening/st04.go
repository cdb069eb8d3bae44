package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func st04() Check {
	return Check{
		ID: "ST-04", Title: "The token file in force is the one on disk", Mechanism: StaticToken, Severity: report.High, Points: []string{"G-13"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidencePod},
		Remedy:   "Restart kube-apiserver, or use Ostiary, where changes apply within a second.",
		judge:    judgeST04,
	}
}

func judgeST04(in *input, v *verdict) {
	in.eachTokenFile(v, func(s *facts.APIServer, file facts.File) {
		at := s.StartedAt
		switch {
		case at.IsZero():
			v.unknown("when %s was started is not known (needed: list pods in kube-system)", s.Name)
		case file.Changed.After(at):
			v.fail(file.Path, facts.EvidenceFile, "was changed on %s, after the API server started on %s: whom the change removed can still get in", file.Changed.Format(time.RFC3339), at.Format(time.RFC3339))
		}
	})
	v.pass(facts.EvidenceFile, "the token file is older than the API server's process")
}

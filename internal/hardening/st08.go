package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func st08() Check {
	return Check{
		ID: "ST-08", Title: "All API servers have the same token file", Mechanism: StaticToken, Severity: report.Medium, Points: []string{"G-13"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy:   "Distribute one file to all control planes, and restart their API servers.",
		judge:    judgeST08,
	}
}

func judgeST08(in *input, v *verdict) {
	var first *facts.File
	in.eachTokenFile(v, func(_ *facts.APIServer, file facts.File) {
		switch {
		case first == nil:
			first = &file
		case first.Digest != file.Digest:
			v.fail(file.Path, facts.EvidenceFile, "differs from %s", first.Path)
		}
	})
	v.pass(facts.EvidenceFile, "all token files that were read are the same")
}

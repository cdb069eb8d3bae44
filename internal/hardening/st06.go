package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func st06() Check {
	return Check{
		ID: "ST-06", Title: "Static tokens are changed", Mechanism: StaticToken, Severity: report.Medium, Points: []string{"G-14"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy: "Make each token anew (openssl rand -hex 32) and restart kube-apiserver; Ostiary lets each user rotate their own: " +
			"kubectl ostiary token rotate.",
		judge: judgeST06,
	}
}

func judgeST06(in *input, v *verdict) {
	const oldDays, warnDays = 365, 90
	in.eachTokenFile(v, func(s *facts.APIServer, file facts.File) {
		age := in.now.Sub(file.Changed)
		switch {
		case file.Changed.IsZero():
			v.unknown("when %s on %s was last changed", file.Path, s.Name)
		case age > days(oldDays):
			v.fail(file.Path+" on "+s.Name, facts.EvidenceFile, "no token in it was changed for %s", span(age))
		case age > days(warnDays):
			v.warn(file.Path+" on "+s.Name, facts.EvidenceFile, "no token in it was changed for %s", span(age))
		case len(s.StaticTokens.Entries) > 0:
			v.unknown("which of the tokens in %s on %s are new: the file was changed on %s, and only a record of each shows more (Ostiary's ledger has one)", file.Path, s.Name, file.Changed.Format(time.DateOnly))
		}
	})
	v.pass(facts.EvidenceFile, "there is no token in the file")
}

package hardening

import (
	"fmt"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func st03() Check {
	return Check{
		ID: "ST-03", Title: "Static tokens cannot be guessed", Mechanism: StaticToken, Severity: report.Critical, Points: []string{"G-15"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy: "Make each token anew, for example with: openssl rand -hex 32. Nothing slows a guesser down at " +
			"kube-apiserver; Ostiary locks him out.",
		judge: judgeST03,
	}
}

func judgeST03(in *input, v *verdict) {
	const leastBits = 128
	in.eachTokenFile(v, func(s *facts.APIServer, file facts.File) {
		for i := range s.StaticTokens.Entries {
			entry := &s.StaticTokens.Entries[i]
			subject := fmt.Sprintf("%s, line %d", file.Path, entry.Line)
			switch {
			case entry.Token.Published:
				v.fail(subject, facts.EvidenceFile, "the token of %s stands in public documents, or equals the user's name", entry.User)
			case entry.Token.Bits < leastBits:
				v.fail(subject, facts.EvidenceFile, "the token of %s holds some %.0f bits of chance, less than %d", entry.User, entry.Token.Bits, leastBits)
			}
		}
	})
	v.pass(facts.EvidenceFile, "every static token holds at least %d bits of chance, as far as can be told", leastBits)
}

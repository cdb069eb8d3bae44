package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func st09() Check {
	return Check{
		ID: "ST-09", Title: "Nobody can try static tokens without end", Mechanism: StaticToken, Severity: report.Medium, Points: []string{"G-15"},
		Evidence: []facts.Evidence{facts.EvidenceUse, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Let the API server be reached through a gate that locks guessers out (Ostiary does, by source), and by nothing else; " +
			"find out who tried.",
		judge: judgeST09,
	}
}

func judgeST09(in *input, v *verdict) {
	on := slices.ContainsFunc(in.servers(v), func(s *facts.APIServer) bool { return s.Flags.Text("token-auth-file", "") != "" })
	if !on {
		in.offUnlessUnknown(v, "no API server has a token file")
		return
	}
	in.guessing(v, "static tokens")
}

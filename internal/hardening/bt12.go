package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func bt12() Check {
	return Check{
		ID: "BT-12", Title: "Nobody can try join tokens without end", Mechanism: Bootstrap, Severity: report.Medium, Points: []string{"G-18"},
		Evidence: []facts.Evidence{facts.EvidenceUse, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Set --enable-bootstrap-token-auth=false while no node joins, and let the API server be reached through a gate that " +
			"locks guessers out (Ostiary does, by token id and source).",
		judge: judgeBT12,
	}
}

func judgeBT12(in *input, v *verdict) {
	on := slices.ContainsFunc(in.servers(v), func(s *facts.APIServer) bool { return s.Flags.Bool("enable-bootstrap-token-auth", false) })
	if !on {
		in.offUnlessUnknown(v, "bootstrap tokens are off")
		return
	}
	in.guessing(v, "join tokens")
}

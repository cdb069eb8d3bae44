package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func bt01() Check {
	return Check{
		ID: "BT-01", Title: "Join tokens are accepted only while nodes join", Mechanism: Bootstrap, Severity: report.Low, Points: []string{"G-16"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest, facts.EvidenceObject},
		Remedy: "Set --enable-bootstrap-token-auth=false when no node is to join, or delete the tokens and let them be made " +
			"when one is.",
		References: []string{"CIS 3.1.3"},
		judge:      judgeBT01,
	}
}

func judgeBT01(in *input, v *verdict) {
	const quietDays = 30
	in.needs(v, facts.SourceNodes)
	on := false
	for _, s := range in.servers(v) {
		on = on || s.Flags.Bool("enable-bootstrap-token-auth", false)
	}
	joined := slices.ContainsFunc(in.f.Nodes, func(n facts.Node) bool { return in.now.Sub(n.Created) < days(quietDays) })
	switch {
	case !on:
		v.na(facts.EvidenceFlagz, "bootstrap tokens are off")
	case !joined:
		v.warn("", facts.EvidenceObject, "bootstrap tokens are accepted, and no node has joined for %d days", quietDays)
	default:
		v.pass(facts.EvidenceObject, "bootstrap tokens are accepted, and nodes do join")
	}
}

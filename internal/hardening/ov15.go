package hardening

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov15() Check {
	return Check{
		ID: "OV-15", Title: "All API servers have the same flags", Mechanism: Overview, Severity: report.Medium, Points: []string{"G-01"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceManifest},
		Remedy:   "Bring the manifests of all control planes into line, and restart the one that differs.",
		judge:    judgeOV15,
	}
}

func judgeOV15(in *input, v *verdict) {
	servers := in.servers(v)
	byEvidence := map[facts.Evidence][]*facts.APIServer{}
	for _, s := range servers {
		byEvidence[s.Evidence] = append(byEvidence[s.Evidence], s)
	}
	compared := false
	for evidence, same := range byEvidence {
		for _, other := range same[1:] {
			compared = true
			if names := differing(same[0], other); len(names) > 0 {
				v.fail(other.Name, evidence, "differs from %s in --%s: who gets in depends on which of them answers", same[0].Name, strings.Join(names, ", --"))
			}
		}
	}
	if !compared {
		v.na(facts.EvidenceFlagz, "one API server is known")
		return
	}
	v.pass(facts.EvidenceFlagz, "%d API servers have the same flags", len(servers))
}

// differing are the flags in which two API servers differ, but for those that are each one's own.
func differing(a, b *facts.APIServer) []string {
	var names []string
	for _, one := range []*facts.APIServer{a, b} {
		for name := range one.Flags {
			switch name {
			case "advertise-address", "bind-address", "secure-port":
				continue
			}
			if !slices.Equal(a.Flags[name], b.Flags[name]) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

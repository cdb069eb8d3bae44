package hardening

import (
	"maps"
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func bt10() Check {
	return Check{
		ID: "BT-10", Title: "Few can read join tokens", Mechanism: Bootstrap, Severity: report.Medium, Points: []string{"G-17", "G-20"},
		Evidence:   []facts.Evidence{facts.EvidenceObject},
		Remedy:     "Take get, list and watch on secrets in kube-system out of the role, or name the Secrets in resourceNames.",
		References: []string{"CIS 5.1.2"},
		judge:      judgeBT10,
	}
}

func judgeBT10(in *input, v *verdict) {
	const most = 5
	in.needs(v, facts.SourceRBAC)
	readers := in.holders(func(g *grant) bool {
		if g.namespace != "" && g.namespace != "kube-system" {
			return false
		}
		return slices.ContainsFunc([]string{"get", "list", "watch"}, func(verb string) bool {
			all, _ := g.permits(verb, "", "secrets")
			return all
		})
	})
	if len(readers) > most {
		v.warn("namespace kube-system", facts.EvidenceObject, "%d subjects besides the cluster's own can read join tokens: %s", len(readers), someOf(slices.Collect(maps.Keys(readers))))
	}
	v.pass(facts.EvidenceObject, "%d subjects besides the cluster's own can read join tokens", len(readers))
}

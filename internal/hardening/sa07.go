package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa07() Check {
	return Check{
		ID: "SA-07", Title: "Knowing a Secret's name is not enough to read it", Mechanism: TokenSecret, Severity: report.High, Points: []string{"G-20"},
		Evidence:   []facts.Evidence{facts.EvidenceObject},
		Remedy:     "Name the Secrets in resourceNames: whoever may get any can guess names such as NAME-token.",
		References: []string{"CIS 5.1.2"},
		judge:      judgeSA07,
	}
}

func judgeSA07(in *input, v *verdict) {
	in.needs(v, facts.SourceTokenSecrets, facts.SourceRBAC)
	namespaces := map[string]bool{}
	for i := range in.f.TokenSecrets {
		namespaces[in.f.TokenSecrets[i].Namespace] = true
	}
	found := in.holders(func(g *grant) bool {
		get, _ := g.permits("get", "", "secrets")
		list, _ := g.permits("list", "", "secrets")
		return get && !list && (g.namespace == "" && len(namespaces) > 0 || namespaces[g.namespace])
	})
	for name, through := range found {
		v.warn(name, facts.EvidenceObject, "may get any Secret where tokens are, though not list them, by %s", through)
	}
	v.pass(facts.EvidenceObject, "nobody may get Secrets by guessing where tokens are")
}

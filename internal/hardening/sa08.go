package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa08() Check {
	return Check{
		ID: "SA-08", Title: "Few can have a token made by creating a Secret", Mechanism: TokenSecret, Severity: report.High, Points: []string{"G-20"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy:   "Take create on secrets out of the role, or move the strong service account into a namespace of its own.",
		judge:    judgeSA08,
	}
}

func judgeSA08(in *input, v *verdict) {
	in.needs(v, facts.SourceServiceAccounts, facts.SourceRBAC)
	strong := map[string]string{}
	for i := range in.f.ServiceAccounts {
		a := &in.f.ServiceAccounts[i]
		if in.strongAccount(a.Namespace, a.Name) != "" {
			strong[a.Namespace] = a.Name
		}
	}
	found := in.holders(func(g *grant) bool {
		create, _ := g.permits("create", "", "secrets")
		get, _ := g.permits("get", "", "secrets")
		list, _ := g.permits("list", "", "secrets")
		return create && (get || list) && (g.namespace == "" && len(strong) > 0 || strong[g.namespace] != "")
	})
	for name, through := range found {
		if in.fullAdmin(name) {
			continue // has that power already
		}
		v.fail(name, facts.EvidenceObject, "may have a token of a service account made that amounts to the whole cluster, by creating a Secret and reading it: %s", through)
	}
	v.pass(facts.EvidenceObject, "nobody may create and read Secrets beside a service account that is stronger than they are")
}

package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tr06() Check {
	return Check{
		ID: "TR-06", Title: "Few can make tokens of service accounts", Mechanism: TokenReq, Severity: report.High, Points: []string{"G-22", "G-23"},
		Evidence:   []facts.Evidence{facts.EvidenceObject},
		Remedy:     "Take create on serviceaccounts/token out of the role, or name the accounts in resourceNames.",
		References: []string{"CIS 5.1.13"},
		judge:      judgeTR06,
	}
}

func judgeTR06(in *input, v *verdict) {
	in.needs(v, facts.SourceRBAC, facts.SourceServiceAccounts)
	strong := map[string]bool{}
	for i := range in.f.ServiceAccounts {
		a := &in.f.ServiceAccounts[i]
		if in.strongAccount(a.Namespace, a.Name) != "" {
			strong[a.Namespace] = true
		}
	}
	found := in.holders(func(g *grant) bool {
		all, _ := g.permits("create", "", "serviceaccounts/token")
		return all && (g.namespace == "" || strong[g.namespace])
	})
	for name, through := range found {
		if in.fullAdmin(name) {
			continue // can do everything without a token
		}
		v.fail(name, facts.EvidenceObject, "may make tokens of service accounts in every namespace, or of one that amounts to the whole cluster: %s", through)
	}
	v.pass(facts.EvidenceObject, "nobody may make tokens of accounts that are stronger than they are")
}

package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ap08() Check {
	return Check{
		ID: "AP-08", Title: "Few may act as others", Mechanism: Proxy, Severity: report.High, Points: []string{"G-31"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Name in resourceNames whom a proxy may impersonate, or hand identities on by X-Remote-* with a certificate " +
			"of its own.",
		References: []string{"CIS 5.1.8"},
		judge:      judgeAP08,
	}
}

func judgeAP08(in *input, v *verdict) {
	in.needs(v, facts.SourceRBAC)
	named := func(resource string, everyone bool) map[string]string {
		return in.holders(func(g *grant) bool {
			all, some := g.permits("impersonate", "", resource)
			return g.namespace == "" && (all || some && !everyone)
		})
	}
	found, users, accounts := named("users", true), named("users", false), named("serviceaccounts", false)
	for name, through := range named("groups", true) {
		// A group is named beside a user, and one user is enough to name any group beside.
		if found[name] == "" && users[name]+accounts[name] != "" {
			found[name] = through
		}
	}
	for name, through := range found {
		if in.fullAdmin(name) {
			continue // can do everything as themselves
		}
		v.fail(name, facts.EvidenceObject, "may act as any user, or in any group, by %s", through)
	}
	v.pass(facts.EvidenceObject, "nobody but administrators may act as any user, or in any group")
}

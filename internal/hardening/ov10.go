package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov10() Check {
	return Check{
		ID: "OV-10", Title: "Each credential is one person's", Mechanism: Overview, Severity: report.Medium, Points: []string{"G-03"},
		Evidence: []facts.Evidence{facts.EvidenceUse},
		Remedy: "Give each person a credential of their own (sign-in at a provider), shut the shared one out, and take the shared name " +
			"out of bindings.",
		References: []string{"CIS 5.1.1"},
		judge:      judgeOV10,
	}
}

func judgeOV10(in *input, v *verdict) {
	const most = 3 // a laptop in two networks and a jump host
	used := in.usage(v)
	byID, generic := map[string][]*facts.Observation{}, map[string][]string{}
	for i := range used {
		o := &used[i]
		if o.CredentialID != "" && !isSystem(o.Username) {
			byID[o.CredentialID] = append(byID[o.CredentialID], o)
		}
		if isGenericName(o.Username) && in.byPerson(o) && !slices.Contains(generic[o.Username], o.Source) {
			generic[o.Username] = append(generic[o.Username], o.Source)
		}
	}
	for name, sources := range generic {
		if len(sources) > 1 {
			v.fail("user "+name, facts.EvidenceUse, "people at %d addresses were this one user: nobody can say who of them did what (%s)", len(sources), someOf(sources))
		}
	}
	for id, all := range byID {
		if sources := inOneDay(all); len(sources) > most {
			v.warn(id, facts.EvidenceUse, "the credential of %s was used from %d addresses in one day: %s", all[0].Username, len(sources), someOf(sources))
		}
	}
	v.pass(facts.EvidenceUse, "no credential was used from more than %d addresses in one day, and no shared administrator by several people", most)
}

// isGenericName reports whether a name is one that installers give to whoever holds the file.
func isGenericName(name string) bool {
	return slices.Contains([]string{"kubernetes-admin", "kubernetes-super-admin", "kube-admin", "cluster-admin", "masterclient", "admin", "root"}, name)
}

// inOneDay are the most addresses from which something was used within one day.
func inOneDay(all []*facts.Observation) []string {
	var most []string
	for _, start := range all {
		var sources []string
		for _, o := range all {
			overlaps := !o.First.After(start.First.Add(days(1))) && !o.Last.Before(start.First)
			if overlaps && !slices.Contains(sources, o.Source) {
				sources = append(sources, o.Source)
			}
		}
		if len(sources) > len(most) {
			most = sources
		}
	}
	return most
}

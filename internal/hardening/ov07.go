package hardening

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov07() Check {
	return Check{
		ID: "OV-07", Title: "Bindings name people and groups that are there", Mechanism: Overview, Severity: report.Medium, Points: []string{"G-02", "G-03"},
		Evidence: []facts.Evidence{facts.EvidenceObject, facts.EvidenceUse, facts.EvidenceFile},
		Remedy: "Delete the subject or the whole binding: kubectl delete clusterrolebinding NAME. Whoever is given the name again " +
			"would have its rights.",
		References: []string{"CIS 5.1.1"},
		judge:      judgeOV07,
	}
}

func judgeOV07(in *input, v *verdict) {
	const goneDays = 180
	in.needs(v, facts.SourceRBAC, facts.SourceCertificates)
	in.usage(v)
	names, open := in.names(v)
	long := in.f.Usage != nil && in.f.Usage.Until.Sub(in.f.Usage.From) >= days(goneDays)
	seen := in.lastSeen()
	left := map[string]bool{}
	for i := range in.f.Roster {
		for _, name := range in.f.Roster[i].Usernames {
			left["User "+name] = !in.f.Roster[i].Active
		}
	}
	var never []string
	for _, g := range in.grants() {
		for i := range g.subjects {
			s := &g.subjects[i]
			name := s.Kind + " " + s.Name
			if s.Kind == rbacv1.ServiceAccountKind || isSystem(s.Name) || isComponent(s) {
				continue
			}
			last, was := seen[name]
			switch {
			case left[name]:
				v.fail(name, facts.EvidenceObject, "has left by the roster, and %s gives them the %s %s", g.name, g.roleKind, g.role)
			case was && in.now.Sub(last) <= days(goneDays):
			case long:
				v.fail(name, facts.EvidenceUse, "was not seen for %d days, and %s gives the name the %s %s", goneDays, g.name, g.roleKind, g.role)
			case !open && !names.has(s.Kind, s.Name):
				v.warn(name, facts.EvidenceObject, "no credential and no source that is known gives this name, and %s gives it the %s %s", g.name, g.roleKind, g.role)
			case !slices.Contains(never, name):
				never = append(never, name)
			}
		}
	}
	if len(never) > 0 && in.f.Usage != nil {
		v.unknown("whether %s were seen in the last %d days: the records of use reach back to %s", someOf(never), goneDays, in.recordsFrom())
	}
	v.pass(facts.EvidenceUse, "every user and group that bindings name was seen within %d days", goneDays)
}

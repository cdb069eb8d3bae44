package hardening

import (
	"maps"
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/report"
)

func ov05() Check {
	return Check{
		ID: "OV-05", Title: "Several people sign in at a provider", Mechanism: Overview, Severity: report.Medium, Points: []string{"G-04"},
		Evidence: []facts.Evidence{facts.EvidenceUse, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Trust an OpenID Connect provider (--authentication-config with a jwt section), or put a gate with sign-in before the " +
			"API server.",
		References: []string{"CIS 3.1.1"},
		judge:      judgeOV05,
	}
}

func judgeOV05(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		on, known := in.waysOn(v, s)
		outside := slices.ContainsFunc(on, func(w way) bool {
			return w.name == string(identity.JWT) || w.name == string(identity.Webhook)
		})
		switch {
		case outside || in.proxyForPeople(s):
			v.pass(s.Evidence, "people can sign in at a source outside the cluster")
			return
		case !known:
			v.unknown("whether %s trusts a provider", s.Name)
		}
	}
	people := map[string]bool{}
	used := in.usage(v)
	for i := range used {
		if o := &used[i]; in.byPerson(o) && o.Mechanism != string(identity.AnonymousAccess) {
			people[o.Username] = true
		}
	}
	if len(people) > 1 {
		v.fail("", facts.EvidenceUse, "%d people were seen (%s), and no source outside the cluster is trusted", len(people), someOf(slices.Collect(maps.Keys(people))))
	}
	v.pass(facts.EvidenceUse, "no more than one person was seen")
}

package hardening

import (
	"fmt"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa04() Check {
	return Check{
		ID: "SA-04", Title: "Every token in a Secret has somebody who takes it away", Mechanism: TokenSecret, Severity: report.Medium, Points: []string{"G-19"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Delete the Secret, or note its owner: Kubernetes' cleaner leaves it alone for ever, as its service account " +
			"does not list it.",
		judge: judgeSA04,
	}
}

func judgeSA04(in *input, v *verdict) {
	in.needs(v, facts.SourceTokenSecrets, facts.SourceServiceAccounts)
	listed := map[string]bool{}
	for i := range in.f.ServiceAccounts {
		for _, name := range in.f.ServiceAccounts[i].Secrets {
			listed[in.f.ServiceAccounts[i].Namespace+"/"+name] = true
		}
	}
	byNamespace := map[string][]string{}
	for i := range in.f.TokenSecrets {
		if s := &in.f.TokenSecrets[i]; !listed[s.Namespace+"/"+s.Name] {
			byNamespace[s.Namespace] = append(byNamespace[s.Namespace], fmt.Sprintf("%s (%s old)", s.Name, span(in.now.Sub(s.Created))))
		}
	}
	for namespace, names := range byNamespace {
		v.warn("namespace "+namespace, facts.EvidenceObject, "%d tokens in Secrets are never cleaned up: %s", len(names), someOf(names))
	}
	v.pass(facts.EvidenceObject, "the cleaner looks after every token in a Secret")
}

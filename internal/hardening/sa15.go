package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa15() Check {
	return Check{
		ID: "SA-15", Title: "Pods have a token only where they need one", Mechanism: TokenSecret, Severity: report.Low, Points: []string{"G-20"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "kubectl patch serviceaccount default --namespace NAMESPACE --patch '{\"automountServiceAccountToken\": false}', and " +
			"an account of its own for what needs a token.",
		References: []string{"CIS 5.1.5", "CIS 5.1.6"},
		judge:      judgeSA15,
	}
}

func judgeSA15(in *input, v *verdict) {
	in.needs(v, facts.SourceServiceAccounts, facts.SourcePods)
	var handing []string
	for i := range in.f.ServiceAccounts {
		if a := &in.f.ServiceAccounts[i]; a.Name == "default" && !a.NoAutomount {
			handing = append(handing, a.Namespace)
		}
	}
	if len(handing) > 0 {
		v.warn("ServiceAccount default", facts.EvidenceObject, "in %d namespaces every pod that asks for nothing gets its token: %s", len(handing), someOf(handing))
	}
	for i := range in.f.PodTokens {
		if p := &in.f.PodTokens[i]; p.Account == "default" && p.Mounted > 0 {
			v.warn("namespace "+p.Namespace, facts.EvidenceObject, "%d pods have a token of the account default, for example %s", p.Mounted, p.Example)
		}
	}
	v.pass(facts.EvidenceObject, "no account default hands out its token, and no pod has one")
}

package hardening

import (
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa05() Check {
	return Check{
		ID: "SA-05", Title: "Tokens that were shut out are deleted", Mechanism: TokenSecret, Severity: report.Low, Points: []string{"G-19"},
		Evidence: []facts.Evidence{facts.EvidenceObject, facts.EvidencePod},
		Remedy: "Delete the Secret; add legacy-serviceaccount-token-cleaner-controller to --controllers of " +
			"kube-controller-manager.",
		judge: judgeSA05,
	}
}

func judgeSA05(in *input, v *verdict) {
	const longestDays = 366
	in.needs(v, facts.SourceTokenSecrets, facts.SourceControllerManager)
	for i := range in.f.TokenSecrets {
		if s := &in.f.TokenSecrets[i]; !s.InvalidSince.IsZero() {
			v.warn("Secret "+s.Namespace+"/"+s.Name, facts.EvidenceObject, "was shut out on %s and is still there; an attempt to use it shows as use", s.InvalidSince.Format(time.DateOnly))
		}
	}
	const cleaner = "legacy-serviceaccount-token-cleaner-controller"
	for i := range in.f.ControllerManagers {
		m := &in.f.ControllerManagers[i]
		controllers := m.Flags["controllers"]
		on := len(controllers) == 0 || slices.Contains(controllers, "*") || slices.Contains(controllers, cleaner)
		switch period := m.Flags.Duration("legacy-service-account-token-clean-up-period", days(longestDays-1)); {
		case !on || slices.Contains(controllers, "-"+cleaner):
			v.fail(m.Name, m.Evidence, "the cleaner of tokens in Secrets does not run")
		case period > days(longestDays):
			v.fail(m.Name, m.Evidence, "tokens in Secrets are cleaned up after %s", span(period))
		}
	}
	v.pass(facts.EvidenceObject, "no token that was shut out is left, and the cleaner runs")
}

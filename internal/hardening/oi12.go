package hardening

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi12() Check {
	return Check{
		ID: "OI-12", Title: "Kubeconfigs keep no secret of a provider", Mechanism: OIDC, Severity: report.Medium, Points: []string{"G-09", "G-23"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy: "Use an exec plugin that keeps tokens in the system's keyring (kubectl ostiary login does), with a public client that " +
			"has no secret; take id-token, refresh-token and client-secret away.",
		judge: judgeOI12,
	}
}

func judgeOI12(in *input, v *verdict) {
	in.needs(v, facts.SourceKubeconfigs)
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		for j := range k.Users {
			u := &k.Users[j]
			held := slices.Clone(u.ProviderSecrets)
			if u.Exec != nil {
				held = append(held, u.Exec.Secrets...)
			}
			if u.Token != nil && u.Token.JWT && u.AuthProvider == "" && in.isProvider(u.Token.Issuer) {
				held = append(held, "token of "+u.Token.Issuer)
			}
			subject := "user " + u.Name + " in " + k.File.Path
			switch {
			case len(held) == 0:
			case k.File.HasMode && k.File.Mode&0o077 != 0: //nolint:mnd // bits of the group and of others
				v.fail(subject, facts.EvidenceFile, "others can read in it: %s", strings.Join(held, ", "))
			default:
				v.warn(subject, facts.EvidenceFile, "it holds: %s", strings.Join(held, ", "))
			}
		}
	}
	if len(in.f.Kubeconfigs) > 0 {
		v.pass(facts.EvidenceFile, "no kubeconfig that was given keeps a secret of a provider")
	}
}

// isProvider reports whether an API server that is known trusts a provider of this URL.
func (in *input) isProvider(issuer string) bool {
	return slices.ContainsFunc(in.known, func(s *facts.APIServer) bool {
		issuers, _ := s.Issuers()
		return slices.ContainsFunc(issuers, func(i facts.Issuer) bool { return i.URL == issuer })
	})
}

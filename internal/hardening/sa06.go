package hardening

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa06() Check {
	return Check{
		ID: "SA-06", Title: "Few can read the Secrets in which tokens are", Mechanism: TokenSecret, Severity: report.High, Points: []string{"G-20"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Take get, list and watch on secrets out of the role, or name the Secrets in resourceNames; better, delete " +
			"the token's Secret.",
		References: []string{"CIS 5.1.2"},
		judge:      judgeSA06,
	}
}

func judgeSA06(in *input, v *verdict) {
	const most = 3
	in.needs(v, facts.SourceTokenSecrets, facts.SourceRBAC, facts.SourceServiceAccounts)
	for i := range in.f.TokenSecrets {
		s := &in.f.TokenSecrets[i]
		var readers []string
		for _, reader := range in.policy().SecretReaders(s.Namespace, s.Name) {
			if !strings.HasPrefix(reader, "ServiceAccount kube-system/") && !strings.HasPrefix(reader, "Group system:") && !strings.HasPrefix(reader, "User system:") || reader == "Group system:authenticated" {
				readers = append(readers, reader)
			}
		}
		subject := "Secret " + s.Namespace + "/" + s.Name
		gains := slices.DeleteFunc(slices.Clone(readers), func(reader string) bool {
			return in.fullAdmin(reader) || in.strongAccount(s.Namespace, s.ServiceAccount) == ""
		})
		switch {
		case len(gains) > 0:
			v.fail(subject, facts.EvidenceObject, "%s can read the token of %s, which amounts to the whole cluster, and has less", someOf(gains), s.ServiceAccount)
		case len(readers) > most:
			v.fail(subject, facts.EvidenceObject, "%d subjects besides controllers can read the token: %s", len(readers), someOf(readers))
		}
	}
	v.pass(facts.EvidenceObject, "no token's Secret has more than %d readers besides controllers", most)
}

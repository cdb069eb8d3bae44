package hardening

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

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
	type exposed struct{ secrets, readers []string }
	byNamespace := map[string]*exposed{}
	for i := range in.f.TokenSecrets {
		s := &in.f.TokenSecrets[i]
		readers := slices.DeleteFunc(slices.Clone(in.policy().SecretReaders(s.Namespace, s.Name)), func(reader string) bool {
			kind, name, _ := strings.Cut(reader, " ")
			subject := rbacv1.Subject{Kind: kind, Name: name}
			if kind == rbacv1.ServiceAccountKind {
				subject.Namespace, subject.Name, _ = strings.Cut(name, "/")
			}
			return isComponent(&subject)
		})
		subject := "Secret " + s.Namespace + "/" + s.Name
		var gains []string
		if in.strongAccount(s.Namespace, s.ServiceAccount) != "" {
			gains = slices.DeleteFunc(slices.Clone(readers), in.fullAdmin)
		}
		switch {
		case len(gains) > 0:
			v.fail(subject, facts.EvidenceObject, "%s can read the token of %s, which amounts to the whole cluster, and has less", someOf(gains), s.ServiceAccount)
		case len(readers) > most:
			one := byNamespace[s.Namespace]
			if one == nil {
				one = &exposed{}
				byNamespace[s.Namespace] = one
			}
			one.secrets, one.readers = append(one.secrets, s.Name), append(one.readers, readers...)
		}
	}
	for namespace, one := range byNamespace {
		v.fail("namespace "+namespace, facts.EvidenceObject, "more than %d subjects besides controllers can read each of %d Secrets with tokens (%s): %s", most, len(one.secrets), someOf(one.secrets), someOf(one.readers))
	}
	v.pass(facts.EvidenceObject, "no token's Secret has more than %d readers besides controllers", most)
}

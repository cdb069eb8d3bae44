package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa12() Check {
	return Check{
		ID: "SA-12", Title: "Tokens of service accounts are not copied", Mechanism: TokenSecret, Severity: report.High, Points: []string{"G-20"},
		Evidence: []facts.Evidence{facts.EvidenceObject, facts.EvidenceFile},
		Remedy: "Delete the copy and the Secret that it came from; give the program a service account, or a token that " +
			"ends.",
		judge: judgeSA12,
	}
}

func judgeSA12(in *input, v *verdict) {
	const issuer = "kubernetes/serviceaccount"
	in.needs(v, facts.SourceConfigMaps, facts.SourceSecrets)
	for i := range in.f.StoredCredentials {
		if s := &in.f.StoredCredentials[i]; s.What == "service account token" {
			v.fail(s.Kind+" "+s.Namespace+"/"+s.Name, facts.EvidenceObject, "holds a copy of a token of %s (key %s)", s.Subject, s.Key)
		}
	}
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		for j := range k.Users {
			if t := k.Users[j].Token; t != nil && t.JWT && (t.Issuer == issuer || strings.HasPrefix(t.Subject, "system:serviceaccount:") && t.Expires.IsZero()) {
				v.fail("user "+k.Users[j].Name+" in "+k.File.Path, facts.EvidenceFile, "holds a token of %s that has no end", t.Subject)
			}
		}
	}
	v.pass(facts.EvidenceObject, "no copy of a service account's token was found")
}

package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc16() Check {
	return Check{
		ID: "XC-16", Title: "No kubeconfig with a credential is kept in the cluster", Mechanism: ClientCert, Severity: report.High, Points: []string{"G-09"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Delete the object, and shut out the credential that was in it; give programs in the cluster a service " +
			"account of their own.",
		judge: judgeXC16,
	}
}

func judgeXC16(in *input, v *verdict) {
	in.needs(v, facts.SourceConfigMaps, facts.SourceSecrets)
	for i := range in.f.StoredCredentials {
		s := &in.f.StoredCredentials[i]
		if s.What != "kubeconfig" {
			continue
		}
		subject := s.Kind + " " + s.Namespace + "/" + s.Name
		if s.Kind == "ConfigMap" {
			v.failAs(report.Critical, subject, facts.EvidenceObject, "holds a kubeconfig of %s with its credential, for all who read ConfigMaps (key %s)", s.Subject, s.Key)
		} else {
			v.fail(subject, facts.EvidenceObject, "holds a kubeconfig of %s with its credential (key %s)", s.Subject, s.Key)
		}
	}
	v.pass(facts.EvidenceObject, "no ConfigMap or Secret holds a kubeconfig with a credential")
}

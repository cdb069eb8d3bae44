package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/report"
)

func tr04() Check {
	return Check{
		ID: "TR-04", Title: "Tokens end with what they are for", Mechanism: TokenReq, Severity: report.Medium, Points: []string{"G-22"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceUse},
		Remedy: "Bind the token to a pod, a Secret or a node, which can be deleted: kubectl create token NAME --bound-object-kind Pod " +
			"--bound-object-name POD.",
		judge: judgeTR04,
	}
}

func judgeTR04(in *input, v *verdict) {
	in.needs(v, facts.SourceKubeconfigs)
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		for j := range k.Users {
			t := k.Users[j].Token
			if t != nil && t.JWT && strings.HasPrefix(t.Subject, identity.ServiceAccountPrefix) && !t.Bound && t.Issuer != "kubernetes/serviceaccount" {
				v.warn("user "+k.Users[j].Name+" in "+k.File.Path, facts.EvidenceFile, "holds a token of %s that is bound to nothing: until it ends only deleting the account stops it", t.Subject)
			}
		}
	}
	bound := map[string]bool{}
	used := in.usage(v)
	if in.f.Usage != nil {
		for i := range in.f.Usage.IssuedIDs {
			if t := &in.f.Usage.IssuedIDs[i]; t.Bound != "" {
				bound[t.CredentialID] = true
			}
		}
	}
	for i := range used {
		o := &used[i]
		if o.Mechanism == string(identity.TokenRequest) && o.Pod == "" && o.Node == "" && !bound[o.CredentialID] {
			v.warn(o.CredentialID, facts.EvidenceUse, "a token of %s was used from %s that is bound to no pod and no node", o.Username, o.Source)
		}
	}
	v.pass(facts.EvidenceUse, "every token that was seen ends with a pod, a node or a Secret")
}

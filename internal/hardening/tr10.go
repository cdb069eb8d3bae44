package hardening

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/report"
)

func tr10() Check {
	return Check{
		ID: "TR-10", Title: "Each token is for one party", Mechanism: TokenReq, Severity: report.Medium, Points: []string{"G-22", "G-24"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest, facts.EvidenceFile},
		Remedy: "Keep --api-audiences to the one name of the API server, and ask for tokens with --audience of whoever they are for: " +
			"whoever takes a token for two parties can use it at the other.",
		judge: judgeTR10,
	}
}

func judgeTR10(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		audiences := s.Flags["api-audiences"]
		if len(audiences) > 1 {
			v.warn(s.Name, s.Evidence, "takes tokens for %d audiences (--api-audiences): %s", len(audiences), strings.Join(audiences, ", "))
		}
		issuers, known := s.Issuers()
		if !known {
			in.file(v, s, "authentication-config")
		}
		for i := range issuers {
			for _, audience := range issuers[i].Audiences {
				if audience != "" && slices.Contains(append(audiences, s.Flags["service-account-issuer"]...), audience) {
					v.warn(s.Name, s.Evidence, "the audience %s is that of the cluster's own tokens and of the provider %s", audience, issuers[i].URL)
				}
			}
		}
	}
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		for j := range k.Users {
			t := k.Users[j].Token
			if t != nil && len(t.Audience) > 1 && strings.HasPrefix(t.Subject, identity.ServiceAccountPrefix) {
				v.warn("user "+k.Users[j].Name+" in "+k.File.Path, facts.EvidenceFile, "holds a token of %s for %d audiences", t.Subject, len(t.Audience))
			}
		}
	}
	v.pass(facts.EvidenceFlagz, "the API servers take tokens for one audience, which no provider shares")
}

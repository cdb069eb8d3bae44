package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa13() Check {
	return Check{
		ID: "SA-13", Title: "Secrets are encrypted at rest", Mechanism: TokenSecret, Severity: report.Medium, Points: []string{"G-20"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Set --encryption-provider-config with a kms provider first for secrets, then write every Secret anew: kubectl get " +
			"secrets -A -o json | kubectl replace -f -",
		References: []string{"CIS 1.2.27", "CIS 1.2.28"},
		judge:      judgeSA13,
	}
}

func judgeSA13(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		switch {
		case s.Flags.Text("encryption-provider-config", "") == "":
			v.fail(s.Name, s.Evidence, "--encryption-provider-config is not set: whoever reads etcd or a backup of it has every token")
		case s.Encryption == nil:
			in.file(v, s, "encryption-provider-config")
			v.unknown("how %s encrypts Secrets", s.Name)
		case len(s.Encryption.Secrets) == 0 || s.Encryption.Secrets[0] == "identity":
			v.fail(s.Name, facts.EvidenceFile, "Secrets are written in clear: identity is the first provider for them, or none is")
		}
	}
	v.pass(facts.EvidenceFile, "Secrets are encrypted at rest")
}

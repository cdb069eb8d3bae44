package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func st01() Check {
	return Check{
		ID: "ST-01", Title: "There is no static token file", Mechanism: StaticToken, Severity: report.High, Points: []string{"G-12", "G-13", "G-15"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Take --token-auth-file away, after its users have other credentials; until then Ostiary can take the file " +
			"as hashes (ostiary config hash-tokens).",
		References: []string{"CIS 1.2.2", "STIG V-242421"},
		judge:      judgeST01,
	}
}

func judgeST01(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		if file := s.Flags.Text("token-auth-file", ""); file != "" {
			v.fail(s.Name, s.Evidence, "--token-auth-file=%s: tokens in clear text, without an end, that only a restart changes", file)
		}
	}
	v.pass(facts.EvidenceFlagz, "no API server has a token file")
}

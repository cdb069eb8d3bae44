package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func an04() Check {
	return Check{
		ID: "AN-04", Title: "Flags and file of authentication do not exclude each other", Mechanism: Anonymous, Severity: report.Medium, Points: []string{"G-01"},
		Evidence: []facts.Evidence{facts.EvidenceManifest, facts.EvidenceKubeadm, facts.EvidencePod, facts.EvidenceFile},
		Remedy: "Choose one: the section anonymous, or --anonymous-auth; jwt in the file, or --oidc-*. kube-apiserver does " +
			"not start with both.",
		judge: judgeAN04,
	}
}

func judgeAN04(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		if s.Flags.Text("authentication-config", "") == "" || s.Evidence == facts.EvidenceFlagz {
			continue // a server that runs has passed this
		}
		for name := range s.Flags {
			if strings.HasPrefix(name, "oidc-") {
				v.fail(s.Name, s.Evidence, "--%s and --authentication-config exclude each other", name)
				break
			}
		}
		if !s.Flags.Set("anonymous-auth") {
			continue
		}
		if s.Authentication == nil {
			in.file(v, s, "authentication-config")
		} else if s.Authentication.Anonymous != nil {
			v.fail(s.Name, facts.EvidenceFile, "--anonymous-auth and the section anonymous of the file exclude each other")
		}
	}
	v.pass(facts.EvidenceFile, "no flag excludes the file of authentication")
}

package hardening

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov13() Check {
	return Check{
		ID: "OV-13", Title: "Requests are authorized at all", Mechanism: Overview, Severity: report.Critical, Points: []string{"G-01"},
		Evidence:   []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy:     "Set --authorization-mode=Node,RBAC.",
		References: []string{"CIS 1.2.6", "CIS 1.2.7"},
		judge:      judgeOV13,
	}
}

func judgeOV13(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		switch modes := s.AuthorizationModes(); {
		case modes == nil:
			v.unknown("--authorization-config on %s names a file, which was not looked at", s.Name)
		case slices.Contains(modes, "AlwaysAllow"):
			v.fail(s.Name, s.Evidence, "the authorization mode is %s: everybody may do everything", strings.Join(modes, ","))
		}
	}
	v.pass(facts.EvidenceFlagz, "no API server authorizes everything")
}

package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func an02() Check {
	return Check{
		ID: "AN-02", Title: "Callers without a credential reach health checks only", Mechanism: Anonymous, Severity: report.Medium, Points: []string{"G-01"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy: "Name in anonymous.conditions of the AuthenticationConfiguration /livez, /readyz and /healthz, and, only " +
			"while nodes join, the path of cluster-info.",
		References: []string{"CIS 1.2.1"},
		judge:      judgeAN02,
	}
}

func judgeAN02(in *input, v *verdict) {
	const joinPath = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
	open := false
	for _, s := range in.servers(v) {
		if s.Flags.Text("authentication-config", "") == "" {
			if s.AnonymousByFlag() {
				v.fail(s.Name, s.Evidence, "all paths are open without a credential")
			}
			continue
		}
		if s.Authentication == nil {
			in.file(v, s, "authentication-config")
			continue
		}
		section := s.Authentication.Anonymous
		if section == nil && s.AnonymousByFlag() || section != nil && section.Enabled && section.Paths == nil {
			v.fail(s.Name, facts.EvidenceFile, "all paths are open without a credential")
			continue
		}
		if section == nil || !section.Enabled {
			continue
		}
		open = true
		for _, path := range section.Paths {
			switch {
			case isHealthPath(path):
			case path == joinPath && len(in.f.BootstrapTokens) > 0:
			default:
				v.fail(s.Name, facts.EvidenceFile, "the path %s is open without a credential", path)
			}
		}
	}
	if open {
		v.pass(facts.EvidenceFile, "health checks alone are open without a credential")
		return
	}
	v.na(facts.EvidenceFile, "nothing is open without a credential")
}

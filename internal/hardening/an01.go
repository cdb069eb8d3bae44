package hardening

import (
	"net/http"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func an01() Check {
	return Check{
		ID: "AN-01", Title: "Callers without a credential get in nowhere, or to named paths only", Mechanism: Anonymous,
		Severity: report.Medium, Points: []string{"G-01"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceManifest, facts.EvidenceFile, facts.EvidenceBlackBox},
		Remedy: "Give kube-apiserver --authentication-config=FILE with \"anonymous: {enabled: true, conditions: [{path: /livez}, {path: /readyz}, {path: /healthz}]}\" " +
			"and take --anonymous-auth away, which excludes it; or set --anonymous-auth=false if nothing probes it.",
		References: []string{"CIS 1.2.1", "STIG V-242390", "NSA/CISA: disable anonymous access"},
		judge:      judgeAN01,
	}
}

func judgeAN01(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		if s.Flags.Text("authentication-config", "") == "" {
			if s.AnonymousByFlag() {
				v.fail(s.Name, s.Evidence, "anonymous requests are let in to all paths: --anonymous-auth is on, which is its default, and no file limits it")
			}
			continue
		}
		// A section in the file counts, and excludes the flag; without one the flag counts.
		if s.Authentication == nil {
			switch _, read := in.file(v, s, "authentication-config"); {
			case read:
				v.unknown("the AuthenticationConfiguration on %s", s.Name)
			case s.Evidence != facts.EvidenceFlagz && s.Flags.Set("anonymous-auth"):
				// kube-apiserver does not start with both, so there is no section; the answers from outside still count.
				if s.AnonymousByFlag() {
					v.fail(s.Name, s.Evidence, "anonymous requests are let in to all paths: --anonymous-auth=true")
				}
			}
			continue
		}
		section := s.Authentication.Anonymous
		switch {
		case section == nil && s.AnonymousByFlag():
			v.fail(s.Name, facts.EvidenceFile, "anonymous requests are let in to all paths: the AuthenticationConfiguration has no section anonymous, and --anonymous-auth is on")
		case section != nil && section.Enabled && section.Paths == nil:
			v.fail(s.Name, facts.EvidenceFile, "anonymous requests are let in to all paths: the section anonymous of the AuthenticationConfiguration names no conditions")
		}
	}
	open := in.openWithoutCredential()
	for server, paths := range open {
		v.fail(server, facts.EvidenceBlackBox, "anonymous requests are let in as far as the authorizer: %s did not answer 401 without a credential", strings.Join(paths, ", "))
	}
	if len(v.findings) == 0 && in.f.Knows(facts.SourceProbes) && in.probedAll() {
		// What a file says that nobody can read from outside shows in the answers.
		v.missing = nil
		v.pass(facts.EvidenceBlackBox, "requests without a credential are answered with 401, but for health checks")
		return
	}
	v.pass(facts.EvidenceFile, "anonymous requests are off, or limited to named paths")
}

// probedAll reports whether as many API servers answered without a credential as are known by the best list of them.
func (in *input) probedAll() bool {
	probed, known := map[string]bool{}, map[facts.Evidence]int{}
	for _, probe := range in.f.Probes {
		probed[probe.Server] = true
	}
	for _, s := range in.known {
		known[s.Evidence]++
	}
	for _, count := range known {
		if count > len(probed) {
			return false
		}
	}
	return len(probed) > 0
}

// openWithoutCredential are paths, besides health checks, that did not answer 401 without a credential, by server.
func (in *input) openWithoutCredential() map[string][]string {
	open := map[string][]string{}
	for _, probe := range in.f.Probes {
		if !isHealthPath(probe.Path) && probe.Headers == "" && (probe.Status == http.StatusOK || probe.Status == http.StatusForbidden) {
			open[probe.Server] = append(open[probe.Server], probe.Path)
		}
	}
	return open
}

// isHealthPath reports whether a path is one that load balancers and kubelets probe.
func isHealthPath(path string) bool {
	for _, one := range []string{"/healthz", "/livez", "/readyz"} {
		if path == one || strings.HasPrefix(path, one+"/") {
			return true
		}
	}
	return false
}

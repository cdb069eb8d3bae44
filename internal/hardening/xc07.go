package hardening

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc07() Check {
	return Check{
		ID: "XC-07", Title: "Every node and component is one, and is there", Mechanism: ClientCert, Severity: report.Critical, Points: []string{"G-08"},
		Evidence: []facts.Evidence{facts.EvidenceUse, facts.EvidenceObject},
		Remedy: "Find out who holds the second key; if the CA's key has leaked, re-key it. Ostiary's strict mode refuses " +
			"what has no record.",
		judge: judgeXC07,
	}
}

func judgeXC07(in *input, v *verdict) {
	in.needs(v, facts.SourceNodes)
	nodes := map[string]bool{}
	for _, node := range in.f.Nodes {
		nodes[node.Name] = true
	}
	seen := map[string]map[string][]string{}
	for _, o := range in.usage(v) {
		if o.Mechanism != "clientCertificate" || !isSystem(o.Username) {
			continue
		}
		if name, ok := strings.CutPrefix(o.Username, "system:node:"); ok && !nodes[name] {
			v.fail("user "+o.Username, facts.EvidenceUse, "a certificate of a node that is not there was used from %s", o.Source)
		}
		if seen[o.Username] == nil {
			seen[o.Username] = map[string][]string{}
		}
		if o.CredentialID != "" && !slices.Contains(seen[o.Username][o.CredentialID], o.Source) {
			seen[o.Username][o.CredentialID] = append(seen[o.Username][o.CredentialID], o.Source)
		}
	}
	for name, credentials := range seen {
		if unrelated(credentials) && strings.HasPrefix(name, "system:node:") {
			v.fail("user "+name, facts.EvidenceUse, "%d certificates were used from addresses that have nothing in common", len(credentials))
		}
	}
	v.pass(facts.EvidenceUse, "every node that showed a certificate is there, and shows one from one place")
}

// unrelated reports whether two credentials were used from addresses of which none is the other's. A certificate that was
// rotated is used from where the one before was.
func unrelated(credentials map[string][]string) bool {
	var all [][]string
	for _, sources := range credentials {
		all = append(all, sources)
	}
	for i := range all {
		for j := range i {
			if !slices.ContainsFunc(all[i], func(source string) bool { return slices.Contains(all[j], source) }) {
				return true
			}
		}
	}
	return false
}

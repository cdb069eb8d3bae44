package hardening

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
)

// usage is what was observed. That there are no records is not known, rather than fine.
func (in *input) usage(v *verdict) []facts.Observation {
	in.needs(v, facts.SourceUsage)
	if in.f.Usage == nil {
		v.unknown("there are no records of use")
		return nil
	}
	return in.f.Usage.Observed
}

// personAgents are the programs that people use.
func personAgents() []string {
	return []string{"kubectl", "k9s", "Lens", "helm", "curl", "Mozilla", "oc", "kubectl-ostiary"}
}

// byPerson reports whether a person seems to have been at work: a program of theirs, not on a node.
func (in *input) byPerson(o *facts.Observation) bool {
	name := agentName(o.Agent)
	if !slices.ContainsFunc(personAgents(), func(agent string) bool { return strings.EqualFold(name, agent) }) {
		return false
	}
	return in.fromOutside(o)
}

// fromOutside reports whether a request came from none of the nodes and of their pods.
func (in *input) fromOutside(o *facts.Observation) bool {
	source, err := netip.ParseAddr(o.Source)
	return !slices.ContainsFunc(in.f.Nodes, func(n facts.Node) bool {
		return slices.Contains(n.Addresses, o.Source) || err == nil && slices.ContainsFunc(n.PodRanges, func(text string) bool {
			pods, err := netip.ParsePrefix(text)
			return err == nil && pods.Contains(source.Unmap())
		})
	})
}

// agentName is a program's name out of its user agent.
func agentName(agent string) string {
	name, _, _ := strings.Cut(agent, "/")
	return name
}

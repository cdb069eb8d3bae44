package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tr07() Check {
	return Check{
		ID: "TR-07", Title: "Tokens of pods are used by their pods", Mechanism: TokenReq, Severity: report.High, Points: []string{"G-22", "G-20"},
		Evidence: []facts.Evidence{facts.EvidenceUse, facts.EvidenceObject},
		Remedy: "Shut the token out (kubectl ostiary revoke --jti ID --issuer ISSUER), delete the pod, and find out how its " +
			"token got away.",
		judge: judgeTR07,
	}
}

func judgeTR07(in *input, v *verdict) {
	in.needs(v, facts.SourceNodes)
	addresses := map[string][]string{}
	for _, node := range in.f.Nodes {
		addresses[node.Name] = node.Addresses
	}
	for _, o := range in.usage(v) {
		if o.Node == "" {
			continue
		}
		home, ok := addresses[o.Node]
		switch {
		case !ok:
			v.fail(o.CredentialID, facts.EvidenceUse, "a token of a pod (%s) on the node %s, which is not there any more, was used from %s", o.Pod, o.Node, o.Source)
		case len(home) > 0 && !slices.Contains(home, o.Source) && in.fromAnotherNode(o.Source, o.Node) || in.byPerson(&o):
			v.fail(o.CredentialID, facts.EvidenceUse, "a token of the pod %s on the node %s was used from %s by %s", o.Pod, o.Node, o.Source, agentName(o.Agent))
		}
	}
	v.pass(facts.EvidenceUse, "no token of a pod was used from another node or by a person")
}

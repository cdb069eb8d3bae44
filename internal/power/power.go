package power

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/identity"
)

const (
	serviceAccountPrefix = identity.ServiceAccountPrefix
	nodePrefix           = "system:node:"
	nodesGroup           = "system:nodes"
)

// OfMasters is what members of system:masters may do, whatever the policy is.
func OfMasters() Power {
	return Power{Level: Masters, AllNamespaces: true, Reasons: []Reason{{What: "member of " + MastersGroup + ", whom no authorizer is asked about and no binding limits"}}}
}

// Of says what a subject may do, and why.
func (p *Policy) Of(subject Subject) Power {
	if slices.Contains(subject.Groups, MastersGroup) {
		return OfMasters()
	}
	of := p.profileOf(subject)
	result := Power{Level: of.acts, AllNamespaces: of.beyond}
	for _, namespace := range of.namespaces() {
		if p.givesIn(of, namespace) {
			result.Namespaces = append(result.Namespaces, namespace)
		}
	}
	if of.cluster&everything != 0 {
		result.Level = ClusterAdmin
		result.Reasons = []Reason{{What: "everything", Through: of.through("", everything)}}
		return result
	}
	if reasons := p.wholeCluster(of, MaxReasons); len(reasons) > 0 {
		result.Level, result.Reasons = Equivalent, reasons
		return result
	}
	result.Reasons = p.lesser(of, &result, subject)
	return result
}

// lesser raises the level of a subject that has no way to everything, and gives the reasons.
func (p *Policy) lesser(of *profile, result *Power, subject Subject) []Reason {
	var reasons []Reason
	raise := func(level Level, reason Reason) {
		result.Level = max(result.Level, level)
		reasons = append(reasons, reason)
	}
	if strings.HasPrefix(subject.User, nodePrefix) && slices.Contains(subject.Groups, nodesGroup) {
		raise(Strong, Reason{What: "what the pods of its node may read, Secrets and tokens included, by the Node authorizer"})
	}
	for _, way := range []struct {
		what    string
		ability ability
	}{
		{"read Secrets in every namespace", readSecrets},
		{"get tokens of accounts in every namespace", mintTokens},
		{"impersonate accounts in every namespace", impersonateAccounts},
		{"impersonate any user", impersonateUsers},
		{"make volumes of nodes' files", writeVolumes},
		{"switch pod security off by namespaces' labels", changeNamespaces},
	} {
		if of.cluster&way.ability != 0 {
			raise(Strong, Reason{What: way.what, Through: of.through("", way.ability)})
		}
	}
	for _, namespace := range result.Namespaces {
		if len(reasons) >= MaxReasons {
			break
		}
		got := of.in(namespace)
		switch {
		case got&everything != 0:
			raise(Namespace, Reason{What: "everything in " + namespace, Through: of.through(namespace, everything)})
		case got&(readSecrets|mintTokens|runPods|enterPods|impersonateAccounts) != 0:
			raise(Namespace, Reason{
				What: "use accounts and Secrets of " + namespace, Through: of.through(namespace, readSecrets, mintTokens, runPods, enterPods, impersonateAccounts),
			})
		}
	}
	if len(reasons) > 0 {
		return reasons[:min(len(reasons), MaxReasons)]
	}
	for i := range of.grants {
		one := &of.grants[i]
		if one.role.basic || one.role.acts != result.Level || result.Level <= None {
			continue
		}
		what := result.Level.String() + " some things"
		if one.namespace != "" {
			what += " in " + one.namespace
		}
		if reasons = append(reasons, Reason{What: what, Through: []string{one.through()}}); len(reasons) == MaxReasons {
			break
		}
	}
	return reasons
}

// givesIn reports whether a binding of the namespace itself gives anything.
func (*Policy) givesIn(of *profile, namespace string) bool {
	return slices.ContainsFunc(of.grants, func(g grant) bool { return g.namespace == namespace && len(g.role.rules) > 0 })
}

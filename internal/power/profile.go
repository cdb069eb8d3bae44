package power

import (
	"maps"
	"slices"
)

// profile is what a subject's bindings give together, before it is asked where that leads.
type profile struct {
	// cluster holds everywhere, local in one namespace besides.
	cluster ability
	local   map[string]ability
	// namedIn are abilities on names, by namespace; those of the cluster are under the empty one.
	namedIn map[string][]named
	grants  []grant
	acts    Level
	beyond  bool // some binding of the cluster gives more than the basics
}

func (p *Policy) profileOf(subject Subject) *profile {
	result := &profile{grants: p.of(subject), acts: None}
	for i := range result.grants {
		one := &result.grants[i]
		if !one.role.basic {
			result.acts = max(result.acts, one.role.acts)
			result.beyond = result.beyond || one.namespace == ""
		}
		if one.namespace == "" {
			result.cluster |= one.role.abilities
		} else {
			if result.local == nil {
				result.local = map[string]ability{}
			}
			result.local[one.namespace] |= one.role.abilities
		}
		if len(one.role.named) > 0 {
			if result.namedIn == nil {
				result.namedIn = map[string][]named{}
			}
			result.namedIn[one.namespace] = append(result.namedIn[one.namespace], one.role.named...)
		}
	}
	return result
}

// whole is what follows from everything in a namespace, which a right to bind or to escalate gives as well.
const whole = everything | readSecrets | writeSecrets | mintTokens | runPods | enterPods | impersonateAccounts

// in is what the profile gives in a namespace, with what follows from having all of it.
func (p *profile) in(namespace string) ability {
	got := p.cluster | p.local[namespace]
	if got&everything != 0 || has(got, bindRoles|writeRoleBindings) || has(got, escalateRoles|changeRoles) {
		got |= whole
	}
	return got
}

// namespaces are those with bindings of their own, sorted.
func (p *profile) namespaces() []string { return slices.Sorted(maps.Keys(p.local)) }

func has(set, all ability) bool { return set&all == all }

// through names the bindings that give abilities in a namespace: the first for each.
func (p *profile) through(namespace string, abilities ...ability) []string {
	var all []string
	add := func(fits func(ability) bool) bool {
		for i := range p.grants {
			one := &p.grants[i]
			gives := one.role.abilities
			for _, n := range one.role.named {
				gives |= n.abilities
			}
			if (one.namespace == "" || one.namespace == namespace) && fits(gives) {
				if text := one.through(); !slices.Contains(all, text) {
					all = append(all, text)
				}
				return true
			}
		}
		return false
	}
	for _, wanted := range abilities {
		if !add(func(gives ability) bool { return gives&(wanted|everything) != 0 }) && wanted&whole != 0 {
			add(func(gives ability) bool { return gives&(bindRoles|escalateRoles) != 0 })
		}
	}
	return all
}

package config

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ostiary/ostiary/internal/identity"
)

func (c *checker) groupRules(p *field.Path, written *Configuration) []GroupRule {
	seen := map[string]bool{}
	for i := range written.GroupRules {
		rule, at := &written.GroupRules[i], p.Index(i)
		c.label(at.Child("name"), rule.Name)
		if rule.Name != "" && seen[rule.Name] {
			c.duplicate(at.Child("name"), rule.Name, "each rule needs a name of its own")
		}
		seen[rule.Name] = true
		c.groupMatch(at.Child("match"), &rule.Match, written)
		c.groupChanges(at, rule)
	}
	return written.GroupRules
}

func (c *checker) groupMatch(p *field.Path, match *GroupMatch, written *Configuration) {
	for _, list := range []struct {
		field, what string
		names       []string
	}{
		{"users", "a user name", match.Users},
		{"groups", "a group name", match.Groups},
	} {
		at := p.Child(list.field)
		c.names(at, list.names, list.what)
		for i, name := range list.names {
			c.pattern(at.Index(i), name)
		}
	}
	known, on := mechanismNames(), written.Authentication.mechanisms()
	if c.anonymousByFile {
		on = append(on, identity.AnonymousAccess)
	}
	c.names(p.Child("mechanisms"), match.Mechanisms, "a mechanism")
	for i, name := range match.Mechanisms {
		at := p.Child("mechanisms").Index(i)
		switch {
		case name == "":
		case !slices.Contains(known, name):
			c.errs = append(c.errs, field.NotSupported(at, name, known))
		case !slices.Contains(on, identity.Mechanism(name)):
			c.warn(at, "this mechanism is not on, so nobody comes in by it; remove it here or configure authentication.%s", name)
		}
	}
	c.names(p.Child("clusters"), match.Clusters, "a cluster")
	for i, name := range match.Clusters {
		if name != "" && !written.knows(name) {
			c.invalid(p.Child("clusters").Index(i), name, "there is no such cluster; name one of clusters[].name or tokenReview.callers[].name")
		}
	}
}

func (c *checker) groupChanges(p *field.Path, rule *GroupRule) {
	if len(rule.Remove) == 0 && len(rule.Rename) == 0 && len(rule.Add) == 0 {
		c.required(p, "the rule does nothing; give it remove, rename or add, or remove the rule")
	}
	c.names(p.Child("remove"), rule.Remove, "a group name")
	for i, group := range rule.Remove {
		c.pattern(p.Child("remove").Index(i), group)
		c.notKubernetesOwn(p.Child("remove").Index(i), group)
	}
	for _, from := range sortedKeys(rule.Rename) {
		at, to := p.Child("rename").Key(from), rule.Rename[from]
		c.name(at, from, "a group name")
		c.exact(at, from)
		c.notKubernetesOwn(at, from)
		c.name(at, to, "a group name")
		c.newGroup(at, to)
		if from == to && from != "" {
			c.invalid(at, to, "renames the group to itself; remove it")
		}
	}
	c.names(p.Child("add"), rule.Add, "a group name")
	for i, group := range rule.Add {
		c.newGroup(p.Child("add").Index(i), group)
	}
}

// newGroup checks a group that a rule gives to callers.
func (c *checker) newGroup(p *field.Path, group string) {
	c.exact(p, group)
	c.notKubernetesOwn(p, group)
	if group == groupMasters {
		c.warn(p, "the API server lets this group do everything and RBAC cannot take that away; a group of your own, bound to the role cluster-admin, can be revoked in the cluster")
	}
}

func (c *checker) exact(p *field.Path, group string) {
	if strings.Contains(group, "*") {
		c.invalid(p, group, "must be one group's whole name; \"*\" has a meaning in match and remove only")
	}
}

// notKubernetesOwn refuses the two groups that say whether a caller was authenticated: they are added last, by
// Kubernetes' own rule (GRP-1, ANON-1), and whoever could change them could pass for somebody he is not.
func (c *checker) notKubernetesOwn(p *field.Path, group string) {
	if group == identity.GroupAuthenticated || group == identity.GroupUnauthenticated {
		c.invalid(p, group, "Kubernetes gives this group itself, after all rules; no rule may change it")
	}
}

// knows reports whether a cluster of that name is behind the gate, or may ask it.
func (c *Configuration) knows(name string) bool {
	return slices.ContainsFunc(c.Clusters, func(cluster Cluster) bool { return cluster.Name == name }) ||
		c.TokenReview != nil && slices.ContainsFunc(c.TokenReview.Callers, func(caller Caller) bool { return caller.Name == name })
}

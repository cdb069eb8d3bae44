package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/identity"
)

// GroupRule changes the groups of the identities it matches (G-11, G-21). All conditions that are set must hold; an
// empty one holds for everybody who proved who they are. Anonymous callers are matched only by a rule whose Mechanisms
// names anonymous in full: a rule for everybody must not give groups to nobody in particular.
type GroupRule struct {
	// Name is for errors, and unique.
	Name string
	// Users, Groups, Mechanisms and Clusters are the conditions. Within one list any entry may match; a trailing "*"
	// stands for any ending. Groups are those that the rules before have left; system:authenticated is not among them,
	// as it is added last.
	Users, Groups, Mechanisms, Clusters []string
	// Remove takes groups away, a trailing "*" standing for any ending; then Rename gives groups a new name, each once;
	// then Add adds groups at the end, if they are not there.
	Remove []string
	Rename map[string]string
	Add    []string
}

// groupRule is GroupRule, checked.
type groupRule struct {
	users, groups, mechanisms, clusters []pattern
	remove                              []pattern
	rename                              map[string]string
	add                                 []string
}

func checkGroupRule(rule GroupRule) (groupRule, error) {
	var mistakes []error
	list := func(what string, names []string) []pattern {
		parsed, err := parsePatterns(names)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", what, err))
		}
		return parsed
	}
	checked := groupRule{
		users:      list("users", rule.Users),
		groups:     list("groups", rule.Groups),
		mechanisms: list("mechanisms", rule.Mechanisms),
		clusters:   list("clusters", rule.Clusters),
		remove:     list("remove", rule.Remove),
		rename:     make(map[string]string, len(rule.Rename)),
		add:        slices.Clone(rule.Add),
	}
	if rule.Name == "" {
		mistakes = append(mistakes, errors.New("the rule has no name"))
	}
	for _, p := range checked.mechanisms {
		if !slices.ContainsFunc(identity.Mechanisms(), func(m identity.Mechanism) bool { return p.matches(string(m)) }) {
			mistakes = append(mistakes, fmt.Errorf("mechanisms: there is no mechanism %q", p.text))
		}
	}
	if len(rule.Remove)+len(rule.Rename)+len(rule.Add) == 0 {
		mistakes = append(mistakes, errors.New("the rule does nothing: set remove, rename or add"))
	}
	for from, to := range rule.Rename {
		if err := checkGivenGroup(to); err != nil {
			mistakes = append(mistakes, fmt.Errorf("rename %q: %w", from, err))
		}
		if from == "" || from == to {
			mistakes = append(mistakes, fmt.Errorf("rename %q: this changes nothing", from))
		}
		checked.rename[from] = to
	}
	for _, group := range rule.Add {
		if err := checkGivenGroup(group); err != nil {
			mistakes = append(mistakes, fmt.Errorf("add: %w", err))
		}
	}
	slices.SortFunc(mistakes, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) }) // maps have no order
	return checked, errors.Join(mistakes...)
}

// checkGivenGroup refuses group names that a rule must not give.
func checkGivenGroup(group string) error {
	if group == "" {
		return errors.New("the group's name is empty")
	}
	if why := unforwardable(group); why != "" {
		return fmt.Errorf("the group %q cannot be handed on: it %s", group, why)
	}
	if group == identity.GroupAuthenticated || group == identity.GroupUnauthenticated {
		// They say whether anybody vouched for the caller. A rule that gives system:unauthenticated would also keep
		// system:authenticated away (GRP-2).
		return fmt.Errorf("the group %q is given by Kubernetes' own rule only", group)
	}
	return nil
}

// matches reports whether the rule is about id.
func (g *groupRule) matches(id *identity.Identity, mechanism identity.Mechanism, cluster string) bool {
	if mechanism == identity.AnonymousAccess {
		if !slices.Contains(g.mechanisms, pattern{text: string(identity.AnonymousAccess)}) {
			return false
		}
	} else if len(g.mechanisms) > 0 && !matchesAny(g.mechanisms, string(mechanism)) {
		return false
	}
	if len(g.clusters) > 0 && !matchesAny(g.clusters, cluster) {
		return false
	}
	if len(g.users) > 0 && !matchesAny(g.users, id.Username) {
		return false
	}
	return len(g.groups) == 0 ||
		slices.ContainsFunc(id.Groups, func(group string) bool { return matchesAny(g.groups, group) })
}

// apply changes the groups of id, which are its own, if the rule is about it.
func (g *groupRule) apply(id *identity.Identity, mechanism identity.Mechanism, cluster string) {
	if !g.matches(id, mechanism, cluster) {
		return
	}
	id.Groups = slices.DeleteFunc(id.Groups, func(group string) bool { return matchesAny(g.remove, group) })
	for i, group := range id.Groups {
		if to, found := g.rename[group]; found {
			id.Groups[i] = to
		}
	}
	for _, group := range g.add {
		if !slices.Contains(id.Groups, group) {
			id.Groups = append(id.Groups, group)
		}
	}
}

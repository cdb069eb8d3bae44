package inventory

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
)

// owners say whose a credential is.
type owners struct {
	roster map[string]*facts.Person
	nodes  map[string]bool // nil where they could not be read
}

func newOwners(f *facts.Facts) *owners {
	o := &owners{roster: map[string]*facts.Person{}}
	for i := range f.Roster {
		for _, name := range f.Roster[i].Usernames {
			o.roster[name] = &f.Roster[i]
		}
	}
	if f.Knows(facts.SourceNodes) {
		o.nodes = map[string]bool{}
		for i := range f.Nodes {
			o.nodes[f.Nodes[i].Name] = true
		}
	}
	return o
}

// assign names the owner of a line, the surest way first.
func (o *owners) assign(c *Credential) {
	const nodePrefix = "system:node:"
	switch {
	case c.Owner != "":
	case o.roster[c.Username] != nil:
		person := o.roster[c.Username]
		if c.Owner, c.OwnerBy = person.Name, "roster"; c.Owner == "" {
			c.Owner = c.Username
		}
	case c.account != "":
		c.Owner, c.OwnerBy = "ServiceAccount "+c.account, "the account's name"
	case strings.HasPrefix(c.Username, nodePrefix):
		name := strings.TrimPrefix(c.Username, nodePrefix)
		c.Owner, c.OwnerBy = "Node "+name, "the node's name"
		if o.nodes != nil && !o.nodes[name] {
			c.orphan = "Node " + name
		}
	case strings.HasPrefix(c.Username, identity.BootstrapPrefix):
		c.Owner, c.OwnerBy = "whoever joins nodes", "the mechanism"
	case strings.HasPrefix(c.Username, identity.ReservedPrefix):
		c.Owner, c.OwnerBy = "component "+c.Username, "the reserved name"
	case c.Kind == KindIssuer || c.Kind == KindKey:
		c.Owner, c.OwnerBy = "the operator", "what it is"
	case c.Username != "":
		c.Owner, c.OwnerBy = c.Username, "the user name; no roster has it"
	}
}

// hasLeft reports whether the roster has somebody as gone.
func (inv *Inventory) hasLeft(user string) bool {
	for i := range inv.facts.Roster {
		if slices.Contains(inv.facts.Roster[i].Usernames, user) {
			return !inv.facts.Roster[i].Active
		}
	}
	return false
}

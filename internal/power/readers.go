package power

import (
	"slices"
	"strings"
)

// SecretReaders are the subjects of bindings that may read a Secret's value by get, list or watch: "User x", "Group y" and
// "ServiceAccount namespace/name", each once, sorted. Members of system:masters may always, and are not among them.
func (p *Policy) SecretReaders(namespace, name string) []string {
	all := slices.Clone(p.clusterReaders)
	for _, list := range [][]bound{p.clusterNamed, p.inNamespace[namespace]} {
		for i := range list {
			if list[i].role.readsSecret(name) {
				all = append(all, list[i].subject)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// indexReaders finds once who may read every Secret of the cluster, so that nobody looks for them for each Secret again.
func (p *Policy) indexReaders() {
	for i := range p.everywhere {
		one := &p.everywhere[i]
		switch {
		case one.role.abilities&(readSecrets|everything) != 0:
			p.clusterReaders = append(p.clusterReaders, one.subject)
		case len(one.role.named) > 0:
			p.clusterNamed = append(p.clusterNamed, *one)
		}
	}
	slices.Sort(p.clusterReaders)
	p.clusterReaders = slices.Compact(p.clusterReaders)
}

// readsSecret: a name limits get, and list and watch as well, with a field selector.
func (r *role) readsSecret(name string) bool {
	if r.abilities&(readSecrets|everything) != 0 {
		return true
	}
	return slices.ContainsFunc(r.named, func(n named) bool {
		return n.abilities&readSecrets != 0 && slices.Contains(n.names, name)
	})
}

// Subjects are all subjects of bindings, "User x" and "Group y", sorted. A ServiceAccount is "User system:serviceaccount:…".
func (p *Policy) Subjects() []string {
	all := make([]string, 0, len(p.grants))
	for key := range p.grants {
		if name, ok := strings.CutPrefix(key, "u:"); ok {
			all = append(all, "User "+name)
		} else if name, ok := strings.CutPrefix(key, "g:"); ok {
			all = append(all, "Group "+name)
		}
	}
	slices.Sort(all)
	return all
}

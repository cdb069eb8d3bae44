package power

import "slices"

// SecretReaders are the subjects of bindings that may read a Secret's value by get, list or watch: "User x", "Group y" and
// "ServiceAccount namespace/name", each once, sorted. Members of system:masters may always, and are not among them.
func (p *Policy) SecretReaders(namespace, name string) []string {
	var all []string
	for _, list := range [][]bound{p.everywhere, p.inNamespace[namespace]} {
		for i := range list {
			if list[i].role.readsSecret(name) {
				all = append(all, list[i].subject)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
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

package power

import (
	"slices"
	"strings"
)

// path looks for ways from a profile to everything, and gives a reason for each to found until that returns false.
type path func(p *Policy, has *profile, found func(Reason) bool) bool

// paths are the ways that are known, the plainest first.
func paths() []path {
	return []path{byImpersonation, byRoles, byCertificate, byControlPlane, byNamespaces, byNames}
}

// wholeCluster gives the reasons for which a profile amounts to everything; at most limit.
func (p *Policy) wholeCluster(of *profile, limit int) []Reason {
	var reasons []Reason
	found := func(r Reason) bool {
		reasons = append(reasons, r)
		return len(reasons) < limit
	}
	for _, look := range paths() {
		if !look(p, of, found) {
			break
		}
	}
	return reasons
}

func byImpersonation(p *Policy, of *profile, found func(Reason) bool) bool {
	if has(of.cluster, impersonateUsers|impersonateGroups) {
		return found(Reason{
			What: "impersonate any user and group", Through: of.through("", impersonateUsers, impersonateGroups), Becomes: "a member of " + MastersGroup,
		})
	}
	if has(of.cluster, impersonateGroups) && p.mayImpersonateSomebody(of) {
		return found(Reason{
			What: "impersonate somebody in any group", Through: of.through("", impersonateGroups), Becomes: "a member of " + MastersGroup,
		})
	}
	if has(of.cluster, impersonateUsers) && len(p.strong.users) > 0 {
		return found(Reason{
			What: "impersonate any user", Through: of.through("", impersonateUsers), Becomes: slices.Min(p.strong.users),
		})
	}
	return true
}

func byRoles(_ *Policy, of *profile, found func(Reason) bool) bool {
	for _, way := range []struct {
		what   string
		needed []ability
	}{
		{"bind any role and write ClusterRoleBindings", []ability{bindRoles, writeClusterRoleBindings}},
		{"bind any role and write RoleBindings in every namespace", []ability{bindRoles, writeRoleBindings}},
		{"change ClusterRoles to more than it has itself", []ability{escalateRoles, changeClusterRoles}},
		{"change Roles in every namespace to more than it has itself", []ability{escalateRoles, changeRoles}},
	} {
		if has(of.cluster, way.needed[0]|way.needed[1]) {
			return found(Reason{What: way.what, Through: of.through("", way.needed...)})
		}
	}
	return true
}

func byCertificate(_ *Policy, of *profile, found func(Reason) bool) bool {
	if !has(of.cluster, createRequests|approveRequests|approveClients) {
		return true
	}
	// The API server refuses requests for system:masters; any other name or group goes.
	becomes := "any user, and a member of any group but " + MastersGroup
	return found(Reason{
		What: "ask for a client certificate and approve it", Through: of.through("", createRequests, approveRequests, approveClients), Becomes: becomes,
	})
}

func byControlPlane(_ *Policy, of *profile, found func(Reason) bool) bool {
	for _, way := range []struct {
		what    string
		ability ability
	}{
		{"run pods in every namespace, on any node", runPods},
		{"enter pods in every namespace", enterPods},
		{"use the kubelets' API, which enters every pod", proxyNodes},
		{"change admission, which sees and changes every object", writeAdmission},
		{"put a server of its own in front of an API group", writeAPIServices},
	} {
		if of.cluster&way.ability != 0 && !found(Reason{What: way.what, Through: of.through("", way.ability)}) {
			return false
		}
	}
	return true
}

// byNamespaces finds namespaces in which a stronger account can be used, or the control plane's own. Of what a binding of
// the cluster gives, one namespace is told.
func byNamespaces(p *Policy, of *profile, found func(Reason) bool) bool {
	told := ""
	for _, namespace := range p.strong.namespaces {
		if of.cluster == 0 || told != "" {
			break
		}
		if !p.throughAccounts(of, namespace, func(r Reason) bool {
			told = namespace
			return found(r)
		}) {
			return false
		}
	}
	for _, namespace := range of.namespaces() {
		if namespace != told && !p.throughAccounts(of, namespace, found) {
			return false
		}
	}
	return true
}

// throughAccounts finds the ways in one namespace to use a stronger account of it.
func (p *Policy) throughAccounts(of *profile, namespace string, found func(Reason) bool) bool {
	got, account := of.in(namespace), p.strong.accountIn(namespace)
	becomes := ""
	if account != "" {
		becomes = "ServiceAccount " + namespace + "/" + account
	}
	if namespace == kubeSystem && of.cluster&(runPods|enterPods) == 0 {
		if got&runPods != 0 && !found(Reason{What: "run pods in kube-system", Through: of.through(namespace, runPods), Becomes: becomes}) {
			return false
		}
		if got&enterPods != 0 && !found(Reason{What: "enter pods in kube-system", Through: of.through(namespace, enterPods), Becomes: becomes}) {
			return false
		}
	}
	if account == "" {
		return true
	}
	for _, way := range []struct {
		what   string
		needed ability
		first  []ability
	}{
		{"get tokens of accounts in ", mintTokens, []ability{mintTokens}},
		{"run pods as accounts in ", runPods, []ability{runPods}},
		{"enter pods in ", enterPods, []ability{enterPods}},
		{"impersonate accounts in ", impersonateAccounts, []ability{impersonateAccounts}},
		{"make token Secrets of accounts, and read them, in ", readSecrets | writeSecrets, []ability{readSecrets, writeSecrets}},
	} {
		if namespace == kubeSystem && way.needed&(runPods|enterPods) != 0 || of.cluster&way.needed&(runPods|enterPods) != 0 {
			continue // said above
		}
		if has(got, way.needed) && !found(Reason{What: way.what + namespace, Through: of.through(namespace, way.first...), Becomes: becomes}) {
			return false
		}
	}
	if got&readSecrets != 0 && got&writeSecrets == 0 {
		for _, secret := range p.secrets[namespace] {
			if p.strong.has(namespace, secret.Account) {
				return found(Reason{
					What: "read the token in Secret " + namespace + "/" + secret.Name, Through: of.through(namespace, readSecrets),
					Becomes: "ServiceAccount " + namespace + "/" + secret.Account,
				})
			}
		}
	}
	return true
}

// byNames follows rights on things of certain names.
func byNames(p *Policy, of *profile, found func(Reason) bool) bool {
	for _, namespace := range append([]string{""}, of.namespaces()...) {
		for _, n := range of.namedIn[namespace] {
			for _, name := range n.names {
				if reason, ok := p.nameGives(of, namespace, n.abilities, name); ok && !found(reason) {
					return false
				}
			}
		}
	}
	return true
}

// nameGives follows what abilities on one name lead to.
func (p *Policy) nameGives(of *profile, namespace string, abilities ability, name string) (Reason, bool) {
	got := of.in(namespace)
	switch {
	case abilities&impersonateUsers != 0 && namespace == "" && slices.Contains(p.strong.users, name):
		return Reason{What: "impersonate user " + name, Through: of.through("", impersonateUsers), Becomes: name}, true
	case abilities&impersonateGroups != 0 && namespace == "" && p.mayImpersonateSomebody(of) && (name == MastersGroup || slices.Contains(p.strong.groups, name)):
		return Reason{What: "impersonate group " + name, Through: of.through("", impersonateGroups), Becomes: "a member of " + name}, true
	case abilities&bindRoles != 0:
		bound := p.roles["ClusterRole "+name]
		if bound == nil || bound.abilities&everything == 0 {
			return Reason{}, false
		}
		if namespace == "" && got&writeClusterRoleBindings != 0 {
			return Reason{What: "bind role " + name + " in the cluster", Through: of.through("", bindRoles, writeClusterRoleBindings)}, true
		}
		if got&writeRoleBindings != 0 && (namespace == "" || namespace == kubeSystem || p.strong.accountIn(namespace) != "") {
			return Reason{What: "bind role " + name + " in " + orAll(namespace), Through: of.through(namespace, bindRoles, writeRoleBindings)}, true
		}
	case abilities&escalateRoles != 0 && namespace == "" && got&changeClusterRoles != 0:
		return Reason{What: "change role " + name + " to more than it has itself", Through: of.through("", escalateRoles, changeClusterRoles)}, true
	case abilities&(mintTokens|impersonateAccounts) != 0:
		for _, in := range p.where(namespace, name) {
			if p.strong.has(in, name) {
				return Reason{
					What: "become account " + name, Through: of.through(namespace, abilities&(mintTokens|impersonateAccounts)), Becomes: "ServiceAccount " + in + "/" + name,
				}, true
			}
		}
	case abilities&readSecrets != 0:
		for _, secret := range p.secretNames[name] {
			if (namespace == "" || secret.Namespace == namespace) && p.strong.has(secret.Namespace, secret.Account) {
				return Reason{
					What: "read the token in Secret " + secret.Namespace + "/" + name, Through: of.through(namespace, readSecrets),
					Becomes: "ServiceAccount " + secret.Namespace + "/" + secret.Account,
				}, true
			}
		}
	}
	return Reason{}, false
}

// mayImpersonateSomebody: a group is impersonated together with a user.
func (*Policy) mayImpersonateSomebody(of *profile) bool {
	if of.cluster&(impersonateUsers|impersonateAccounts) != 0 {
		return true
	}
	for _, all := range of.namedIn {
		for _, n := range all {
			if n.abilities&(impersonateUsers|impersonateAccounts) != 0 {
				return true
			}
		}
	}
	for _, local := range of.local {
		if local&impersonateAccounts != 0 {
			return true
		}
	}
	return false
}

// where lists the namespaces in which an account of a name is, within a scope.
func (p *Policy) where(namespace, name string) []string {
	if namespace == "" {
		return p.byName[name]
	}
	return []string{namespace}
}

func orAll(namespace string) string {
	if namespace == "" {
		return "every namespace"
	}
	return namespace
}

// strongSet is who has the whole cluster.
type strongSet struct {
	// accounts are names by namespace, namespaces those that have some, sorted.
	accounts   map[string][]string
	namespaces []string
	users      []string
	groups     []string
}

func (s *strongSet) has(namespace, account string) bool {
	return slices.Contains(s.accounts[namespace], account)
}

func (s *strongSet) accountIn(namespace string) string {
	if all := s.accounts[namespace]; len(all) > 0 {
		return slices.Min(all)
	}
	return ""
}

// candidate is somebody who may turn out to have the whole cluster.
type candidate struct {
	profile *profile
	found   func()
}

// findStrong finds who has the whole cluster: first by their own rights, then, again and again until nothing is new, by
// way of those who were found.
func (p *Policy) findStrong() {
	p.strong.accounts = map[string][]string{}
	var open []candidate
	add := func(subject Subject, found func()) {
		of := p.profileOf(subject)
		if of.cluster == 0 && len(of.local) == 0 && len(of.namedIn) == 0 {
			return
		}
		open = append(open, candidate{of, found})
	}
	for namespace, names := range p.accounts {
		for _, name := range names {
			add(Account{namespace, name}.Subject(), func() {
				if len(p.strong.accounts[namespace]) == 0 {
					at, _ := slices.BinarySearch(p.strong.namespaces, namespace)
					p.strong.namespaces = slices.Insert(p.strong.namespaces, at, namespace)
				}
				p.strong.accounts[namespace] = append(p.strong.accounts[namespace], name)
			})
		}
	}
	for key := range p.grants {
		if name, ok := strings.CutPrefix(key, "g:"); ok {
			add(Subject{Groups: []string{name}}, func() { p.strong.groups = append(p.strong.groups, name) })
		} else if name, ok := strings.CutPrefix(key, "u:"); ok && !strings.HasPrefix(name, serviceAccountPrefix) {
			add(With(name), func() { p.strong.users = append(p.strong.users, name) })
		}
	}
	for {
		left := open[:0]
		before := len(open)
		for _, one := range open {
			if one.profile.cluster&everything != 0 || len(p.wholeCluster(one.profile, 1)) > 0 {
				one.found()
				continue
			}
			left = append(left, one)
		}
		if open = left; len(open) == before {
			return
		}
	}
}

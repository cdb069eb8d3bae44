package hardening

import (
	"fmt"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
)

// way is a mechanism that an API server has on, besides ServiceAccounts' tokens, and how that was seen.
type way struct{ name, because string }

func shownWays(all []way) string {
	parts := make([]string, len(all))
	for i, w := range all {
		parts[i] = w.name + " (" + w.because + ")"
	}
	return strings.Join(parts, ", ")
}

// waysOn are the mechanisms that an API server has on. The second result is false where a file that was not read may add
// providers, which is then said, too.
func (in *input) waysOn(v *verdict, s *facts.APIServer) (on []way, known bool) {
	known = true
	for _, one := range []struct {
		mechanism identity.Mechanism
		flag      string
	}{
		{identity.ProxyHeader, "requestheader-client-ca-file"},
		{identity.ClientCertificate, "client-ca-file"},
		{identity.StaticToken, "token-auth-file"},
		{identity.Webhook, "authentication-token-webhook-config-file"},
	} {
		if s.Flags.Text(one.flag, "") != "" {
			on = append(on, way{string(one.mechanism), "--" + one.flag})
		}
	}
	if s.Flags.Bool("enable-bootstrap-token-auth", false) {
		on = append(on, way{string(identity.BootstrapToken), "--enable-bootstrap-token-auth"})
	}
	issuers, read := s.Issuers()
	if !read {
		in.file(v, s, "authentication-config")
		known = false
	}
	if len(issuers) > 0 {
		on = append(on, way{string(identity.JWT), "issuer " + issuers[0].URL})
	}
	return on, known
}

// proxyForPeople reports whether a proxy other than the API server's own may say who somebody is: one of another name than
// the certificate by which the API server asks the servers behind it.
func (*input) proxyForPeople(s *facts.APIServer) bool {
	if s.Flags.Text("requestheader-client-ca-file", "") == "" {
		return false
	}
	own := []string{"front-proxy-client", "aggregator", "system:kube-apiserver-proxy"}
	if s.FrontProxy != nil {
		own = []string{s.FrontProxy.CommonName}
	}
	names := s.Flags["requestheader-allowed-names"]
	return len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(own, name) })
}

// candidates are the mechanisms by which a request may have come. Audit logs do not tell static tokens, webhooks, proxies
// and tokens without an id of their own apart; what is on, whom a token file names and how providers' names begin do.
func (in *input) candidates(v *verdict, o *facts.Observation) []string {
	if o.Mechanism != "" {
		return []string{o.Mechanism}
	}
	if isSystem(o.Username) && strings.HasPrefix(o.Username, "system:apiserver") {
		return nil // the API server's own requests to itself
	}
	var all []string
	add := func(m identity.Mechanism) {
		if !slices.Contains(all, string(m)) {
			all = append(all, string(m))
		}
	}
	for _, s := range in.known {
		if s.Flags.Text("token-auth-file", "") != "" && (s.StaticTokens == nil || slices.ContainsFunc(s.StaticTokens.Entries, func(e facts.StaticToken) bool { return e.User == o.Username })) {
			add(identity.StaticToken)
		}
		if s.Flags.Text("authentication-token-webhook-config-file", "") != "" {
			add(identity.Webhook)
		}
		if in.proxyForPeople(s) {
			add(identity.ProxyHeader)
		}
		issuers, read := s.Issuers()
		if !read && v != nil {
			in.file(v, s, "authentication-config")
		}
		if !read || slices.ContainsFunc(issuers, func(i facts.Issuer) bool { return mayName(i.Username, o.Username) }) {
			add(identity.JWT)
		}
	}
	return all
}

// mayName reports whether a mapping can give a name.
func mayName(m facts.Mapping, name string) bool {
	prefix := m.Prefix
	if m.Expression != "" {
		prefix = literalPrefix(m.Expression)
	}
	return (m.Claim != "" || m.Expression != "") && strings.HasPrefix(name, prefix)
}

// knownNames are names that credentials and sources give, by kind.
type knownNames struct {
	users, groups map[string]bool
	mappings      []struct{ users, groups facts.Mapping }
}

// has reports whether something that is known gives a subject of bindings its name.
func (k *knownNames) has(kind, name string) bool {
	if kind == rbacv1.GroupKind {
		return k.groups[name] || slices.ContainsFunc(k.mappings, func(m struct{ users, groups facts.Mapping }) bool { return mayName(m.groups, name) })
	}
	return k.users[name] || slices.ContainsFunc(k.mappings, func(m struct{ users, groups facts.Mapping }) bool { return mayName(m.users, name) })
}

// names are those that are known to be given by something, and whether a source is on that may give any name.
func (in *input) names(v *verdict) (known *knownNames, open bool) {
	known = &knownNames{users: map[string]bool{}, groups: map[string]bool{}}
	add := func(user string, groups []string) {
		known.users[user] = true
		for _, group := range groups {
			known.groups[group] = true
		}
	}
	for _, c := range in.certificates() {
		add(c.cert.CommonName, c.cert.Organizations)
	}
	for i := range in.f.MappedPrincipals {
		add(in.f.MappedPrincipals[i].Username, in.f.MappedPrincipals[i].Groups)
	}
	for _, s := range in.servers(v) {
		open = open || in.proxyForPeople(s) || s.Flags.Text("authentication-token-webhook-config-file", "") != ""
		if s.Flags.Text("token-auth-file", "") != "" && s.StaticTokens == nil {
			in.file(v, s, "token-auth-file")
			open = true
		}
		if s.StaticTokens != nil {
			for i := range s.StaticTokens.Entries {
				add(s.StaticTokens.Entries[i].User, s.StaticTokens.Entries[i].Groups)
			}
		}
		issuers, read := s.Issuers()
		open = open || !read
		for i := range issuers {
			known.mappings = append(known.mappings, struct{ users, groups facts.Mapping }{issuers[i].Username, issuers[i].Groups})
		}
	}
	return known, open
}

// lastSeen is when each user and group, as "User x" and "Group y", was last seen.
func (in *input) lastSeen() map[string]time.Time {
	seen := map[string]time.Time{}
	note := func(name string, at time.Time) {
		if at.After(seen[name]) {
			seen[name] = at
		}
	}
	if in.f.Usage == nil {
		return seen
	}
	for i := range in.f.Usage.Observed {
		o := &in.f.Usage.Observed[i]
		note("User "+o.Username, o.Last)
		for _, group := range o.Groups {
			note("Group "+group, o.Last)
		}
	}
	return seen
}

// recordsFrom says how far records of use reach back.
func (in *input) recordsFrom() string {
	if in.f.Usage == nil {
		return "nowhere"
	}
	return in.f.Usage.From.Format(time.DateOnly)
}

// guessing judges whether somebody tried tokens faster than people and programs with an expired one do.
func (in *input) guessing(v *verdict, what string) {
	const most = 10 // attempts a minute from one address
	in.usage(v)
	if in.f.Usage == nil {
		return
	}
	for i := range in.f.Usage.Failures {
		failed := &in.f.Usage.Failures[i]
		if failed.Attempted != "" && !strings.Contains(failed.Attempted, "bearer") {
			continue
		}
		if in.f.Gate != nil && slices.Contains(in.f.Gate.Addresses, failed.Source) {
			continue // the gate locks out who is behind it
		}
		minutes := int(failed.Last.Sub(failed.First)/time.Minute) + 1
		if rate := failed.Count / minutes; rate > most {
			v.fail(failed.Source, facts.EvidenceUse, "tried %d bearer tokens in %s, and nothing slowed it down: %s could be guessed so", failed.Count, times(minutes), what)
		}
	}
	v.pass(facts.EvidenceUse, "nobody tried more than %d bearer tokens a minute since %s", most, in.recordsFrom())
}

func times(minutes int) string {
	if minutes == 1 {
		return "a minute"
	}
	return fmt.Sprintf("%d minutes", minutes)
}

// isolation judges what runs beside the software that vouches for people: whoever changes that can be anyone.
func (in *input) isolation(v *verdict, purpose string) {
	in.needs(v, facts.SourceSoftware)
	vendor, own := "", false
	for i := range in.f.Software {
		s := &in.f.Software[i]
		if s.Purpose != purpose {
			continue
		}
		subject := purpose + " " + s.Host
		switch {
		case s.Service == "" && sharedBy("https://"+s.Host) != "":
			vendor = s.Host
			continue
		case s.Service == "":
			v.unknown("what runs beside the %s: nothing of this cluster that is known answers there, so whoever runs it must say", subject)
			continue
		case len(s.Pods) == 0:
			v.unknown("no pod was found behind the Service %s/%s of the %s", s.Namespace, s.Service, subject)
			continue
		}
		own = true
		for _, pod := range s.Pods {
			if why := in.strongAccount(s.Namespace, pod.Account); why != "" {
				v.fail(subject, facts.EvidenceObject, "runs as the service account %s/%s, which amounts to the whole cluster (%s)", s.Namespace, pod.Account, why)
				break
			}
		}
		if len(s.Neighbours) > 0 {
			v.fail(subject, facts.EvidenceObject, "shares the namespace %s with %d other pods: %s", s.Namespace, len(s.Neighbours), someOf(s.Neighbours))
		}
		if !s.Guarded {
			v.warn(subject, facts.EvidenceObject, "no NetworkPolicy limits who can reach it in the namespace %s", s.Namespace)
		}
		if !s.Tainted || len(s.NodeNeighbours) > 0 {
			v.warn(subject, facts.EvidenceObject, "shares its nodes with others: %s", orNone(someOf(s.NodeNeighbours)))
		}
	}
	in.needs(v, facts.SourceRBAC)
	switch {
	case own:
	case vendor != "":
		v.na(facts.EvidenceObject, "%s is run by whoever sells it, and not in this cluster", vendor)
		return
	default:
		v.unknown("what runs beside the %s", purpose)
	}
	v.pass(facts.EvidenceObject, "the %s has a namespace and nodes of its own, and a NetworkPolicy", purpose)
}

func orNone(text string) string {
	if text == "" {
		return "no taint keeps them off"
	}
	return text
}

// componentCertificates are the certificates of components and CAs, over ones too where a file has them.
func (in *input) componentCertificates() []shown {
	var all []shown
	for _, c := range in.allCertificates() {
		if !isPerson(c.cert.CommonName) && (c.evidence == facts.EvidenceFile || c.cert.NotAfter.After(in.now)) {
			all = append(all, c)
		}
	}
	add := func(where string, evidence facts.Evidence, certificates []facts.Certificate) {
		for i := range certificates {
			all = append(all, shown{where, evidence, &certificates[i]})
		}
	}
	if e := in.f.Extension; e != nil {
		add("CA of clients", facts.EvidenceExtension, e.ClientCAs)
		add("CA of proxies", facts.EvidenceExtension, e.RequestHeaderCAs)
	}
	for _, s := range in.known {
		add("--client-ca-file of "+s.Name, facts.EvidenceFile, s.ClientCAs)
		add("--requestheader-client-ca-file of "+s.Name, facts.EvidenceFile, s.RequestHeaderCAs)
		add("--etcd-cafile of "+s.Name, facts.EvidenceFile, s.EtcdCAs)
		if s.FrontProxy != nil {
			all = append(all, shown{"--proxy-client-cert-file of " + s.Name, facts.EvidenceFile, s.FrontProxy})
		}
	}
	return all
}

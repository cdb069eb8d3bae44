package hardening

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/power"
)

// eachIssuer hands on every OpenID Connect provider of every API server.
func (in *input) eachIssuer(v *verdict, judge func(subject string, evidence facts.Evidence, issuer *facts.Issuer)) {
	on := false
	for _, s := range in.servers(v) {
		issuers, known := s.Issuers()
		if !known {
			on = true
			in.file(v, s, "authentication-config")
			continue
		}
		evidence := facts.EvidenceFile
		if s.Authentication == nil {
			evidence = s.Evidence
		}
		for i := range issuers {
			on = true
			judge("issuer "+issuers[i].URL+" on "+s.Name, evidence, &issuers[i])
		}
	}
	if !on {
		in.offUnlessUnknown(v, "no OpenID Connect provider is trusted")
	}
}

// offUnlessUnknown says that what a check is about is off, which counts before any pass.
func (in *input) offUnlessUnknown(v *verdict, message string) {
	v.na(facts.EvidenceFlagz, "%s", message)
	v.offFirst = true
}

// eachWebhook hands on the server of every webhook that is asked about tokens.
func (in *input) eachWebhook(v *verdict, judge func(subject string, cluster *facts.KubeconfigCluster)) {
	const flag = "authentication-token-webhook-config-file"
	on := false
	for _, s := range in.servers(v) {
		if s.Flags.Text(flag, "") == "" {
			continue
		}
		on = true
		if s.Webhook == nil {
			if _, ok := in.file(v, s, flag); ok {
				v.unknown("the webhook's configuration on %s", s.Name)
			}
			continue
		}
		i := slices.IndexFunc(s.Webhook.Clusters, func(c facts.KubeconfigCluster) bool { return c.Name == s.Webhook.CurrentCluster })
		if i < 0 {
			v.unknown("the webhook's configuration on %s has no current context", s.Name)
			continue
		}
		judge(s.Name, &s.Webhook.Clusters[i])
	}
	if !on {
		in.offUnlessUnknown(v, "no webhook is asked about tokens")
	}
}

// eachProxyConfiguration hands on the names that proxies must bear, wherever they are known. Where nothing is known, that
// is said.
func (in *input) eachProxyConfiguration(v *verdict, judge func(subject string, evidence facts.Evidence, names []string)) {
	known := false
	if e := in.f.Extension; e != nil && in.f.Knows(facts.SourceExtension) {
		known = true
		if e.HasRequestHeader {
			judge("extension-apiserver-authentication", facts.EvidenceExtension, e.AllowedNames)
		}
	}
	for _, s := range in.known {
		if in.f.Knows(facts.SourceFlags) {
			known = true
		}
		if s.Flags.Text("requestheader-client-ca-file", "") != "" {
			judge(s.Name, s.Evidence, s.Flags["requestheader-allowed-names"])
		}
	}
	if !known {
		in.needs(v, facts.SourceExtension, facts.SourceFlags)
	}
}

// prefixed reports whether a name from outside bears a prefix that keeps it out of the cluster's own names.
func prefixed(m facts.Mapping) bool {
	prefix := m.Prefix
	if m.Expression != "" {
		prefix = literalPrefix(m.Expression)
	}
	return prefix != "" && !strings.HasPrefix("system:", prefix) && !isSystem(prefix)
}

// literalPrefix is the text that a CEL expression begins with, as in '"idp:" + claims.sub'; empty where it begins with
// anything else. Groups are mapped by such an expression inside map(): 'claims.roles.map(r, "idp:" + r)'.
func literalPrefix(expression string) string {
	text := strings.TrimSpace(expression)
	if _, inner, ok := strings.Cut(text, ".map("); ok {
		if _, body, ok := strings.Cut(inner, ","); ok {
			text = strings.TrimSpace(body)
		}
	}
	// A choice may end in another branch, which has no prefix.
	if len(text) == 0 || text[0] != '\'' && text[0] != '"' || strings.Contains(text, "?") {
		return ""
	}
	literal, rest, ok := strings.Cut(text[1:], text[:1])
	if !ok || !strings.HasPrefix(strings.TrimSpace(rest), "+") {
		return ""
	}
	return literal
}

// forbidsSystem reports whether a rule for users refuses names that begin with "system:". It knows the form that
// Kubernetes' documentation gives: !user.username.startsWith('system:').
func forbidsSystem(rules []string, field string) bool {
	return slices.ContainsFunc(rules, func(rule string) bool {
		rule = strings.NewReplacer(" ", "", `"`, "'").Replace(rule)
		switch field {
		case "user.username":
			return rule == "!user.username.startsWith('system:')"
		case "user.groups":
			return strings.HasPrefix(rule, "user.groups.all(") && strings.HasSuffix(rule, ".startsWith('system:'))") && strings.Contains(rule, ",!")
		default:
			return false
		}
	})
}

// unreadRule says that a rule for users names "system:" in another form than forbidsSystem knows: it may forbid those names.
func unreadRule(v *verdict, subject string, issuer *facts.Issuer, field string) bool {
	for _, rule := range issuer.UserRules {
		if strings.Contains(rule, field) && strings.Contains(rule, "system:") {
			v.unknown("whether a userValidationRule of the %s keeps out names that begin with system:, which this program cannot tell: %s", subject, rule)
			return true
		}
	}
	return false
}

// mapped says where a name comes from, for people.
func mapped(m facts.Mapping) string {
	if m.Expression != "" {
		return "expression " + m.Expression
	}
	return "claim " + m.Claim
}

// sharedBy gives the claims that tell tenants of a public provider apart; empty for a provider that is not known as one.
func sharedBy(issuer string) string {
	parsed, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	switch host := parsed.Hostname(); {
	case host == "accounts.google.com":
		return "hd,email"
	case host == "login.microsoftonline.com" && (strings.HasPrefix(parsed.Path, "/common") || strings.HasPrefix(parsed.Path, "/organizations") || strings.HasPrefix(parsed.Path, "/consumers")):
		return "tid"
	case host == "token.actions.githubusercontent.com":
		return "repository_owner,repository,sub"
	case host == "gitlab.com":
		return "namespace_path,project_path,groups_direct,sub"
	case host == "appleid.apple.com", host == "www.facebook.com":
		return "email,sub"
	default:
		return ""
	}
}

// isPrivateHost reports whether a URL's host is one for which no public CA should sign.
func isPrivateHost(server string) bool {
	parsed, err := url.Parse(server)
	if err != nil {
		return false
	}
	host := parsed.Hostname()
	if address, err := netip.ParseAddr(host); err == nil {
		return address.IsPrivate() || address.IsLoopback()
	}
	return host == "localhost" || !strings.Contains(host, ".") || strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".internal")
}

// isPublic reports whether a URL leads to a public address. Names are not looked up.
func isPublic(server string) (public, known bool) {
	parsed, err := url.Parse(server)
	if err != nil {
		return false, false
	}
	address, err := netip.ParseAddr(parsed.Hostname())
	if err != nil {
		return false, isPrivateHost(server)
	}
	return address.IsGlobalUnicast() && !address.IsPrivate(), true
}

// fullAdmin reports whether a subject, as holders names it, may do everything by a role, so that no detour matters.
func (in *input) fullAdmin(holder string) bool {
	if admin, known := in.admins[holder]; known {
		return admin
	}
	kind, name, _ := strings.Cut(holder, " ")
	subject := power.With(name)
	switch kind {
	case "Group":
		subject = power.With("", name)
	case "ServiceAccount":
		namespace, account, _ := strings.Cut(name, "/")
		subject = power.Account{Namespace: namespace, Name: account}.Subject()
	}
	admin := in.policy().Of(subject).Level >= power.ClusterAdmin
	in.admins[holder] = admin
	return admin
}

// fromAnotherNode reports whether an address is that of a node other than the given one.
func (in *input) fromAnotherNode(source, node string) bool {
	return slices.ContainsFunc(in.f.Nodes, func(n facts.Node) bool { return n.Name != node && slices.Contains(n.Addresses, source) })
}

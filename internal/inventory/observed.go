package inventory

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
)

// loopback is the API server's own client, whose token never leaves the process.
const loopback = "system:apiserver"

// observed puts use to the lines that it is of, and makes lines for what is used and not listed.
func (b *builder) observed() {
	guess := newGuesser(b.facts)
	for i := range b.usage.Observed {
		one := &b.usage.Observed[i]
		if one.Username == loopback || one.Username == "" || one.Mechanism == string(identity.AnonymousAccess) {
			continue
		}
		b.count(b.line(one, guess), one)
	}
}

// line finds or makes the line that a use is of.
func (b *builder) line(one *facts.Observation, guess *guesser) *Credential {
	source := string(facts.SourceUsage)
	switch identity.Mechanism(one.Mechanism) {
	case identity.ClientCertificate:
		return b.add(Credential{
			ID: one.CredentialID, Kind: KindCredential, Mechanism: one.Mechanism, Username: one.Username, Groups: withoutAuthenticated(one.Groups), Confidence: Observed,
		}, source)
	case identity.TokenRequest:
		c := requested(one.CredentialID, one.Username)
		if one.Pod != "" {
			c.Note = "ends with Pod " + one.Pod
		}
		return b.add(c, source)
	case identity.ServiceAccount:
		c := requested("SECRET="+one.Secret, one.Username)
		c.Mechanism, c.Endless = string(identity.ServiceAccount), true
		if known := b.byID[c.ID]; known == nil && b.facts.Knows(facts.SourceTokenSecrets) {
			c.orphan, c.invalid = "Secret "+one.Secret, true
		}
		return b.add(c, source)
	case identity.BootstrapToken:
		id := "BOOTSTRAP=" + strings.TrimPrefix(one.Username, identity.BootstrapPrefix)
		c := Credential{ID: id, Kind: KindCredential, Mechanism: one.Mechanism, Issuer: clusterIssuer, Username: one.Username, Groups: withoutAuthenticated(one.Groups), Confidence: Observed}
		if known := b.byID[id]; known == nil && b.facts.Knows(facts.SourceBootstrapTokens) {
			c.orphan, c.invalid = "its Secret", true
		}
		return b.add(c, source)
	default:
		return b.person(one, guess)
	}
}

// person finds the line of somebody whose credential the record does not name, or names anew with every sign-in.
func (b *builder) person(one *facts.Observation, guess *guesser) *Credential {
	mechanisms := guess.of(one)
	if len(mechanisms) == 1 && mechanisms[0] == string(identity.StaticToken) {
		if known := b.byID["STATICUSER="+one.Username+"/1"]; known != nil {
			known.Sources = listed(known.Sources, string(facts.SourceUsage))
			return known
		}
	}
	if account, ok := strings.CutPrefix(one.Username, identity.ServiceAccountPrefix); ok {
		// An older API server, or a token that was impersonated: no id, so all of the account is one line.
		c := requested("ACCOUNT="+account, one.Username)
		c.Kind, c.Mechanism, c.recorded = KindPerson, "", true
		c.MayBe = []string{string(identity.ServiceAccount), string(identity.TokenRequest)}
		return b.add(c, string(facts.SourceUsage))
	}
	c := Credential{
		ID: "USER=" + one.Username, Kind: KindPerson, Username: one.Username, Groups: withoutAuthenticated(one.Groups), Confidence: Observed, recorded: true,
	}
	if len(mechanisms) == 1 {
		c.Mechanism = mechanisms[0]
		if one.Mechanism == "" {
			c.Confidence = Inferred
		}
	} else {
		c.MayBe = mechanisms
	}
	if c.Mechanism == string(identity.JWT) {
		c.Issuer = guess.issuer(one.Username)
	}
	if one.Mechanism != "" { // one name may come by two ways, which are two lines then
		c.ID = "USER=" + one.Mechanism + "/" + one.Username
	}
	return b.add(c, string(facts.SourceUsage))
}

// count adds a use to its line. Groups are those of the last use: a provider may have changed them.
func (b *builder) count(c *Credential, one *facts.Observation) {
	if c.FirstSeen.IsZero() || one.First.Before(c.FirstSeen) {
		c.FirstSeen = one.First
	}
	if one.Last.After(c.LastUsed) {
		c.LastUsed, c.ByDay = one.Last, false
		if c.Kind == KindPerson && len(one.Groups) > 0 {
			c.Groups = withoutAuthenticated(one.Groups)
		}
	}
	c.Uses += one.Count
	c.From, c.Agents = listed(c.From, one.Source), listed(c.Agents, one.Agent)
}

func withoutAuthenticated(groups []string) []string {
	if !slices.Contains(groups, identity.GroupAuthenticated) {
		return groups
	}
	return slices.DeleteFunc(slices.Clone(groups), func(group string) bool { return group == identity.GroupAuthenticated })
}

// recorded takes over what the record of issues and the ledger say.
func (b *builder) recorded() {
	for i := range b.usage.Certificates {
		issued := &b.usage.Certificates[i]
		c := b.byID[issued.CredentialID]
		if issued.CredentialID == "" {
			continue
		}
		if c == nil {
			c = b.add(Credential{ID: issued.CredentialID, Kind: KindCredential, Mechanism: string(identity.ClientCertificate), Issuer: issued.SignerName, Confidence: Observed}, string(facts.SourceUsage))
		}
		c.fill(&Credential{IssuedBy: issued.IssuedBy, ApprovedBy: issued.ApprovedBy, MadeWith: issued.ByCredential, Issued: issued.At, recorded: true})
		if issued.ApprovedBy != "" {
			c.ApprovedBy = issued.ApprovedBy // the audit log has the name, the object a reason
		}
	}
	b.fromLedger()
}

// guesser tells by which mechanism somebody came whose credential has no id.
type guesser struct {
	static   map[string][][]string // groups of the lines of a user
	prefixes map[string]string     // of names, with the issuer that gives them
	anyName  string                // an issuer that gives names without a prefix
	webhook  bool
	proxy    bool
	anyToken bool // there is a token file, which was not read
	unknown  bool // flags could not be read: anything may be on
}

func newGuesser(f *facts.Facts) *guesser {
	g := &guesser{static: map[string][][]string{}, prefixes: map[string]string{}, unknown: len(f.APIServers) == 0}
	fileNamed, fileRead := false, false
	for i := range f.APIServers {
		server := &f.APIServers[i]
		if server.StaticTokens != nil {
			for j := range server.StaticTokens.Entries {
				entry := &server.StaticTokens.Entries[j]
				g.static[entry.User] = append(g.static[entry.User], entry.Groups)
			}
			fileRead = true
		} else if server.Flags.Text("token-auth-file", "") != "" {
			fileNamed = true
		}
		if server.Authentication != nil {
			for j := range server.Authentication.Issuers {
				g.add(&server.Authentication.Issuers[j])
			}
		}
		if url := server.Flags.Text("oidc-issuer-url", ""); url != "" {
			g.add(&facts.Issuer{URL: url, Username: facts.Mapping{Prefix: server.Flags.Text("oidc-username-prefix", url+"#")}})
		}
		g.webhook = g.webhook || server.Flags.Text("authentication-token-webhook-config-file", "") != ""
		g.proxy = g.proxy || server.Flags.Text("requestheader-client-ca-file", "") != ""
	}
	g.anyToken = fileNamed && !fileRead
	return g
}

func (g *guesser) add(issuer *facts.Issuer) {
	if prefix := issuer.Username.Prefix; prefix != "" && prefix != "-" {
		g.prefixes[prefix] = issuer.URL
	} else {
		g.anyName = issuer.URL
	}
}

// issuer is the one that gives a name; empty where none is known to.
func (g *guesser) issuer(user string) string {
	best, url := "", g.anyName
	for prefix, from := range g.prefixes {
		if strings.HasPrefix(user, prefix) && len(prefix) > len(best) {
			best, url = prefix, from
		}
	}
	return url
}

// of lists the mechanisms by which somebody may have come, in the order in which they are asked.
func (g *guesser) of(one *facts.Observation) []string {
	if one.Mechanism != "" {
		return []string{one.Mechanism}
	}
	var may []string
	add := func(is bool, mechanism identity.Mechanism) {
		if is {
			may = append(may, string(mechanism))
		}
	}
	add(g.proxy || g.unknown, identity.ProxyHeader)
	add(len(g.static[one.Username]) > 0 || g.anyToken || g.unknown, identity.StaticToken)
	add(g.issuer(one.Username) != "" || g.unknown, identity.JWT)
	add(g.webhook || g.unknown, identity.Webhook)
	// Proxies are on in nearly every cluster for the API server's own use; a name and groups that a line of the token file has
	// are that line's.
	groups := withoutAuthenticated(one.Groups)
	if slices.ContainsFunc(g.static[one.Username], func(line []string) bool { return slices.Equal(line, groups) }) {
		return []string{string(identity.StaticToken)}
	}
	if g.issuer(one.Username) != "" && g.issuer(one.Username) != g.anyName && !g.webhook {
		return []string{string(identity.JWT)}
	}
	return may
}

package inventory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/power"
)

const (
	// clusterIssuer stands for what the cluster makes itself.
	clusterIssuer = "cluster"
	kubeSystem    = "kube-system"
	// bootstrapSecretPrefix starts the name of every Secret that is a bootstrap token (BOOT-1).
	bootstrapSecretPrefix = "bootstrap-token-"
)

// staticTokens lists the lines of token files; replicas that have the same are told once.
func (b *builder) staticTokens() {
	for i := range b.facts.APIServers {
		server := &b.facts.APIServers[i]
		if server.StaticTokens == nil {
			continue
		}
		path := server.Flags.Text("token-auth-file", "")
		ofUser := map[string]int{}
		for j := range server.StaticTokens.Entries {
			entry := &server.StaticTokens.Entries[j]
			ofUser[entry.User]++
			// Nothing of the token is in the id: a digest of a weak one would help to guess it.
			id := fmt.Sprintf("STATICUSER=%s/%d", entry.User, ofUser[entry.User])
			c := b.add(Credential{
				ID: id, Kind: KindCredential, Mechanism: string(identity.StaticToken), Issuer: "file", Username: entry.User, Groups: entry.Groups,
				Endless: true, Stored: []string{path}, Confidence: Listed, recorded: true,
			}, "static token file")
			b.static[identity.ClearTextTokenID(entry.User, ofUser[entry.User]).Value] = id
			if file, ok := server.File("token-auth-file"); ok && c.Issued.IsZero() {
				c.Issued, c.Note = file.Changed, "issued: when the file was last changed"
			}
			for _, place := range b.holding(entry.Token.Digest) {
				c.Stored = listed(c.Stored, place)
			}
		}
	}
}

// holding lists kubeconfig files that hold a token, by its digest.
func (b *builder) holding(digest string) []string {
	var places []string
	for i := range b.facts.Kubeconfigs {
		for j := range b.facts.Kubeconfigs[i].Users {
			if token := b.facts.Kubeconfigs[i].Users[j].Token; digest != "" && token != nil && token.Digest == digest {
				places = append(places, b.facts.Kubeconfigs[i].File.Path)
			}
		}
	}
	return places
}

// bootstrapTokens lists the Secrets of that type.
func (b *builder) bootstrapTokens() {
	for i := range b.facts.BootstrapTokens {
		token := &b.facts.BootstrapTokens[i]
		id := token.ID
		if id == "" {
			id = strings.TrimPrefix(token.Name, bootstrapSecretPrefix)
		}
		c := b.add(Credential{
			ID: "BOOTSTRAP=" + id, Kind: KindCredential, Mechanism: string(identity.BootstrapToken), Issuer: clusterIssuer,
			Username: identity.BootstrapPrefix + id, Groups: append([]string{identity.GroupBootstrappers}, token.ExtraGroups...),
			Issued: token.Created, Expires: token.Expires, Endless: token.ValuesRead && token.Expires.IsZero(),
			Stored: []string{"Secret " + token.Namespace + "/" + token.Name}, Confidence: Listed, recorded: true,
			namespace: token.Namespace, secret: token.Name,
		}, string(facts.SourceBootstrapTokens))
		switch {
		case !token.ValuesRead:
			c.Note = "its end and its groups were not read: --read-bootstrap-tokens"
		case token.Namespace != kubeSystem || token.Name != bootstrapSecretPrefix+id:
			c.invalid, c.Note = true, "Kubernetes ignores it: a Secret of another name or namespace"
		}
	}
}

// accountGroups are the groups of an account's credentials (SAL-14).
func accountGroups(namespace string) []string {
	return []string{identity.GroupServiceAccounts, identity.GroupServiceAccounts + ":" + namespace}
}

// tokenSecrets lists the Secrets with an account's token.
func (b *builder) tokenSecrets() {
	accounts := b.accounts()
	for i := range b.facts.TokenSecrets {
		secret := &b.facts.TokenSecrets[i]
		name := secret.Namespace + "/" + secret.Name
		c := b.add(Credential{
			ID: "SECRET=" + name, Kind: KindCredential, Mechanism: string(identity.ServiceAccount), Issuer: clusterIssuer,
			Username: identity.ServiceAccountPrefix + secret.Namespace + ":" + secret.ServiceAccount, Groups: b.oneCopy(accountGroups(secret.Namespace)),
			Issued: secret.Created, Endless: true, LastUsed: secret.LastUsed, ByDay: !secret.LastUsed.IsZero(),
			Stored: []string{"Secret " + name}, Confidence: Listed, recorded: true, invalid: !secret.InvalidSince.IsZero(),
			namespace: secret.Namespace, secret: secret.Name, account: secret.Namespace + "/" + secret.ServiceAccount,
		}, string(facts.SourceTokenSecrets))
		if accounts == nil {
			continue
		}
		if uid, found := accounts[c.account]; !found {
			c.orphan = "ServiceAccount " + c.account
		} else if secret.AccountUID != "" && uid != "" && uid != secret.AccountUID {
			c.orphan = "the ServiceAccount " + c.account + " that it was made for"
		}
	}
}

// accounts are the UIDs of all accounts; nil where they could not be read.
func (b *builder) accounts() map[string]string {
	if !b.facts.Knows(facts.SourceServiceAccounts) {
		return nil
	}
	all := make(map[string]string, len(b.facts.ServiceAccounts))
	for i := range b.facts.ServiceAccounts {
		one := &b.facts.ServiceAccounts[i]
		all[one.Namespace+"/"+one.Name] = one.UID
	}
	return all
}

// requestedTokens lists those whose issue was recorded, and those that lie in kubeconfigs.
func (b *builder) requestedTokens() {
	for i := range b.usage.IssuedIDs {
		issued := &b.usage.IssuedIDs[i]
		if issued.CredentialID == "" {
			continue
		}
		c := requested(issued.CredentialID, issued.Account)
		c.Issued, c.IssuedBy, c.MadeWith, c.recorded = issued.At, issued.IssuedBy, issued.ByCredential, true
		if issued.Lifetime > 0 {
			c.Expires = issued.At.Add(issued.Lifetime)
		}
		if issued.Bound != "" {
			c.Note = "ends with " + issued.Bound
		}
		b.add(c, string(facts.SourceUsage))
	}
	for i := range b.facts.Kubeconfigs {
		for j := range b.facts.Kubeconfigs[i].Users {
			b.heldToken(&b.facts.Kubeconfigs[i], &b.facts.Kubeconfigs[i].Users[j])
		}
	}
}

// heldToken lists the token of a kubeconfig's user: by what it says of itself where it does, and else as one of somebody, unless it is listed
// where it comes from.
func (b *builder) heldToken(file *facts.Kubeconfig, user *facts.KubeconfigUser) {
	token := user.Token
	if token == nil || !token.JWT && b.listsToken(token.Digest) {
		return
	}
	c := Credential{
		ID: "FILE=" + file.File.Path + "#" + user.Name, Kind: KindCredential, Issuer: "file", Stored: []string{file.File.Path}, Confidence: Listed, recorded: true,
		MayBe: []string{string(identity.StaticToken), string(identity.BootstrapToken), string(identity.Webhook)},
		Note:  "a token that says nothing of itself, of the user " + user.Name + " in the file",
	}
	if token.JWT {
		c.Mechanism, c.MayBe, c.Note = string(identity.JWT), nil, ""
		c.Issuer, c.Username, c.Issued, c.Expires = token.Issuer, token.Subject, token.Issued, token.Expires
	}
	if token.ID != "" {
		c.ID = "JTI=" + token.ID
	}
	if strings.HasPrefix(token.Subject, identity.ServiceAccountPrefix) {
		known := requested(c.ID, token.Subject)
		c.Mechanism, c.Groups, c.account = known.Mechanism, known.Groups, known.account
		if token.Expires.IsZero() {
			c.Mechanism, c.Endless = string(identity.ServiceAccount), true
		}
	}
	b.add(c, string(facts.SourceKubeconfigs))
}

// listsToken reports whether a token, by its digest, is a line of a token file or a bootstrap token.
func (b *builder) listsToken(digest string) bool {
	return slices.ContainsFunc(b.facts.BootstrapTokens, func(t facts.BootstrapToken) bool { return t.Token.Digest == digest }) ||
		slices.ContainsFunc(b.facts.APIServers, func(s facts.APIServer) bool {
			return s.StaticTokens != nil && slices.ContainsFunc(s.StaticTokens.Entries, func(e facts.StaticToken) bool { return e.Token.Digest == digest })
		})
}

// requested is a token of the TokenRequest API.
func requested(id, user string) Credential {
	c := Credential{
		ID: id, Kind: KindCredential, Mechanism: string(identity.TokenRequest), Issuer: clusterIssuer, Username: user, Confidence: Observed,
	}
	if namespace, name, ok := strings.Cut(strings.TrimPrefix(user, identity.ServiceAccountPrefix), ":"); ok {
		c.Groups, c.account = accountGroups(namespace), namespace+"/"+name
	}
	return c
}

// issuers lists whom the cluster believes about others.
func (b *builder) issuers() {
	behind := func(what string) power.Power {
		return power.Power{Reasons: []power.Reason{{What: what}}}
	}
	for i := range b.facts.APIServers {
		server := &b.facts.APIServers[i]
		if server.Authentication != nil {
			for j := range server.Authentication.Issuers {
				url := server.Authentication.Issuers[j].URL
				b.add(Credential{
					ID: "ISSUER=" + url, Kind: KindIssuer, Mechanism: string(identity.JWT), Issuer: url, Username: "(whom it vouches for)", Endless: true,
					Power: behind("whatever is bound to the names that it gives"), Confidence: Listed, recorded: true,
				}, "OpenID Connect issuers")
			}
		}
		if url := server.Flags.Text("oidc-issuer-url", ""); url != "" {
			b.add(Credential{
				ID: "ISSUER=" + url, Kind: KindIssuer, Mechanism: string(identity.JWT), Issuer: url, Username: "(whom it vouches for)", Endless: true,
				Power: behind("whatever is bound to the names that it gives"), Confidence: Listed, recorded: true,
			}, "OpenID Connect issuers")
		}
		if path := server.Flags.Text("authentication-token-webhook-config-file", ""); path != "" {
			address := path
			if server.Webhook != nil && len(server.Webhook.Clusters) > 0 {
				address = server.Webhook.Clusters[0].Server
			}
			b.add(Credential{
				ID: "WEBHOOK=" + address, Kind: KindIssuer, Mechanism: string(identity.Webhook), Issuer: address, Username: "(whom it vouches for)", Endless: true,
				Power:      power.Power{Level: power.Masters, Reasons: []power.Reason{{What: "say of any token that it is any user's in any group"}}},
				Confidence: Listed, Stored: []string{path}, recorded: true,
			}, "webhook")
		}
	}
	if extension := b.facts.Extension; extension != nil && extension.HasRequestHeader {
		names := "of any name"
		if len(extension.AllowedNames) > 0 {
			names = "named " + strings.Join(extension.AllowedNames, ", ")
		}
		for i := range extension.RequestHeaderCAs {
			ca := &extension.RequestHeaderCAs[i]
			b.add(Credential{
				ID: "PROXYCA=" + ca.KeyDigest, Kind: KindIssuer, Mechanism: string(identity.ProxyHeader), Issuer: "CN=" + ca.CommonName, Username: "(whom proxies " + names + " vouch for)",
				Power:   power.Power{Level: power.Masters, Reasons: []power.Reason{{What: "its proxies say in headers that they are any user in any group"}}},
				Expires: ca.NotAfter, Issued: ca.NotBefore, Confidence: Listed, recorded: true,
			}, string(facts.SourceExtension))
		}
	}
	b.anonymous()
}

// anonymous lists what nobody needs a credential for.
func (b *builder) anonymous() {
	open := false
	for i := range b.facts.Probes {
		open = open || b.facts.Probes[i].Status != 0 && b.facts.Probes[i].Status != 401
	}
	for i := range b.facts.APIServers {
		server := &b.facts.APIServers[i]
		if server.Authentication != nil && server.Authentication.Anonymous != nil {
			open = open || server.Authentication.Anonymous.Enabled
		} else {
			open = open || server.AnonymousByFlag()
		}
	}
	if open {
		b.add(Credential{
			ID: "ANONYMOUS", Kind: KindIssuer, Mechanism: string(identity.AnonymousAccess), Issuer: "nobody", Username: identity.Anonymous,
			Groups: []string{identity.GroupUnauthenticated}, Endless: true, Owner: "anybody who reaches the API server", OwnerBy: "no credential is needed",
			Confidence: Listed, recorded: true,
		}, string(facts.SourceProbes))
	}
}

// mapped lists the entries of aws-auth.
func (b *builder) mapped() {
	for i := range b.facts.MappedPrincipals {
		one := &b.facts.MappedPrincipals[i]
		b.add(Credential{
			ID: "PRINCIPAL=" + one.Principal, Kind: KindPerson, Mechanism: string(identity.Webhook), Issuer: "aws-auth", Username: one.Username, Groups: one.Groups,
			Endless: true, Stored: []string{"ConfigMap kube-system/aws-auth"}, Confidence: Listed, recorded: true,
		}, string(facts.SourceAWSAuth))
	}
}

// stored lists credentials that lie in ConfigMaps and Secrets.
func (b *builder) stored() {
	for i := range b.facts.StoredCredentials {
		one := &b.facts.StoredCredentials[i]
		place := one.Kind + " " + one.Namespace + "/" + one.Name
		c := Credential{
			ID: "STORED=" + one.Kind + "/" + one.Namespace + "/" + one.Name + "/" + one.Key, Kind: KindCredential, Issuer: "file", Username: one.Subject,
			Stored: []string{place + " key " + one.Key}, Confidence: Listed, Note: one.What, recorded: true,
		}
		if one.Kind == "Secret" {
			c.namespace, c.secret = one.Namespace, one.Name
		}
		switch {
		case strings.HasPrefix(one.Subject, identity.ServiceAccountPrefix):
			known := requested(c.ID, one.Subject)
			c.Mechanism, c.Groups, c.account = string(identity.ServiceAccount), known.Groups, known.account
		case one.What == "front proxy key":
			c.Mechanism = string(identity.ProxyHeader)
			c.Power = power.Power{Level: power.Masters, AllNamespaces: true, Reasons: []power.Reason{{What: "say in headers that it is any user in any group"}}}
		default:
			c.MayBe = []string{string(identity.ClientCertificate), string(identity.StaticToken), string(identity.JWT)}
		}
		b.add(c, strings.ToLower(one.Kind[:1])+one.Kind[1:]+"s")
	}
}

// since is the time from a moment to the facts.
func (b *builder) since(t time.Time) time.Duration { return b.At.Sub(t) }

package server

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/anonymous"
	"github.com/ostiary/ostiary/internal/authn/bootstraptoken"
	"github.com/ostiary/ostiary/internal/authn/clientcert"
	"github.com/ostiary/ostiary/internal/authn/issued"
	"github.com/ostiary/ostiary/internal/authn/jwt"
	"github.com/ostiary/ostiary/internal/authn/proxyheader"
	"github.com/ostiary/ostiary/internal/authn/serviceaccount"
	"github.com/ostiary/ostiary/internal/authn/statictoken"
	"github.com/ostiary/ostiary/internal/authn/webhook"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/frontproxy"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/policy"
	"github.com/ostiary/ostiary/internal/secret"
)

// assembly is a chain in the making.
type assembly struct {
	ctx      context.Context //nolint:containedctx // the life of the mechanisms' background work, for one call of assemble
	checked  *config.Checked
	previous *generation // nil at the start
	logger   *slog.Logger
	kept     *keeper // nil where there is no ledger
	own      *bureau // nil where nothing is issued

	clusters     []*draft
	callers      []*draft             // API servers that ask about tokens
	stripper     *frontproxy.Stripper // the headers of authenticating proxies, beside the standard ones; may be nil
	policy       policy.Config
	certificates *clientcert.Mechanism
	jwt          *jwt.Mechanism
	webhook      *webhook.Service
}

// draft is a chain in the making: that of a cluster behind the gate, or that of an API server which asks about tokens.
// All clusters have the mechanisms of the configuration in common; each has those that its own tokens need besides. An
// API server that asks has those that are named for it.
type draft struct {
	cluster  *config.CheckedCluster
	upstream *upstream
	caller   *config.CheckedCaller
	chain    authn.Config
}

// mechanisms is the one list, in Kubernetes' own order: what stands first is asked first. A mechanism that the
// configuration does not name does nothing.
func (a *assembly) mechanisms() []func() error {
	return []func() error{
		a.proxyHeader,
		a.issuedCertificates,
		a.clientCertificate,
		a.issuedTokens,
		a.staticToken,
		a.serviceAccountTokens,
		a.bootstrapTokens,
		a.jsonWebToken,
		a.webhookTokens,
		a.anonymousAccess,
	}
}

// proxyHeader accepts what authenticating proxies say.
func (a *assembly) proxyHeader() error {
	c := a.checked.ProxyHeader
	if c == nil {
		return nil
	}
	mechanism := proxyheader.New(proxyheader.Config{
		Roots: c.Authorities.Pool(), AllowedNames: c.AllowedNames, AnyName: c.Kubernetes && len(c.AllowedNames) == 0,
		UsernameHeaders: c.UsernameHeaders, UIDHeaders: c.UIDHeaders, GroupHeaders: c.GroupHeaders, ExtraHeaderPrefixes: c.ExtraHeaderPrefixes,
	})
	step := authn.RequestStep{Name: identity.ProxyHeader, Mechanism: mechanism, AudienceAgnostic: true}
	a.request(step, c.CheckedPolicy, policy.MechanismRules{})
	var err error
	a.stripper, err = frontproxy.NewStripper(slices.Concat(c.UsernameHeaders, c.UIDHeaders, c.GroupHeaders), c.ExtraHeaderPrefixes)
	return err
}

// issuedCertificates accepts those that Ostiary issued itself. They are asked for before all other client certificates, as none of
// another issuer is theirs.
func (a *assembly) issuedCertificates() error {
	c := a.checked.Issuer
	if c == nil {
		return nil
	}
	rules := policy.MechanismRules{MaxLifetime: issuer.HardCap}
	if a.own == nil { // the configuration is only being checked
		a.restrict(identity.IssuedCertificate, c.CheckedPolicy, rules)
		return nil
	}
	a.request(authn.RequestStep{Name: identity.IssuedCertificate, Mechanism: a.own.certificates}, c.CheckedPolicy, rules)
	return nil
}

// accept makes the mechanisms of what b issues. They live as long as it does: nothing of them is configured.
func (b *bureau) accept(written issued.Config, hide issued.Hide) {
	b.certificates = issued.New(written)
	b.tokens = issued.NewTokens(written.Book, b.certificates, hide)
}

// newToken draws a token.
func (k *keeper) newToken(id issuer.ID) (token secret.String, digest string) {
	token, part := issued.NewToken(id)
	return token, issued.SecretDigest(k.sealed.Hide, id, part)
}

// issuedTokens accepts the tokens that Ostiary issued itself.
func (a *assembly) issuedTokens() error {
	c := a.checked.Issuer
	if c == nil {
		return nil
	}
	rules := policy.MechanismRules{MaxLifetime: c.TokenLifetime}
	if a.own == nil {
		a.restrict(identity.IssuedToken, c.CheckedPolicy, rules)
		return nil
	}
	a.token(authn.TokenStep{Name: identity.IssuedToken, Mechanism: a.own.tokens, AudienceAgnostic: true}, c.CheckedPolicy, rules)
	return nil
}

// clientCertificate accepts X.509 client certificates.
func (a *assembly) clientCertificate() error {
	c := a.checked.ClientCertificate
	if c == nil {
		return nil
	}
	// The same CAs make the same mechanism, so that verdicts remembered on open connections stay good.
	mechanism := clientcert.New(c.Authorities.Pool())
	if a.previous != nil && a.previous.certificates != nil && a.previous.authorities == c.Authorities.Digest {
		mechanism = a.previous.certificates
	}
	a.certificates = mechanism
	a.request(authn.RequestStep{Name: identity.ClientCertificate, Mechanism: mechanism}, c.CheckedPolicy, policy.MechanismRules{MaxLifetime: c.MaxLifetime})
	return nil
}

// staticToken accepts the tokens of a CSV file.
func (a *assembly) staticToken() error {
	c := a.checked.StaticToken
	if c == nil {
		return nil
	}
	table, err := statictoken.Parse(c.Content, statictoken.Options{AllowClearText: c.AllowClearText || c.Kubernetes})
	clear(c.Content) // tokens in clear text must not stay in memory (G-12); the digest is left to notice changes
	if err != nil {
		return fmt.Errorf("authentication.staticToken.file: %s: %w", c.File, err)
	}
	for _, warning := range table.Warnings() {
		a.logger.Warn("static token file", slog.String("file", c.File), slog.String("cause", warning.String()))
	}
	a.token(authn.TokenStep{Name: identity.StaticToken, Mechanism: statictoken.New(table), AudienceAgnostic: true}, c.CheckedPolicy, policy.MechanismRules{})
	return nil
}

// serviceAccountTokens accepts the tokens of each cluster's ServiceAccounts at that cluster: those in Secrets, then those
// that were requested.
func (a *assembly) serviceAccountTokens() error {
	inSecrets, requested := a.checked.ServiceAccountSecret, a.checked.TokenRequest
	for _, one := range a.clusters {
		if one.cluster.ServiceAccounts == nil || one.upstream == nil || inSecrets == nil && requested == nil {
			continue
		}
		written := serviceaccount.Config{Cluster: one.upstream.access, Keys: one.upstream.keys, Issuers: one.cluster.ServiceAccounts.Issuers}
		if inSecrets != nil {
			written.MaxAge, written.MaxIdle = inSecrets.MaxAge, inSecrets.MaxIdle
		}
		authority, err := serviceaccount.New(written)
		if err != nil {
			return fmt.Errorf("cluster %s: %w", one.cluster.Name, err)
		}
		if inSecrets != nil {
			one.token(authn.TokenStep{Name: identity.ServiceAccount, Mechanism: authority.Secrets()})
		}
		if requested != nil {
			one.token(authn.TokenStep{Name: identity.TokenRequest, Mechanism: authority.Requested()})
		}
	}
	if inSecrets != nil {
		a.restrict(identity.ServiceAccount, inSecrets.CheckedPolicy, policy.MechanismRules{})
	}
	if requested != nil {
		a.restrict(identity.TokenRequest, requested.CheckedPolicy, policy.MechanismRules{MaxLifetime: requested.MaxLifetime})
	}
	return nil
}

// bootstrapTokens accepts those of each cluster at that cluster, or those of a file.
func (a *assembly) bootstrapTokens() error {
	c := a.checked.BootstrapToken
	if c == nil {
		return nil
	}
	var file *bootstraptoken.File
	if !c.FromCluster {
		var err error
		if file, err = bootstraptoken.ParseFile(c.Content); err != nil {
			return fmt.Errorf("authentication.bootstrapToken.file: %s: %w", c.File, err)
		}
	}
	for _, one := range a.clusters {
		source := bootstraptoken.Source(file)
		if c.FromCluster {
			if one.upstream == nil || one.upstream.bootstrap == nil {
				continue
			}
			source = one.upstream.bootstrap
		}
		one.token(authn.TokenStep{Name: identity.BootstrapToken, Mechanism: bootstraptoken.New(source, c.Kubernetes), AudienceAgnostic: true})
	}
	var requests []policy.RequestRule
	for _, rule := range c.AllowedRequests {
		requests = append(requests, policy.RequestRule(rule))
	}
	a.restrict(identity.BootstrapToken, c.CheckedPolicy, policy.MechanismRules{Requests: requests, MaxUses: c.MaxUses})
	return nil
}

// jsonWebToken accepts JSON Web Tokens of OpenID Connect providers.
func (a *assembly) jsonWebToken() error {
	c := a.checked.JWT
	if c == nil {
		return nil
	}
	parsed, err := jwt.Parse(c.Content)
	if err != nil {
		return fmt.Errorf("authentication.jwt: %w", err)
	}
	if parsed.Anonymous != nil && a.checked.Anonymous != nil {
		return fmt.Errorf("authentication.anonymous: the AuthenticationConfiguration has an anonymous section too; keep one of them")
	}
	// The same file makes the same mechanism: keys that were fetched stay, and no request waits for them anew.
	mechanism := (*jwt.Mechanism)(nil)
	if a.previous != nil && a.previous.jwt != nil && a.previous.jwtContent == string(c.Content) {
		mechanism = a.previous.jwt
	} else if mechanism, err = jwt.New(a.ctx, parsed); err != nil {
		return fmt.Errorf("authentication.jwt: %w", err)
	}
	a.jwt = mechanism
	a.token(authn.TokenStep{Name: identity.JWT, Mechanism: mechanism, AudienceAgnostic: true}, c.CheckedPolicy, policy.MechanismRules{MaxLifetime: c.MaxLifetime})
	if parsed.Anonymous != nil && parsed.Anonymous.Enabled {
		a.anonymous(parsed.Anonymous.Paths, config.CheckedPolicy{})
	}
	return nil
}

// webhookTokens accepts tokens that a TokenReview service knows.
func (a *assembly) webhookTokens() error {
	c := a.checked.Webhook
	if c == nil {
		return nil
	}
	// The same settings make the same service: what it answered is still remembered, and so is that it fails.
	var err error
	if a.previous != nil && a.previous.webhook != nil && a.previous.checked.Webhook.Digest == c.Digest {
		a.webhook = a.previous.webhook
	} else if a.webhook, err = webhook.New(webhook.Config{
		Kubeconfig: c.Kubeconfig, Version: c.Version, CacheTTL: c.CacheTTL, Timeout: c.Timeout, MaxConcurrent: c.MaxConcurrent, Hide: a.kept.hide(),
	}); err != nil {
		return fmt.Errorf("authentication.webhook: %w", err)
	}
	for _, one := range slices.Concat(a.clusters, a.callers) {
		if one.caller != nil && !slices.Contains(one.caller.Mechanisms, identity.Webhook) {
			continue
		}
		mechanism, err := a.webhook.For(one.chain.Audiences)
		if err != nil {
			return fmt.Errorf("authentication.webhook: %w", err)
		}
		one.token(authn.TokenStep{Name: identity.Webhook, Mechanism: mechanism})
	}
	a.restrict(identity.Webhook, c.CheckedPolicy, policy.MechanismRules{})
	return nil
}

// anonymousAccess lets callers in without a credential.
func (a *assembly) anonymousAccess() error {
	if c := a.checked.Anonymous; c != nil {
		a.anonymous(c.Paths, config.CheckedPolicy{AllowedNetworks: c.AllowedNetworks})
	}
	return nil
}

// anonymous puts anonymous access at the end of the chains.
func (a *assembly) anonymous(paths []string, restrictions config.CheckedPolicy) {
	for _, one := range a.clusters {
		one.chain.Anonymous = anonymous.New(paths)
	}
	a.restrict(identity.AnonymousAccess, restrictions, policy.MechanismRules{})
}

// request adds a mechanism that reads the whole request.
func (a *assembly) request(step authn.RequestStep, restrictions config.CheckedPolicy, rules policy.MechanismRules) {
	for _, one := range a.clusters {
		one.chain.Requests = append(one.chain.Requests, step)
	}
	a.restrict(step.Name, restrictions, rules)
}

// token adds a mechanism that reads bearer tokens of anybody.
func (a *assembly) token(step authn.TokenStep, restrictions config.CheckedPolicy, rules policy.MechanismRules) {
	for _, one := range a.clusters {
		one.token(step)
	}
	for _, one := range a.callers {
		if slices.Contains(one.caller.Mechanisms, step.Name) {
			one.token(step)
		}
	}
	a.restrict(step.Name, restrictions, rules)
}

// token adds a mechanism that reads bearer tokens of one cluster alone.
func (d *draft) token(step authn.TokenStep) { d.chain.Tokens = append(d.chain.Tokens, step) }

// restrict sets a mechanism's policy. Without one, policy refuses whatever the mechanism accepts.
func (a *assembly) restrict(name identity.Mechanism, restrictions config.CheckedPolicy, rules policy.MechanismRules) {
	rules.AllowedNetworks = restrictions.AllowedNetworks
	rules.AllowedSystemNames = restrictions.AllowedSystemNames
	if restrictions.Kubernetes {
		rules.AllowedSystemNames = []string{identity.ReservedPrefix + "*"}
	}
	a.policy.Mechanisms[name] = rules
}

package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/clientcert"
	"github.com/ostiary/ostiary/internal/authn/jwt"
	"github.com/ostiary/ostiary/internal/authn/webhook"
	"github.com/ostiary/ostiary/internal/balancer"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/policy"
	"github.com/ostiary/ostiary/internal/signinapi"
	"github.com/ostiary/ostiary/internal/tlspolicy"
	"github.com/ostiary/ostiary/internal/tokenrequest"
	"github.com/ostiary/ostiary/internal/tokenreview"
)

// generation is all that follows from one state of the configuration. It is immutable. Parts that did not change are
// taken over from the generation before.
type generation struct {
	checked  *config.Checked
	state    *gateway.State
	signIn   *signinapi.Settings // nil where nobody can
	reviews  *tokenreview.State  // nil where nobody may ask
	tls      *tls.Config
	adminTLS *tls.Config // nil where the admin listener speaks plain HTTP
	// reviewTLS is nil where nobody may ask about tokens.
	reviewTLS *tls.Config
	clusters  []*upstream

	certificates *clientcert.Mechanism
	authorities  config.Digest
	jwt          *jwt.Mechanism
	jwtContent   string
	webhook      *webhook.Service
	uses         *policy.Uses
}

// build makes a generation. Either all of it is good or nothing changes; every mistake is reported at once. life bounds
// the background work of its parts; kept is nil where there is no ledger. guard holds back who guesses tokens, unless the
// configuration wants none.
func build(life context.Context, checked *config.Checked, previous *generation, kept *keeper, own *bureau, guard authn.Guard, logger *slog.Logger) (*generation, error) {
	if checked.Lockout.Disabled {
		guard = authn.Unguarded()
	}
	clusters, err := upstreams(life, checked.Clusters, previous, kept.witness(checked.Ledger), logger)
	mistakes := []error{err}
	a := &assembly{
		ctx: life, checked: checked, previous: previous, logger: logger, kept: kept, own: own,
		policy: policy.Config{Mechanisms: make(map[identity.Mechanism]policy.MechanismRules), GroupRules: groupRules(checked.GroupRules), Uses: usesOf(previous), Ledger: kept.judge()},
	}
	for i := range checked.Clusters {
		cluster := &checked.Clusters[i]
		one := &draft{cluster: cluster, chain: authn.Config{Audiences: cluster.Audiences, Guard: guard}}
		if err == nil {
			one.upstream = clusters[i]
		}
		a.clusters = append(a.clusters, one)
	}
	if reviews := checked.TokenReview; reviews != nil {
		for i := range reviews.Callers {
			caller := &reviews.Callers[i]
			a.callers = append(a.callers, &draft{caller: caller, chain: authn.Config{Audiences: caller.Audiences, Guard: guard}})
		}
	}
	for _, add := range a.mechanisms() {
		mistakes = append(mistakes, add())
	}
	admitter, err := policy.New(a.policy)
	mistakes = append(mistakes, err)
	if err := errors.Join(mistakes...); err != nil {
		if a.jwt != nil && (previous == nil || previous.jwt != a.jwt) {
			a.jwt.Close()
		}
		if a.webhook != nil && (previous == nil || previous.webhook != a.webhook) {
			a.webhook.Close()
		}
		for _, one := range clusters {
			if previous == nil || !slices.Contains(previous.clusters, one) {
				one.close()
			}
		}
		return nil, err
	}
	state, err := a.state(admitter)
	if err != nil {
		return nil, err
	}
	reviews, err := a.reviews(admitter)
	if err != nil {
		return nil, err
	}
	g := &generation{
		checked: checked, clusters: clusters, jwt: a.jwt, webhook: a.webhook, certificates: a.certificates, state: state, reviews: reviews, uses: a.policy.Uses,
		signIn: signInSettings(checked, state, guard),
		tls:    tlspolicy.Gate(checked.Listen.TLS.Certificate, authorityHint(checked)),
	}
	if checked.Admin != nil && checked.Admin.TLS != nil {
		g.adminTLS = tlspolicy.Server(checked.Admin.TLS.Certificate)
	}
	if asked := checked.TokenReview; asked != nil {
		g.reviewTLS = tlspolicy.Callers(asked.TLS.Certificate, callersHint(asked))
	}
	if checked.ClientCertificate != nil {
		g.authorities = checked.ClientCertificate.Authorities.Digest
	}
	if checked.JWT != nil {
		g.jwtContent = string(checked.JWT.Content)
	}
	for _, warning := range checked.Warnings {
		logger.Warn("configuration", slog.String("cause", warning.Message))
	}
	return g, nil
}

// state is what the gate decides by: the clusters, each with its chain.
func (a *assembly) state(admitter *policy.Policy) (*gateway.State, error) {
	state := &gateway.State{Balancers: balancersOf(&a.checked.Listen.Balancers), Stripper: a.stripper, TokenRequests: tokenrequest.New(a.checked.TokenRequests.MaxLifetime)}
	for _, one := range a.clusters {
		one.chain.Admitter = admitter
		chain, err := authn.New(one.chain)
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", one.cluster.Name, err)
		}
		cluster := *one.upstream.gateway // its connections may be those of the generation before
		cluster.Authenticator, cluster.Audiences, cluster.Confiner = chain, one.cluster.Audiences, admitter
		state.Clusters = append(state.Clusters, &cluster)
	}
	return state, nil
}

// balancersOf turns the checked form into the gate's.
func balancersOf(checked *config.CheckedBalancers) *balancer.Balancers {
	written := balancer.Config{
		AddressesFrom: checked.AddressesFrom, ForwardedHeader: checked.ForwardedHeader,
		CertificatesFrom: checked.CertificatesFrom, Names: checked.CertificateNames,
	}
	if checked.CertificateAuthorities != nil {
		written.Roots = checked.CertificateAuthorities.Pool()
	}
	return balancer.New(written)
}

// reviews is what API servers are answered by; nil where none may ask.
func (a *assembly) reviews(admitter *policy.Policy) (*tokenreview.State, error) {
	if len(a.callers) == 0 {
		return nil, nil //nolint:nilnil // there is nobody to answer
	}
	callers := make([]tokenreview.Caller, 0, len(a.callers))
	for _, one := range a.callers {
		for _, step := range one.chain.Tokens {
			// A review does not say what the token is for, and its answer lets it do everything.
			if admitter.Confines(step.Name) {
				return nil, fmt.Errorf("tokenReview.callers: %s: credentials of mechanism %s are for certain requests only", one.caller.Name, step.Name)
			}
		}
		one.chain.Admitter = admitter
		chain, err := authn.New(one.chain)
		if err != nil {
			return nil, fmt.Errorf("tokenReview.callers: %s: %w", one.caller.Name, err)
		}
		callers = append(callers, tokenreview.Caller{
			Name: one.caller.Name, Roots: one.caller.Authorities.Pool(), AllowedNames: one.caller.AllowedNames,
			Decider: chain, Audiences: one.caller.Audiences,
		})
	}
	return tokenreview.NewState(callers)
}

// callersHint is the union of the callers' CAs.
func callersHint(checked *config.CheckedTokenReview) *x509.CertPool {
	pool := x509.NewCertPool()
	for i := range checked.Callers {
		for _, certificate := range checked.Callers[i].Authorities.Certificates {
			pool.AddCert(certificate)
		}
	}
	return pool
}

// Validate checks what package config leaves to the mechanisms, without starting anything that outlives the call.
func Validate(ctx context.Context, checked *config.Checked, logger *slog.Logger) error {
	if checked.Ledger != nil {
		if _, err := ledgerKey(checked.Ledger); err != nil {
			return err
		}
	}
	life, end := context.WithCancel(ctx)
	defer end()
	g, err := build(life, checked, nil, nil, nil, authn.Unguarded(), logger)
	if err != nil {
		return err
	}
	g.close(nil)
	return nil
}

// authorityHint is the union of the CAs whose certificates are of use to clients; nil when certificates are of none.
func authorityHint(checked *config.Checked) *x509.CertPool {
	var pool *x509.CertPool
	add := func(authorities *config.Bundle) {
		if pool == nil {
			pool = x509.NewCertPool()
		}
		for _, certificate := range authorities.Certificates {
			pool.AddCert(certificate)
		}
	}
	if checked.ClientCertificate != nil {
		add(&checked.ClientCertificate.Authorities)
	}
	if checked.Issuer != nil {
		add(&config.Bundle{Certificates: []*x509.Certificate{checked.Issuer.Root.Certificate}})
	}
	if checked.Listen.Balancers.CertificateAuthorities != nil {
		add(checked.Listen.Balancers.CertificateAuthorities)
	}
	if checked.ProxyHeader != nil {
		add(&checked.ProxyHeader.Authorities)
	}
	return pool
}

// usesOf is the count that a generation goes on with.
func usesOf(previous *generation) *policy.Uses {
	if previous == nil {
		return new(policy.Uses)
	}
	return previous.uses
}

// groupRules turns the written rules into policy's.
func groupRules(written []config.GroupRule) []policy.GroupRule {
	rules := make([]policy.GroupRule, 0, len(written))
	for _, rule := range written {
		rules = append(rules, policy.GroupRule{
			Name: rule.Name, Users: rule.Match.Users, Groups: rule.Match.Groups, Mechanisms: rule.Match.Mechanisms, Clusters: rule.Match.Clusters,
			Remove: rule.Remove, Rename: rule.Rename, Add: rule.Add,
		})
	}
	return rules
}

// ready returns an error while a mechanism cannot judge yet.
func (g *generation) ready() error {
	var errs []error
	if g.jwt != nil {
		if err := g.jwt.Ready(); err != nil {
			errs = append(errs, fmt.Errorf("jwt: %w", err))
		}
	}
	return errors.Join(append(errs, g.clustersReady())...)
}

// clustersReady returns nil if the own tokens of at least one cluster can be judged, and all errors otherwise: a cluster that
// is down does not take the others' callers away.
func (g *generation) clustersReady() error {
	var errs []error
	for _, cluster := range g.clusters {
		err := cluster.ready()
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("cluster %s: %w", cluster.gateway.Name, err))
	}
	return errors.Join(errs...)
}

// expirations lists the gate's own certificates and when they expire.
func (g *generation) expirations() map[string]time.Time {
	at := map[string]time.Time{"server": g.checked.Listen.TLS.Certificate.Leaf.NotAfter}
	if admin := g.checked.Admin; admin != nil && admin.TLS != nil {
		at["admin"] = admin.TLS.Certificate.Leaf.NotAfter
	}
	if asked := g.checked.TokenReview; asked != nil {
		at["tokenReview"] = asked.TLS.Certificate.Leaf.NotAfter
	}
	for _, cluster := range g.checked.Clusters {
		if cluster.RequestHeader != nil {
			at["cluster/"+cluster.Name] = cluster.RequestHeader.Certificate.Leaf.NotAfter
		}
	}
	return at
}

// close lets go of the parts that next did not take over; next may be nil. Requests under way may still use them, so
// nothing is cut: connections end when they become idle.
func (g *generation) close(next *generation) {
	if g.jwt != nil && (next == nil || next.jwt != g.jwt) {
		g.jwt.Close()
	}
	if g.webhook != nil && (next == nil || next.webhook != g.webhook) {
		g.webhook.Close()
	}
	kept := make(map[*upstream]bool)
	if next != nil {
		for _, cluster := range next.clusters {
			kept[cluster] = true
		}
	}
	for _, cluster := range g.clusters {
		if !kept[cluster] {
			cluster.close()
		}
	}
}

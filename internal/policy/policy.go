package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/memo"
)

// Config is what a Policy is made of. The zero value admits nobody.
type Config struct {
	// Mechanisms holds the rules of every mechanism that is on. Credentials of all others are refused.
	Mechanisms map[identity.Mechanism]MechanismRules
	// GroupRules are applied in order, each to what the one before left.
	GroupRules []GroupRule
	// Uses are those counted so far; nil starts anew.
	Uses *Uses
	// Ledger knows which credentials are shut out; nil knows none.
	Ledger Ledger
}

// Ledger says whether a credential is shut out. An error refuses it; one that is an authn.Refusal names its own reason.
type Ledger interface {
	Judge(r *authn.Request, cred *authn.Credential) error
}

// MechanismRules restricts what one mechanism may bring in. The zero value has no restriction but the one on names:
// none that belongs to Kubernetes is taken.
type MechanismRules struct {
	// AllowedNetworks are those from which the mechanism's credentials are taken (G-20); none means from anywhere. IPv4
	// addresses match IPv4 prefixes, also where they arrive in IPv6 form; "::/0" holds no IPv4 address.
	AllowedNetworks []netip.Prefix
	// MaxLifetime bounds NotAfter - NotBefore (G-06, G-27); a credential that lacks either is refused. 0 means no bound.
	MaxLifetime time.Duration
	// AllowedSystemNames are user and group names starting with "system:" that the mechanism may carry; all others are
	// refused. A trailing "*" stands for any ending. Names that a mechanism exists for need not be listed: those of
	// anonymous callers, ServiceAccounts and bootstrap tokens.
	AllowedSystemNames []string
	// Requests are all that the mechanism's credentials may be used for (G-16); nil means everything.
	Requests []RequestRule
	// MaxUses bounds how often a credential may be used to ask for a certificate (G-18), where Requests is set; 0 means
	// no bound.
	MaxUses int
}

// Policy judges accepted credentials. The zero value admits nobody. It never changes and is safe for concurrent use.
// Make one with New.
type Policy struct {
	mechanisms map[identity.Mechanism]*mechanismRules
	rules      []groupRule
	// byCluster says that the rules ask for the cluster, so that verdicts differ from one to the other.
	byCluster bool
	uses      *Uses
	ledger    Ledger
	verdicts  *memo.Memo[verdictKey, verdict]
}

// mechanismRules is MechanismRules, checked.
type mechanismRules struct {
	networks    []netip.Prefix
	maxLifetime time.Duration
	systemNames []pattern
	requests    []RequestRule
	maxUses     int
}

// verdictKey is what a verdict depends on.
type verdictKey struct {
	credential *authn.Credential
	cluster    string // empty where verdicts do not depend on it
}

// verdict is what Admit answers about a credential apart from network and expiry. Exactly one of the two is set.
type verdict struct {
	admitted *identity.Identity
	refused  *Refusal
}

// New checks config and makes a Policy of it. The error names every mistake.
func New(config Config) (*Policy, error) {
	p := &Policy{
		mechanisms: make(map[identity.Mechanism]*mechanismRules, len(config.Mechanisms)),
		verdicts:   memo.New[verdictKey, verdict](),
		uses:       config.Uses,
		ledger:     config.Ledger,
	}
	if p.uses == nil {
		p.uses = new(Uses)
	}
	var mistakes []error
	for mechanism, rules := range config.Mechanisms {
		checked, err := checkMechanism(mechanism, rules)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("mechanism %q: %w", mechanism, err))
			continue
		}
		p.mechanisms[mechanism] = checked
	}
	slices.SortFunc(mistakes, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) }) // maps have no order
	names := make(map[string]bool, len(config.GroupRules))
	for i, rule := range config.GroupRules {
		checked, err := checkGroupRule(rule)
		if err == nil && names[rule.Name] {
			err = errors.New("there is another rule of this name")
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("group rule %d %q: %w", i, rule.Name, err))
			continue
		}
		names[rule.Name] = true
		p.rules = append(p.rules, checked)
		p.byCluster = p.byCluster || len(checked.clusters) > 0
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	return p, nil
}

// Admit judges a credential that its mechanism accepted for r. It returns the identity to hand on, which is shared
// between requests and must not be changed, or a *Refusal, which wraps ErrUnknownMechanism, ErrNetwork, ErrExpired,
// ErrLifetime, ErrReservedName or ErrUnforwardable, or the ledger's error. A refusal ends the request: no other mechanism is asked.
//
// For a credential seen before, it does not allocate.
func (p *Policy) Admit(r *authn.Request, cred *authn.Credential) (*identity.Identity, error) {
	if p == nil || r == nil || cred == nil {
		return nil, &Refusal{Reason: ReasonUnknownMechanism, Detail: "there is no credential or no policy to judge it by"}
	}
	rules, known := p.mechanisms[cred.Mechanism]
	if !known {
		return nil, &Refusal{Reason: ReasonUnknownMechanism, Detail: fmt.Sprintf("no rules exist for mechanism %q", cred.Mechanism)}
	}
	if !rules.allowsSource(r.Source) {
		return nil, &Refusal{Reason: ReasonNetwork, Detail: fmt.Sprintf("%s is not in a network that mechanism %q is allowed from", r.Source, cred.Mechanism)}
	}
	basis := rules
	if cred.Basis != nil {
		// What it was exchanged for may come from here, too; and its mechanism must still be on.
		if basis, known = p.mechanisms[cred.Basis.Mechanism]; !known {
			return nil, &Refusal{Reason: ReasonUnknownMechanism, Detail: fmt.Sprintf("it rests on a credential of mechanism %q, for which no rules exist", cred.Basis.Mechanism)}
		}
		if !basis.allowsSource(r.Source) {
			return nil, &Refusal{Reason: ReasonNetwork, Detail: fmt.Sprintf("%s is not in a network that mechanism %q is allowed from, on which the credential rests", r.Source, cred.Basis.Mechanism)}
		}
	}
	// Not to be remembered: it depends on the time. NotBefore is not asked, as for a token it is when the token was
	// issued, which Kubernetes does not compare with the clock; where it matters, the mechanism has compared it.
	if !cred.NotAfter.IsZero() && (r.Now.IsZero() || r.Now.After(cred.NotAfter.Add(cred.Leeway))) {
		return nil, &Refusal{Reason: ReasonExpired, Detail: "the credential expired at " + cred.NotAfter.UTC().Format(time.RFC3339)}
	}
	if p.ledger != nil {
		if err := p.ledger.Judge(r, cred); err != nil {
			return nil, err
		}
	}
	found := p.verdict(r.Cluster, cred, rules, basis)
	if found.refused != nil {
		return nil, found.refused
	}
	return found.admitted, nil
}

// verdict gives the remembered verdict on a credential, or comes to one.
func (p *Policy) verdict(cluster string, cred *authn.Credential, rules, basis *mechanismRules) verdict {
	key := verdictKey{credential: cred}
	if p.byCluster {
		key.cluster = cluster
	}
	if found, ok := p.verdicts.Get(key); ok {
		return found
	}
	admitted, refused := p.judge(cluster, cred, rules, basis)
	found := verdict{admitted: admitted, refused: refused}
	p.verdicts.Put(key, found)
	return found
}

// judge is the part of Admit that depends on nothing but the credential, the policy and the cluster. Names and groups are
// judged as those of the mechanism that the credential rests on: its rules are basis.
func (p *Policy) judge(cluster string, cred *authn.Credential, rules, basis *mechanismRules) (*identity.Identity, *Refusal) {
	named := cred.Mechanism
	if cred.Basis != nil {
		named = cred.Basis.Mechanism
	}
	if refused := rules.refuseLifetime(cred); refused != nil {
		return nil, refused
	}
	if refused := basis.refuseReserved(cred, named); refused != nil {
		return nil, refused
	}
	// From here on a copy is worked on. Its groups are its own; its extras are shared until something is dropped.
	id := cred.Identity
	id.Groups = withoutEmpty(cred.Identity.Groups)
	id.Extra = withoutEmptyKeys(cred.Identity.Extra)
	for i := range p.rules {
		p.rules[i].apply(&id, named, cluster)
	}
	if refused := refuseUnforwardable(&id); refused != nil {
		return nil, refused
	}
	id.AddAuthenticated()
	return &id, nil
}

func checkMechanism(mechanism identity.Mechanism, rules MechanismRules) (*mechanismRules, error) {
	var mistakes []error
	if !slices.Contains(identity.Mechanisms(), mechanism) {
		mistakes = append(mistakes, errors.New("there is no such mechanism"))
	}
	if rules.MaxLifetime < 0 {
		mistakes = append(mistakes, fmt.Errorf("the longest lifetime %s is negative", rules.MaxLifetime))
	}
	checked := &mechanismRules{maxLifetime: rules.MaxLifetime, requests: rules.Requests, maxUses: rules.MaxUses}
	for _, network := range rules.AllowedNetworks {
		plain, err := plainPrefix(network)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		checked.networks = append(checked.networks, plain)
	}
	for _, name := range rules.AllowedSystemNames {
		parsed, err := parsePattern(name)
		if err == nil && !isReserved(parsed.text) {
			err = fmt.Errorf("%q does not start with %q: all other names are allowed anyway", name, identity.ReservedPrefix)
		}
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		checked.systemNames = append(checked.systemNames, parsed)
	}
	return checked, errors.Join(mistakes...)
}

// refuseLifetime refuses a credential that was issued for longer than is allowed. One that does not say for how long
// counts as issued for ever, and so does one whose end is not after its start.
func (m *mechanismRules) refuseLifetime(cred *authn.Credential) *Refusal {
	if m.maxLifetime == 0 {
		return nil
	}
	if cred.NotBefore.IsZero() || cred.NotAfter.IsZero() {
		return &Refusal{Reason: ReasonLifetime, Detail: fmt.Sprintf("the credential does not state its lifetime, which may be %s at most", m.maxLifetime)}
	}
	if lifetime := cred.NotAfter.Sub(cred.NotBefore); lifetime <= 0 || lifetime > m.maxLifetime {
		return &Refusal{Reason: ReasonLifetime, Detail: fmt.Sprintf("the credential was issued for %s, allowed are %s", lifetime, m.maxLifetime)}
	}
	return nil
}

package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

// pattern matches names: one exactly, or all that start alike. Case matters, as it does to Kubernetes.
type pattern struct {
	text   string
	prefix bool
}

// parsePattern reads a name, or the start of one followed by "*".
func parsePattern(s string) (pattern, error) {
	if s == "" {
		return pattern{}, errors.New(`a name is empty: write a name, or "*" for all`)
	}
	text, prefix := strings.CutSuffix(s, "*")
	if strings.Contains(text, "*") {
		return pattern{}, fmt.Errorf(`%q has a "*" that is not its last character: only the ending can be left open`, s)
	}
	return pattern{text: text, prefix: prefix}, nil
}

func parsePatterns(list []string) ([]pattern, error) {
	var parsed []pattern
	var mistakes []error
	for _, s := range list {
		one, err := parsePattern(s)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		parsed = append(parsed, one)
	}
	return parsed, errors.Join(mistakes...)
}

func (p pattern) matches(name string) bool {
	if p.prefix {
		return strings.HasPrefix(name, p.text)
	}
	return name == p.text
}

func matchesAny(patterns []pattern, name string) bool {
	for _, p := range patterns {
		if p.matches(name) {
			return true
		}
	}
	return false
}

// isReserved reports whether a name is one of Kubernetes' own. "System:masters" is not: Kubernetes knows no such group.
func isReserved(name string) bool { return strings.HasPrefix(name, identity.ReservedPrefix) }

// refuseReserved refuses a credential that claims a name of Kubernetes' own which its mechanism may not carry: a
// provider's group "system:masters", a certificate for "system:node:x". It is judged before anything asks the cluster
// for rights, as the names themselves are rights.
func (m *mechanismRules) refuseReserved(cred *authn.Credential, mechanism identity.Mechanism) *Refusal {
	users, groups := ownNames(mechanism)
	if name := cred.Identity.Username; !m.mayCarry(name, users) {
		return &Refusal{Reason: ReasonReservedName, Detail: fmt.Sprintf("mechanism %q may not carry the user %s", mechanism, quote(name))}
	}
	for _, name := range cred.Identity.Groups {
		if !m.mayCarry(name, groups) {
			return &Refusal{Reason: ReasonReservedName, Detail: fmt.Sprintf("mechanism %q may not carry the group %s", mechanism, quote(name))}
		}
	}
	for key := range cred.Identity.Extra {
		if identity.IsOwnExtra(key) {
			return &Refusal{Reason: ReasonReservedName, Detail: fmt.Sprintf("mechanism %q may not carry the extra %s, which is Ostiary's own", mechanism, quote(key))}
		}
	}
	return nil
}

// mayCarry reports whether the mechanism may carry a name; own are those that it exists for.
func (m *mechanismRules) mayCarry(name string, own []pattern) bool {
	return !isReserved(name) || matchesAny(m.systemNames, name) || matchesAny(own, name)
}

// ownNames are the reserved names that a mechanism exists for: it gives no others, and nobody can choose them.
func ownNames(mechanism identity.Mechanism) (users, groups []pattern) {
	switch mechanism {
	case identity.AnonymousAccess: // ANON-1
		return []pattern{{text: identity.Anonymous}}, []pattern{{text: identity.GroupUnauthenticated}}
	case identity.ServiceAccount, identity.TokenRequest: // SAL-14, SAB-18
		return []pattern{{text: identity.ServiceAccountPrefix, prefix: true}},
			[]pattern{{text: identity.GroupServiceAccounts}, {text: identity.GroupServiceAccounts + ":", prefix: true}}
	case identity.BootstrapToken: // BOOT-10
		return []pattern{{text: identity.BootstrapPrefix, prefix: true}},
			[]pattern{{text: identity.GroupBootstrappers}, {text: identity.GroupBootstrappers + ":", prefix: true}}
	case identity.Webhook, identity.ProxyHeader:
		// An API server as the webhook, and a proxy that knows Kubernetes, name the group that everybody gets anyway.
		return nil, []pattern{{text: identity.GroupAuthenticated}}
	case identity.ClientCertificate, identity.StaticToken, identity.JWT, identity.IssuedCertificate, identity.IssuedToken:
	}
	return nil, nil
}

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
func (m *mechanismRules) refuseReserved(cred *authn.Credential) *Refusal {
	if name := cred.Identity.Username; !m.mayCarry(cred.Mechanism, name, identity.Anonymous) {
		return &Refusal{Reason: ReasonReservedName, Detail: fmt.Sprintf("mechanism %q may not carry the user %s", cred.Mechanism, quote(name))}
	}
	for _, name := range cred.Identity.Groups {
		if !m.mayCarry(cred.Mechanism, name, identity.GroupUnauthenticated) {
			return &Refusal{Reason: ReasonReservedName, Detail: fmt.Sprintf("mechanism %q may not carry the group %s", cred.Mechanism, quote(name))}
		}
	}
	return nil
}

// mayCarry reports whether the mechanism may carry a name; anonymousOwn is the one that the anonymous mechanism exists for.
func (m *mechanismRules) mayCarry(mechanism identity.Mechanism, name, anonymousOwn string) bool {
	return !isReserved(name) || matchesAny(m.systemNames, name) ||
		mechanism == identity.AnonymousAccess && name == anonymousOwn
}

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

// Call is what a request asks of a cluster.
type Call struct {
	// Verb as RBAC has it.
	Verb string
	// APIGroup, Resource (with its subresource after a slash), Namespace and Name; Resource is empty for a request that
	// is for no resource and known by its Path alone.
	APIGroup, Resource, Namespace, Name string
	// Path is the decoded path.
	Path string
	// Impersonates says that the caller wants to act as somebody else.
	Impersonates bool
}

// RequestRule is a set of calls. Within one list any entry may match, "*" stands for everything; an empty list of
// namespaces or names matches all.
type RequestRule struct {
	Verbs, APIGroups, Resources, Namespaces, Names []string
	// Paths of calls that are for no resource; a trailing "*" stands for any ending.
	Paths []string
}

func (r *RequestRule) matches(call *Call) bool {
	if !oneOf(r.Verbs, call.Verb) {
		return false
	}
	if call.Resource == "" {
		return slices.ContainsFunc(r.Paths, func(path string) bool {
			start, open := strings.CutSuffix(path, "*")
			return call.Path == path || open && strings.HasPrefix(call.Path, start)
		})
	}
	return oneOf(r.APIGroups, call.APIGroup) && oneOf(r.Resources, call.Resource) &&
		(len(r.Namespaces) == 0 || oneOf(r.Namespaces, call.Namespace)) && (len(r.Names) == 0 || oneOf(r.Names, call.Name))
}

func oneOf(list []string, word string) bool {
	return slices.Contains(list, word) || slices.Contains(list, "*")
}

// isUse reports whether a call uses a credential up: it asks for another one.
func (c *Call) isUse() bool {
	return c.Verb == "create" && c.APIGroup == "certificates.k8s.io" && c.Resource == "certificatesigningrequests"
}

// Uses counts how often credentials were used. It is safe for concurrent use and outlives a Policy, so that a changed
// configuration does not start the count anew. The zero value is ready.
type Uses struct {
	mu    sync.Mutex
	count map[identity.CredentialID]int
}

// take counts one more use, unless there were most already.
func (u *Uses) take(id identity.CredentialID, most int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.count[id] >= most {
		return false
	}
	if u.count == nil {
		u.count = make(map[identity.CredentialID]int)
	}
	u.count[id]++
	return true
}

// What a Refusal wraps.
var (
	ErrRequest = errors.New("the credential is not meant for this request")
	ErrUsedUp  = errors.New("the credential was used as often as it may be")
)

// The reasons of Confine.
const (
	ReasonRequest authn.Reason = "request_not_allowed"
	ReasonUsedUp  authn.Reason = "used_up"
)

// Confine judges whether an admitted credential may be used for a call (G-16), and counts uses where they are bounded
// (G-18). It returns a *Refusal, which wraps ErrRequest or ErrUsedUp. Credentials of mechanisms without such rules may be
// used for everything; it costs them a look into a map.
func (p *Policy) Confine(cred *authn.Credential, call *Call) error {
	rules, known := p.mechanisms[cred.Mechanism]
	if !known {
		return &Refusal{Reason: ReasonUnknownMechanism, Detail: fmt.Sprintf("no rules exist for mechanism %q", cred.Mechanism)}
	}
	if rules.requests == nil {
		return nil
	}
	if call.Impersonates {
		return &Refusal{Reason: ReasonRequest, Detail: fmt.Sprintf("mechanism %q may not act as somebody else", cred.Mechanism)}
	}
	if !slices.ContainsFunc(rules.requests, func(rule RequestRule) bool { return rule.matches(call) }) {
		return &Refusal{Reason: ReasonRequest, Detail: fmt.Sprintf("mechanism %q is not meant for %s %s", cred.Mechanism, quote(call.Verb), quote(call.Resource+call.path()))}
	}
	if rules.maxUses > 0 && call.isUse() && !p.uses.take(cred.ID, rules.maxUses) {
		return &Refusal{Reason: ReasonUsedUp, Detail: fmt.Sprintf("it was used %d times", rules.maxUses)}
	}
	return nil
}

// path is the path of a call that is for no resource.
func (c *Call) path() string {
	if c.Resource != "" {
		return ""
	}
	return c.Path
}

// Confines reports whether credentials of a mechanism may be used for some requests only. Such a credential must not be
// accepted where the request is not known.
func (p *Policy) Confines(mechanism identity.Mechanism) bool {
	rules, known := p.mechanisms[mechanism]
	return !known || rules.requests != nil
}

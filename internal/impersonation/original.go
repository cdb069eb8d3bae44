package impersonation

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/identity"
)

// The extras that tell the cluster's audit log who really called, when a caller acts as somebody else. They are lower
// case and domain-prefixed paths, as the constrained modes demand of a key (IMP-10); on the wire the slash is
// percent-encoded. Clients can't set them: Screen refuses every key of ReservedDomain.
const (
	// ReservedDomain is the domain whose extra keys are Ostiary's own, those of its subdomains included.
	ReservedDomain = "ostiary.dev"
	// OriginalUserExtra holds the caller's username.
	OriginalUserExtra = ReservedDomain + "/original-user"
	// OriginalUIDExtra holds the caller's uid, if there is one.
	OriginalUIDExtra = ReservedDomain + "/original-uid"
	// OriginalGroupsExtra holds the caller's groups, in order, without empty ones.
	OriginalGroupsExtra = ReservedDomain + "/original-groups"
	// OriginalCredentialExtra holds the id of the caller's credential, if his identity has one (X509-9, OIDC-17).
	OriginalCredentialExtra = ReservedDomain + "/original-credential-id"
)

// IsReserved reports whether an extra key belongs to Ostiary, in any letter case: whoever brings one along, a client or
// a mechanism, would forge what the audit log says.
func IsReserved(key string) bool {
	domain, _, _ := strings.Cut(key, "/")
	const n = len(ReservedDomain)
	if len(domain) < n || !strings.EqualFold(domain[len(domain)-n:], ReservedDomain) {
		return false
	}
	return len(domain) == n || domain[len(domain)-n-1] == '.'
}

// WithOriginal returns target with the extras that name requester as the one who really called. Of requester nothing
// else enters (IMP-4): his own extras, the credential id above all, would make the target look as if it had proved
// itself. Reserved extras that target brought along are dropped. When target is requester, nobody is impersonated and
// the result is target itself, or a copy without reserved extras. Neither argument is changed.
func WithOriginal(target, requester *identity.Identity) *identity.Identity {
	if target == requester {
		return withoutReserved(target)
	}
	result := &identity.Identity{Username: target.Username, UID: target.UID, Groups: slices.Clone(target.Groups)}
	result.Extra = make(map[string][]string, len(target.Extra)+4)
	for key, values := range target.Extra {
		if !IsReserved(key) {
			result.Extra[key] = slices.Clone(values)
		}
	}
	put := func(key string, values ...string) {
		if len(values) > 0 && values[0] != "" {
			result.Extra[key] = values
		}
	}
	put(OriginalUserExtra, requester.Username)
	put(OriginalUIDExtra, requester.UID)
	put(OriginalGroupsExtra, slices.DeleteFunc(slices.Clone(requester.Groups), func(group string) bool { return group == "" })...)
	put(OriginalCredentialExtra, slices.Clone(requester.Extra[identity.ExtraCredentialID])...)
	return result
}

// withoutReserved returns id, or a copy of it without reserved extras if it has any.
func withoutReserved(id *identity.Identity) *identity.Identity {
	for key := range id.Extra {
		if IsReserved(key) {
			clone := id.Clone()
			for key := range id.Extra {
				if IsReserved(key) {
					delete(clone.Extra, key)
				}
			}
			return clone
		}
	}
	return id
}

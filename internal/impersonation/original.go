package impersonation

import (
	"slices"

	"github.com/ostiary/ostiary/internal/identity"
)

// The extras that tell the cluster's audit log who really called, when a caller acts as somebody else. They are lower
// case and domain-prefixed paths, as the constrained modes demand of a key (IMP-10); on the wire the slash is
// percent-encoded. Clients can't set them: Screen refuses every key of identity.OwnDomain.
const (
	// OriginalUserExtra holds the caller's username.
	OriginalUserExtra = identity.OwnDomain + "/original-user"
	// OriginalUIDExtra holds the caller's uid, if there is one.
	OriginalUIDExtra = identity.OwnDomain + "/original-uid"
	// OriginalGroupsExtra holds the caller's groups, in order, without empty ones.
	OriginalGroupsExtra = identity.OwnDomain + "/original-groups"
	// OriginalCredentialExtra holds the id of the caller's credential, if his identity has one (X509-9, OIDC-17).
	OriginalCredentialExtra = identity.OwnDomain + "/original-credential-id"
)

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
		if !identity.IsOwnExtra(key) {
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
		if identity.IsOwnExtra(key) {
			clone := id.Clone()
			for key := range id.Extra {
				if identity.IsOwnExtra(key) {
					delete(clone.Extra, key)
				}
			}
			return clone
		}
	}
	return id
}

// Package identity holds the vocabulary that everything else speaks: who a caller is (Identity), by which credential
// (CredentialID) and by which mechanism (Mechanism). It imports the standard library only.
package identity

import (
	"slices"
	"strings"
)

// Reserved names that Kubernetes itself gives to callers, see GRP-1, GRP-2 and ANON-1.
const (
	Anonymous            = "system:anonymous"
	GroupAuthenticated   = "system:authenticated"
	GroupUnauthenticated = "system:unauthenticated"
	// ServiceAccountPrefix starts the user name of a ServiceAccount, GroupServiceAccounts holds all of them, and with
	// ":<namespace>" those of one namespace (SAL-14).
	ServiceAccountPrefix = "system:serviceaccount:"
	GroupServiceAccounts = "system:serviceaccounts"
	// BootstrapPrefix starts the user name of a bootstrap token, GroupBootstrappers holds all of them (BOOT-10).
	BootstrapPrefix    = "system:bootstrap:"
	GroupBootstrappers = "system:bootstrappers"
	// ReservedPrefix starts every user and group name that belongs to Kubernetes itself.
	ReservedPrefix = "system:"
	// ExtraCredentialID is the extra key under which Kubernetes reports the credential id (X509-9, OIDC-17).
	ExtraCredentialID = "authentication.kubernetes.io/credential-id"
	// OwnDomain is the domain whose extra keys are Ostiary's own, those of its subdomains included.
	OwnDomain = "ostiary.dev"
)

// IsOwnExtra reports whether an extra key belongs to Ostiary, in any letter case: whoever brings one along, a client or a
// mechanism, would forge what the audit log says.
func IsOwnExtra(key string) bool {
	domain, _, _ := strings.Cut(key, "/")
	const n = len(OwnDomain)
	if len(domain) < n || !strings.EqualFold(domain[len(domain)-n:], OwnDomain) {
		return false
	}
	return len(domain) == n || domain[len(domain)-n-1] == '.'
}

// Identity is who a caller is: the Kubernetes user.Info. The zero value names nobody; the gateway refuses to forward it.
//
// An Identity is shared between requests once a mechanism has returned it and must not be changed; use Clone first.
type Identity struct {
	// Username is never empty for an identity that may be forwarded.
	Username string
	// UID is empty where the mechanism knows none.
	UID string
	// Groups keep the mechanism's order; duplicates are allowed, as in Kubernetes.
	Groups []string
	// Extra maps a key to its ordered values. Keys are kept exactly as the mechanism produced them.
	Extra map[string][]string
}

// Clone returns a deep copy that may be changed freely.
func (id *Identity) Clone() *Identity {
	clone := &Identity{Username: id.Username, UID: id.UID, Groups: slices.Clone(id.Groups)}
	if id.Extra != nil {
		clone.Extra = make(map[string][]string, len(id.Extra))
		for key, values := range id.Extra {
			clone.Extra[key] = slices.Clone(values)
		}
	}
	return clone
}

// IsAnonymous reports whether Kubernetes treats the identity as one that nobody vouched for: such connections are
// closed after the answer on HTTP/2 (RESP-7).
func (id *Identity) IsAnonymous() bool {
	return id.Username == Anonymous || slices.Contains(id.Groups, GroupUnauthenticated)
}

// AddAuthenticated appends system:authenticated by Kubernetes' own rule (GRP-1 to GRP-3) and reports whether it did.
// It changes the receiver, which must not be shared yet.
func (id *Identity) AddAuthenticated() bool {
	if id.Username == Anonymous ||
		slices.Contains(id.Groups, GroupAuthenticated) || slices.Contains(id.Groups, GroupUnauthenticated) {
		return false
	}
	id.Groups = append(slices.Clip(id.Groups), GroupAuthenticated)
	return true
}

package anonymous

import (
	"context"
	"slices"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

// Mechanism is anonymous access. It is immutable and safe for concurrent use.
type Mechanism struct {
	paths      []string
	credential *authn.Credential
}

// New returns anonymous access to exactly these decoded URL paths, or to all if there are none.
func New(paths []string) *Mechanism {
	return &Mechanism{paths: slices.Clone(paths), credential: &authn.Credential{
		Mechanism: identity.AnonymousAccess,
		Identity: identity.Identity{
			Username: identity.Anonymous,
			Groups:   []string{identity.GroupUnauthenticated},
		},
	}}
}

// Authenticate accepts every request on an allowed path. Method and query do not matter; "/livez/" and "//livez" are
// not "/livez" (ANON-4).
func (m *Mechanism) Authenticate(_ context.Context, r *authn.Request) authn.Answer {
	if len(m.paths) > 0 && !slices.Contains(m.paths, r.Path) {
		return authn.None()
	}
	return authn.Accept(m.credential)
}

var _ authn.Mechanism = (*Mechanism)(nil)

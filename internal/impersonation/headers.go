package impersonation

import (
	"fmt"
	"slices"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/identityheader"
)

// Encode returns id as the headers of impersonation. It refuses an identity to which the cluster would add a group on
// its own (IMP-5): one with neither system:authenticated nor system:unauthenticated, and system:anonymous without the
// latter. Errors wrap identityheader.ErrInexpressible.
func Encode(id *identity.Identity) (*identityheader.Encoded, error) {
	encoded, err := identityheader.Encode(identityheader.Names{
		User: UserHeader, UID: UIDHeader, Group: GroupHeader, ExtraPrefix: ExtraHeaderPrefix,
	}, id)
	if err != nil {
		return nil, err
	}
	if slices.Contains(id.Groups, identity.GroupUnauthenticated) {
		return encoded, nil
	}
	if id.Username == identity.Anonymous {
		return nil, fmt.Errorf("%w: the API server would add the group %s, which the identity does not have",
			identityheader.ErrInexpressible, identity.GroupUnauthenticated)
	}
	if !slices.Contains(id.Groups, identity.GroupAuthenticated) {
		return nil, fmt.Errorf("%w: the API server would add the group %s, which the identity does not have",
			identityheader.ErrInexpressible, identity.GroupAuthenticated)
	}
	return encoded, nil
}

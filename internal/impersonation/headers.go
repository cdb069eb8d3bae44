package impersonation

import (
	"fmt"
	"net/http"
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

// Set strips every header of impersonation off h and sets those of id, or strips and returns an error as Encode does.
// The request must not be sent then: without these headers the API server would take it as the gate's own.
func Set(h http.Header, id *identity.Identity) error {
	Strip(h)
	encoded, err := Encode(id)
	if err != nil {
		return err
	}
	encoded.Set(h)
	return nil
}

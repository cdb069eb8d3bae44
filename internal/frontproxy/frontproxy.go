// Package frontproxy speaks for Ostiary as an authenticating proxy: it takes the X-Remote-* headers that a client sent
// away, in whatever spelling, and sets those of the identity that was decided (sections RH and GW).
//
// The API server believes these headers because of the front-proxy certificate alone, so one that slips through is any
// identity that its sender likes.
package frontproxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"golang.org/x/net/http/httpguts"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/identityheader"
)

// The headers by which kube-apiserver is usually configured to know a proxy's user (RH, table of flags).
const (
	UserHeader        = "X-Remote-User"
	UIDHeader         = "X-Remote-Uid"
	GroupHeader       = "X-Remote-Group"
	ExtraHeaderPrefix = "X-Remote-Extra-"
)

// The standard names as they are compared: lower case, '_' as '-'. The extra prefix goes without its last hyphen, so
// that no reader's idea of a separator matters.
const (
	comparedStart = "x-remote-"
	comparedUser  = "user"
	comparedUID   = "uid"
	comparedGroup = "group"
	comparedExtra = "extra"
)

// Encode returns id as front-proxy headers. It refuses what the API server would read as another identity: an empty
// group, which vanishes (RH-7), and groups with neither system:authenticated nor system:unauthenticated, to which it
// would add (GRP-2, GW-3). Errors wrap identityheader.ErrInexpressible.
func Encode(id *identity.Identity) (*identityheader.Encoded, error) {
	encoded, err := identityheader.Encode(identityheader.Names{
		User: UserHeader, UID: UIDHeader, Group: GroupHeader, ExtraPrefix: ExtraHeaderPrefix,
	}, id)
	if err != nil {
		return nil, err
	}
	if slices.Contains(id.Groups, "") {
		return nil, fmt.Errorf("%w: an empty group", identityheader.ErrInexpressible)
	}
	if id.Username != identity.Anonymous &&
		!slices.Contains(id.Groups, identity.GroupAuthenticated) && !slices.Contains(id.Groups, identity.GroupUnauthenticated) {
		return nil, fmt.Errorf("%w: the API server would add the group %s, which the identity does not have",
			identityheader.ErrInexpressible, identity.GroupAuthenticated)
	}
	return encoded, nil
}

// Strip removes every header that IsIdentityHeader names. It does not allocate.
func Strip(h http.Header) {
	for name := range h {
		if IsIdentityHeader(name) {
			delete(h, name) // by the raw key: a name that is not canonical would escape Del
		}
	}
}

// IsIdentityHeader reports whether name is a standard front-proxy header in any spelling: any case, '_' for '-', and
// for extras any ending.
func IsIdentityHeader(name string) bool {
	if len(name) < len(comparedStart) || name[0]|0x20 != 'x' || !same(name[:len(comparedStart)], comparedStart) {
		return false
	}
	name = name[len(comparedStart):]
	return same(name, comparedUser) || same(name, comparedUID) || same(name, comparedGroup) ||
		len(name) >= len(comparedExtra) && same(name[:len(comparedExtra)], comparedExtra)
}

// same reports whether name is compared, which is lower case and has '-' only.
func same(name, compared string) bool {
	if len(name) != len(compared) {
		return false
	}
	for i := range len(name) {
		if fold(name[i]) != compared[i] {
			return false
		}
	}
	return true
}

// fold brings an ASCII letter to lower case and '_' to '-', which gateway interfaces such as CGI and WSGI confuse.
func fold(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	case c == '_':
		return '-'
	default:
		return c
	}
}

// Stripper strips the standard headers and others, for API servers that are configured with names of their own: the
// standard names are stripped even then (HDR-2). A nil one, and the zero value, strips the standard ones alone. It is
// immutable.
type Stripper struct{ names, prefixes []string }

// NewStripper returns a Stripper that also knows the given header names and prefixes, as in kube-apiserver's
// --requestheader-* flags. It fails on what can't be a header name, a blank one above all (RH-13).
func NewStripper(names, prefixes []string) (*Stripper, error) {
	var problems []error
	compare := func(given []string) []string {
		compared := make([]string, 0, len(given))
		for _, name := range given {
			if !httpguts.ValidHeaderFieldName(name) {
				problems = append(problems, fmt.Errorf("frontproxy: %q cannot be a header name; correct or remove it", name))
				continue
			}
			folded := []byte(name)
			for i, c := range folded {
				folded[i] = fold(c)
			}
			compared = append(compared, string(folded))
		}
		return compared
	}
	s := &Stripper{names: compare(names), prefixes: compare(prefixes)}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return s, nil
}

// IsIdentityHeader reports whether name is one of the headers to strip, in any spelling.
func (s *Stripper) IsIdentityHeader(name string) bool {
	return IsIdentityHeader(name) || s != nil && (slices.ContainsFunc(s.names, func(compared string) bool { return same(name, compared) }) ||
		slices.ContainsFunc(s.prefixes, func(compared string) bool {
			return len(name) >= len(compared) && same(name[:len(compared)], compared)
		}))
}

// Strip removes every header that IsIdentityHeader names.
func (s *Stripper) Strip(h http.Header) { s.Take(h) }

// Take removes every header that IsIdentityHeader names, and returns what it removed, nil if nothing: for the mechanism
// that may believe it under a certificate. It does not allocate where there is nothing to remove.
func (s *Stripper) Take(h http.Header) (taken http.Header) {
	for name, values := range h {
		if !s.IsIdentityHeader(name) {
			continue
		}
		if taken == nil {
			taken = make(http.Header)
		}
		taken[name] = values
		delete(h, name) // by the raw key: a name that is not canonical would escape Del
	}
	return taken
}

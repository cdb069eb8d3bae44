package impersonation

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/identityheader"
)

// The headers of impersonation (IMP-1), in canonical form.
const (
	UserHeader        = "Impersonate-User"
	UIDHeader         = "Impersonate-Uid"
	GroupHeader       = "Impersonate-Group"
	ExtraHeaderPrefix = "Impersonate-Extra-"
)

// comparedStart starts every header of impersonation, known or not, in lower case. It has no hyphen, so a name that
// spells it '_' or leaves it out is one too.
const comparedStart = "impersonate"

// maxQuotedBytes bounds what an error repeats of a header name.
const maxQuotedBytes = 100

// Screen refuses requests whose Impersonate-* headers leave room for two readings. It is stricter than Kubernetes and
// meant for every request in both identity modes, before anything else reads the headers:
//
//   - a header that starts with "Impersonate" in any spelling and is none of the four known ones, each in canonical
//     form: it may be one that a newer API server honours, as Impersonate-Uid once was;
//   - more than one user or uid, of which Kubernetes reads the first (IMP-1), and an empty user, which Kubernetes takes
//     for no impersonation at all (IMP-2);
//   - group, uid or extra without a user (IMP-2);
//   - extra keys that are empty, do not percent-decode (Kubernetes takes them raw), decode to anything but a lower-case
//     token with '/' and ':', were spelled in two ways in one request (their order would be open), or belong to Ostiary;
//   - values with control characters, with blanks at their ends, or that are not UTF-8.
//
// The error is a *apierrors.StatusError: 400 BadRequest. A request without such headers costs one look at each name and
// no allocation.
func Screen(h http.Header) error {
	for name := range h {
		if isImpersonation(name) {
			if err := screen(h); err != nil {
				return apierrors.NewBadRequest("impersonation refused: " + err.Error())
			}
			return nil
		}
	}
	return nil
}

// IsRequested reports whether a request asks to act as somebody else, in whatever spelling.
func IsRequested(h http.Header) bool {
	for name := range h {
		if isImpersonation(name) {
			return true
		}
	}
	return false
}

// isImpersonation reports whether name starts with comparedStart in any case.
func isImpersonation(name string) bool {
	return len(name) >= len(comparedStart) && name[0]|0x20 == 'i' && strings.EqualFold(name[:len(comparedStart)], comparedStart)
}

// Strip removes every header that starts with "Impersonate" in any spelling. It does not allocate.
func Strip(h http.Header) {
	for name := range h {
		if isImpersonation(name) {
			delete(h, name) // by the raw key: a name that is not canonical would escape Del
		}
	}
}

// screen is Screen for a request that has such headers.
func screen(h http.Header) error {
	spelledAs := make(map[string]string)
	for _, name := range slices.Sorted(names(h)) { // sorted, so that the same request gets the same answer
		var err error
		switch key, isExtra := strings.CutPrefix(name, ExtraHeaderPrefix); {
		case name == UserHeader || name == UIDHeader:
			err = screenSingle(h[name])
		case name == GroupHeader:
			err = screenValues(h[name])
		case isExtra:
			err = screenExtra(name, key, h[name], spelledAs)
		default:
			err = errors.New("is not known; kubectl sends Impersonate-User, -Uid, -Group and -Extra-<key>")
		}
		if err != nil {
			return fmt.Errorf("header %s %w", quote(name), err)
		}
	}
	if _, ok := h[UserHeader]; !ok {
		return errors.New("uid, groups or extras were asked for without a user; add " + UserHeader)
	}
	return nil
}

// names yields the names of h that belong to impersonation.
func names(h http.Header) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range h {
			if isImpersonation(name) && !yield(name) {
				return
			}
		}
	}
}

// screenSingle judges a header that has exactly one value, and not an empty one.
func screenSingle(values []string) error {
	if len(values) != 1 {
		return fmt.Errorf("has %d values where it may have one", len(values))
	}
	if values[0] == "" {
		return errors.New("is empty; leave it out to act as yourself")
	}
	return screenValues(values)
}

// screenValues judges what values contain.
func screenValues(values []string) error {
	for _, value := range values {
		if err := identityheader.CheckValue(value); err != nil {
			return fmt.Errorf("has a value that %w", err)
		}
	}
	return nil
}

// screenExtra judges an extra. spelledAs remembers which header name stood for a decoded key.
func screenExtra(name, escaped string, values []string, spelledAs map[string]string) error {
	if http.CanonicalHeaderKey(name) != name {
		return errors.New("is not in canonical form")
	}
	key, err := url.PathUnescape(strings.ToLower(escaped)) // in Kubernetes' order: RH-8
	switch {
	case err != nil:
		return errors.New("has a key that does not percent-decode; write a percent sign as %25")
	case key == "":
		return errors.New("has no key")
	case !plainKey(key):
		return fmt.Errorf("has a key that decodes to %s; keys consist of a-z, 0-9 and punctuation, without upper case, blanks, percent and control characters", quote(key))
	case identity.IsOwnExtra(key):
		return fmt.Errorf("has the key %s, which only the gate itself sets", quote(key))
	}
	if other, twice := spelledAs[key]; twice {
		return fmt.Errorf("means the same key as %s; spell a key in one way", quote(other))
	}
	spelledAs[key] = name
	return screenValues(values)
}

// plainKey reports whether a decoded key uses the narrow alphabet: what RFC 9110 section 5.6.2 allows in a token, in
// lower case, with '/' and ':' and without '%', which would let a second decoder see another key.
func plainKey(key string) bool {
	return !strings.ContainsFunc(key, func(c rune) bool {
		letterOrDigit := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		return !letterOrDigit && !strings.ContainsRune("!#$&'*+-.^_`|~/:", c)
	})
}

// quote makes a client's text fit for an error: quoted, and cut where it is long.
func quote(text string) string {
	if len(text) > maxQuotedBytes {
		return fmt.Sprintf("%q...", text[:maxQuotedBytes])
	}
	return fmt.Sprintf("%q", text)
}

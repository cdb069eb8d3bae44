// Package identityheader writes an identity as HTTP headers, in the two dialects that API servers read: those of an
// authenticating proxy (X-Remote-*, section RH) and those of impersonation (Impersonate-*, section IMP). The packages
// frontproxy and impersonation each own one dialect; what both have in common is here.
//
// A header can't carry everything that a token's claims can. What would arrive as somebody else, or as nobody, is
// refused before the wire (GW-4), so that a log line forged with a line feed or a name with a trailing blank ends here.
package identityheader

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/identity"
)

// ErrInexpressible is wrapped by all errors about identities that headers can't carry (GW-4).
var ErrInexpressible = errors.New("the identity cannot be handed on in headers")

// Names are the headers of a dialect, in canonical form. The zero value has none, and Encode refuses it.
type Names struct {
	User, UID, Group string
	// ExtraPrefix is followed by the escaped extra key.
	ExtraPrefix string
}

// Encoded is an identity as headers, ready to be set on any number of requests. It is immutable and safe for
// concurrent use. The zero value sets nothing, so that a request with it carries nobody.
type Encoded struct{ fields []field }

// field is one header. Its values have no spare capacity, so that appending to them never writes into shared memory.
type field struct {
	name   string
	values []string
}

// Encode returns id as headers of the dialect: the user, the uid if there is one, one value for each group and each
// extra value (GW-1), keys escaped by EscapeKey (GW-2). An extra key without values is left out: no header can say it,
// and no decision depends on it. The values are shared with id, which must not be changed afterwards. Errors wrap
// ErrInexpressible.
func Encode(names Names, id *identity.Identity) (*Encoded, error) {
	if names.User == "" || names.UID == "" || names.Group == "" || names.ExtraPrefix == "" {
		return nil, fmt.Errorf("%w: no header names", ErrInexpressible)
	}
	if id == nil || id.Username == "" {
		return nil, fmt.Errorf("%w: it has no username", ErrInexpressible)
	}
	if err := check(id); err != nil {
		return nil, err
	}
	fields := make([]field, 0, 3+len(id.Extra))
	single := []string{id.Username, id.UID}
	fields = append(fields, field{names.User, single[:1:1]})
	if id.UID != "" {
		fields = append(fields, field{names.UID, single[1:2:2]})
	}
	if len(id.Groups) > 0 {
		fields = append(fields, field{names.Group, slices.Clip(id.Groups)})
	}
	for key, values := range id.Extra {
		if len(values) > 0 {
			name := textproto.CanonicalMIMEHeaderKey(names.ExtraPrefix + EscapeKey(key))
			fields = append(fields, field{name, slices.Clip(values)})
		}
	}
	return &Encoded{fields}, nil
}

// Set puts the identity on h, in place of whatever values those headers had. Headers of the dialect that the identity
// does not have are not removed: strip them first. The values are shared: they must not be changed in place, which
// net/http never does.
func (e *Encoded) Set(h http.Header) {
	for _, f := range e.fields {
		h[f.name] = f.values
	}
}

// check refuses values that would not arrive as they are.
func check(id *identity.Identity) error {
	if err := CheckValue(id.Username); err != nil {
		return fmt.Errorf("%w: the username %w", ErrInexpressible, err)
	}
	if err := CheckValue(id.UID); err != nil {
		return fmt.Errorf("%w: the uid %w", ErrInexpressible, err)
	}
	for _, group := range id.Groups {
		if err := CheckValue(group); err != nil {
			return fmt.Errorf("%w: a group %w", ErrInexpressible, err)
		}
	}
	for key, values := range id.Extra {
		for _, value := range values {
			if err := CheckValue(value); err != nil {
				return fmt.Errorf("%w: a value of the extra %q %w", ErrInexpressible, key, err)
			}
		}
	}
	return nil
}

// The errors of CheckValue. They complete a sentence that starts with the thing, and quote nothing: the value may be
// long and may be meant for the log it ends in.
var (
	errBlank   = errors.New("starts or ends with a blank")
	errControl = errors.New("contains a control character")
	errUTF8    = errors.New("is not valid UTF-8")
)

// CheckValue reports why a header can't carry value unchanged and unambiguously: blanks at its ends are trimmed by
// HTTP/1.1 and not by HTTP/2, control characters are refused or changed on the way, and bytes that are not UTF-8 change
// when they are serialised (RH-12). The empty value is fine. It does not allocate for ASCII.
func CheckValue(value string) error {
	if value == "" {
		return nil
	}
	if value[0] == ' ' || value[len(value)-1] == ' ' {
		return errBlank
	}
	for i := range len(value) {
		switch c := value[i]; {
		case c >= utf8.RuneSelf:
			return checkUnicode(value[i:])
		case c < ' ' || c == 0x7f:
			return errControl
		}
	}
	return nil
}

// checkUnicode is CheckValue for what follows the first byte that is not ASCII.
func checkUnicode(value string) error {
	if !utf8.ValidString(value) {
		return errUTF8
	}
	if strings.ContainsFunc(value, unicode.IsControl) {
		return errControl
	}
	return nil
}

const upperHex = "0123456789ABCDEF"

// EscapeKey percent-encodes an extra key so that it is legal in a header name and comes back as it was (GW-2): every
// byte that RFC 9110 section 5.6.2 does not allow in a token, the percent sign itself, and upper-case letters, since
// the reader lower-cases the name before decoding it (RH-8, RH-9). Different keys have different escapes, also when
// compared without regard to case.
func EscapeKey(key string) string {
	escaped := 0
	for i := range len(key) {
		if !plain(key[i]) {
			escaped++
		}
	}
	if escaped == 0 {
		return key
	}
	var b strings.Builder
	b.Grow(len(key) + 2*escaped)
	for i := range len(key) {
		if c := key[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&0xf]})
		}
	}
	return b.String()
}

// plain reports whether c stands for itself in an escaped key.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$&'*+-.^_`|~", c) >= 0
}

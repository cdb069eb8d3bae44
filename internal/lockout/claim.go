package lockout

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/tokenstrength"
)

// Shape is what a token looks like, whether or not it is good. It is a closed list, for metrics.
type Shape string

// The shapes.
const (
	Bootstrap Shape = "bootstrap" // abcdef.0123456789abcdef (BOOT-1)
	JWS       Shape = "jws"       // three parts, signed (RFC 7515)
	Strong    Shape = "strong"    // anything else that holds strongBits of chance
	Weak      Shape = "weak"      // what a person could have thought up
)

// shapes lists them all.
func shapes() []Shape { return []Shape{Bootstrap, JWS, Strong, Weak} }

const (
	// strongBits is from where on guessing is hopeless at any rate (NIST SP 800-63B wants 112).
	strongBits = 128
	// maxRead bounds what is read of a token, as mechanisms do.
	maxRead = 64 << 10
	// signatureLength is the length of 128 bits in base64, below which no signature is.
	signatureLength = 22
	// maxID bounds an id that is taken over from a token; a longer one is known by its digest.
	maxID = 128
	// weakLength is up to which length no token holds strongBits: the estimate is 6.4 bits a character at the most.
	weakLength = 20
	// glance is how many characters are looked at first: those of 128 bits in hex. More cost more, and seldom say more.
	glance = 40
	// The parts of a bootstrap token (BOOT-1).
	bootstrapID, bootstrapLength = 6, 23
)

// Strong reports whether tokens of the shape are beyond guessing.
func (s Shape) Strong() bool { return s == JWS || s == Strong }

// formOf tells a token's shape as far as that costs nothing; plainForm is what is left to be estimated.
func formOf(token string) Shape {
	switch {
	case isBootstrap(token):
		return Bootstrap
	case len(token) > maxRead, len(token) <= weakLength:
		return Weak // no mechanism looks at the former
	case isJWS(token):
		return JWS
	default:
		return plainForm
	}
}

// plainForm is no shape: a token of this form is Strong or Weak.
const plainForm Shape = ""

// shapeOf tells a token's shape. The estimate takes some microseconds.
func shapeOf(token string) Shape {
	form := formOf(token)
	if form != plainForm {
		return form
	}
	// What is strong so far stays so, whatever follows.
	if tokenstrength.Bits(token[:min(len(token), glance)]) >= strongBits || len(token) > glance && tokenstrength.Bits(token) >= strongBits {
		return Strong
	}
	return Weak
}

func isBootstrap(token string) bool {
	if len(token) != bootstrapLength || token[bootstrapID] != '.' {
		return false
	}
	for i := range len(token) {
		if c := token[i]; i != bootstrapID && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// isJWS reports whether a token has three parts of which the last is long enough for a signature.
func isJWS(token string) bool {
	first := strings.IndexByte(token, '.')
	last := strings.LastIndexByte(token, '.')
	return first > 0 && first < last && strings.IndexByte(token[first+1:], '.') == last-first-1 && len(token)-last-1 >= signatureLength
}

// claimOf returns the id that a token claims to be of, in the form that credential ids have; empty if it claims none. It is
// anybody's word: nothing is verified yet. What is known of two tokens with one claim is that they are guesses at one secret.
func claimOf(token string, shape Shape) string {
	switch shape {
	case Bootstrap:
		return "BOOTSTRAP=" + token[:bootstrapID] // public: it stands in user names
	case JWS:
		return jwsClaim(token)
	case Strong, Weak, plainForm:
		return ""
	default:
		return ""
	}
}

// jwsClaim names a signed token by its issuer and jti, or by a digest of what is signed.
func jwsClaim(token string) string {
	signed := token[:strings.LastIndexByte(token, '.')]
	payload, err := base64.RawURLEncoding.DecodeString(signed[strings.IndexByte(signed, '.')+1:])
	if err == nil {
		var claims struct {
			ID     string `json:"jti"`
			Issuer string `json:"iss"`
		}
		if json.Unmarshal(payload, &claims) == nil && claims.ID != "" && plain(claims.ID) && plain(claims.Issuer) {
			return "JTI=" + claims.ID + " issuer=" + claims.Issuer
		}
	}
	digest := sha256.Sum256([]byte(signed))
	return "JWSSHA256=" + hex.EncodeToString(digest[:16])
}

// plain reports whether text from outside can stand in a log and on a terminal.
func plain(text string) bool {
	return len(text) <= maxID && utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

package statictoken

import (
	"strings"

	"github.com/ostiary/ostiary/internal/tokenstrength"
)

// The least a token must hold to be kept as a plain SHA-256 digest: whoever steals the file may try guesses as fast as
// his machines allow, and 128 bits are beyond all machines.
const minBits = 128

// remedy ends every refusal of a token.
const remedy = `: make a new token with "openssl rand -hex 32" and hand it to its user`

// weakness says why a token is too weak to be kept as a plain digest, as the end of a sentence that starts with "the
// token"; empty when it is not. The text does not depend on more of the token than the reason.
func weakness(token string) string {
	switch {
	case tokenstrength.Published(strings.TrimSpace(token)):
		return "is a sample that was published" + remedy
	case tokenstrength.IsUUID(token):
		return "is a UUID, which holds 122 random bits at most, and 128 are needed" + remedy
	case tokenstrength.Bits(token) < minBits:
		return "is estimated at fewer than 128 random bits" + remedy
	default:
		return ""
	}
}

package statictoken

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/ostiary/ostiary/internal/identity"
)

// A hashed token is written "sha256:<id>:<digest>": the credential id, and the SHA-256 digest of the token's bytes, both
// in lower-case hex. docs/adr says why there is neither salt nor a slow hash.
const (
	hashedPrefix = "sha256:"
	// idBytes: 64 random bits do not collide in a file of any size that is read.
	idBytes = 8
	// credentialPrefix starts the credential ids of this mechanism, in the form of Kubernetes' own X509SHA256=.
	credentialPrefix = "STATIC="
)

type digest = [sha256.Size]byte

// claimsHashed reports whether a token's column is meant as a hashed token. What only resembles the form counts as
// well: a hash with a slip of the pen must never become a token in clear text.
func claimsHashed(column string) bool {
	column = strings.TrimSpace(column)
	return len(column) >= len(hashedPrefix) && strings.EqualFold(column[:len(hashedPrefix)], hashedPrefix)
}

// parseHashed takes a hashed token apart. There is one way to write each.
func parseHashed(column string) (id string, sum digest, ok bool) {
	rest, found := strings.CutPrefix(column, hashedPrefix)
	if !found {
		return "", digest{}, false
	}
	id, sumText, found := strings.Cut(rest, ":")
	if !found || len(id) != hex.EncodedLen(idBytes) || len(sumText) != hex.EncodedLen(sha256.Size) ||
		!isLowerHex(id) || !isLowerHex(sumText) {
		return "", digest{}, false
	}
	if _, err := hex.Decode(sum[:], []byte(sumText)); err != nil {
		return "", digest{}, false
	}
	return id, sum, true
}

// formatHashed writes the hashed form of a token under id.
func formatHashed(id string, token string) string {
	sum := digestOf(token)
	return hashedPrefix + id + ":" + hex.EncodeToString(sum[:])
}

// newID makes the id of an entry. It is random, not derived from the token, because ids stand in logs: a part of the
// token or of its digest would let a reader of the logs check guesses.
func newID() string {
	var id [idBytes]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(id[:])
}

// hashedCredentialID names a hashed entry.
func hashedCredentialID(id string) identity.CredentialID {
	return identity.CredentialID{Value: credentialPrefix + id}
}

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

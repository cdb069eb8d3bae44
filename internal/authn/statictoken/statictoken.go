package statictoken

import (
	"context"
	"crypto/sha256"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/secret"
)

// Mechanism accepts the tokens of one Table. The zero value knows no token. It never changes and is safe for
// concurrent use.
type Mechanism struct {
	table *Table
}

// New makes a Mechanism of a parsed file. A nil table holds no entries.
func New(table *Table) *Mechanism { return &Mechanism{table: table} }

// AuthenticateToken accepts a token that is in the file, byte for byte, and answers "no credential of mine" for every
// other (FILE-4), so that the mechanisms after it are asked. It does not allocate for tokens of up to stackBytes.
// Audiences are left to the chain (AUD-2).
//
// The table is keyed by the token's SHA-256 digest, and the map's comparison of digests is not constant in time. That
// leaks nothing of use: an attacker who learns how many bits of a digest his guess shares has to find another token
// whose digest shares more, which is a search for a preimage and tells nothing of how to choose the next guess.
func (m *Mechanism) AuthenticateToken(_ context.Context, _ *authn.Request, token secret.String) authn.Answer {
	if m == nil || m.table == nil || token.IsEmpty() {
		return authn.None()
	}
	credential, known := m.table.byDigest[digestOf(token.Reveal())]
	if !known {
		return authn.None()
	}
	return authn.Accept(credential)
}

// stackBytes is the longest token that is hashed without an allocation: every bearer token passes here first, JWTs of a
// kilobyte and more included.
const stackBytes = 2048

// digestOf hashes a token. Converting a string of this length to bytes allocates, copying it onto the stack does not.
func digestOf(token string) digest {
	var stack [stackBytes]byte
	return sha256.Sum256(append(stack[:0], token...))
}

var _ authn.TokenMechanism = (*Mechanism)(nil)

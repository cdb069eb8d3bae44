package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

const (
	// clearTextPrefix keeps the ids of clear-text entries of a token file apart from those of hashed ones.
	clearTextPrefix = "STATIC=cleartext-"
	// clearTextBytes: 64 bits of a digest do not collide in a file of any size that is read.
	clearTextBytes = 8
)

// ClearTextTokenID names the count-th clear-text entry of a user in a static token file, counted from 1. The file holds no
// better name: anything made of the token would help to guess it. The user's name goes in as a digest, as it may hold
// anything. Whoever reads the same file finds the same id, without the gate.
func ClearTextTokenID(username string, count int) CredentialID {
	input := binary.BigEndian.AppendUint64(nil, uint64(len(username)))
	input = append(input, username...)
	input = strconv.AppendInt(input, int64(count), 10)
	sum := sha256.Sum256(input)
	return CredentialID{Value: clearTextPrefix + hex.EncodeToString(sum[:clearTextBytes])}
}

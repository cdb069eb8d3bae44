package ledger

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/identity"
)

// Kind says what a Target names. The zero value names nothing and is refused.
type Kind string

// The kinds of targets.
const (
	// OneCredential is one credential, by its id and the issuer that scopes it.
	OneCredential Kind = "credential"
	// OneCertificate is one certificate, by serial number and the name of its issuer, as a CRL has it.
	OneCertificate Kind = "certificate"
	// User is a person or a ServiceAccount, by user name.
	User Kind = "user"
	// Issuer is whoever made credentials: a CA by the digest of its key, an OIDC provider or a cluster by its URL.
	Issuer Kind = "issuer"
	// AllOfMechanism is a whole mechanism (the kill switch).
	AllOfMechanism Kind = "mechanism"
)

// Target is what a revocation shuts out.
type Target struct {
	Kind Kind `json:"kind"`
	// Name is the credential's id, the serial number in lower-case hex, the user name, the issuer or the mechanism.
	Name string `json:"name"`
	// Issuer scopes a credential's id where it is unique only there; for a certificate it is the issuer's distinguished
	// name (RFC 2253 form). Empty for all others.
	Issuer string `json:"issuer,omitempty"`
}

// Scope says which of a target's credentials are shut out. The zero value is Always: the wider one.
type Scope string

const (
	// Always shuts out all there are and all to come.
	Always Scope = ""
	// SoFar shuts out those that exist by now; what is issued later counts.
	SoFar Scope = "soFar"
)

// Actor is who did something to the ledger.
type Actor struct {
	Username     string `json:"username"`
	Mechanism    string `json:"mechanism,omitempty"`
	CredentialID string `json:"credentialID,omitempty"`
	Source       string `json:"source,omitempty"`
}

// Revocation shuts a target out. Name, Created and Index are given by Revoke.
type Revocation struct {
	Name   string `json:"-"`
	Target Target `json:"target"`
	Scope  Scope  `json:"scope,omitempty"`
	// IssuedFrom and IssuedUntil narrow it to credentials that say they were issued in that time, both included; zero is
	// open. A credential that does not say when it was issued is in it.
	IssuedFrom  time.Time `json:"issuedFrom,omitzero"`
	IssuedUntil time.Time `json:"issuedUntil,omitzero"`
	// Until is when it ends by itself; zero is never.
	Until time.Time `json:"until,omitzero"`
	// Reason is a person's, for those who read the record. Required.
	Reason string `json:"reason"`
	Actor  Actor  `json:"actor"`
	// Created is when, by the clock of the replica that took it.
	Created time.Time `json:"created"`
	// Index is where in the ledger's order it stands: entries up to it are older.
	Index uint64 `json:"index"`
	// Lifted says how it came to an end; nil while it stands.
	Lifted *Lift `json:"lifted,omitempty"`
}

// Lift is the end of a revocation.
type Lift struct {
	Reason string    `json:"reason"`
	Actor  Actor     `json:"actor"`
	At     time.Time `json:"at"`
}

// The bounds of what people write. They stop a record from growing without end.
const (
	maxReason = 1024
	maxName   = 4096 // a distinguished name with many attributes
)

// ErrInvalid is wrapped by all errors about a revocation that cannot be taken.
var ErrInvalid = errors.New("not a valid revocation")

// Check says what about r cannot be taken, at the time now.
func (r *Revocation) Check(now time.Time) error {
	if err := r.Target.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	switch {
	case r.Scope != Always && r.Scope != SoFar:
		return fmt.Errorf("%w: scope %q: want %q or none", ErrInvalid, r.Scope, SoFar)
	case r.Scope == SoFar && (r.Target.Kind == OneCredential || r.Target.Kind == OneCertificate):
		return fmt.Errorf("%w: scope %q has no meaning for a single credential", ErrInvalid, r.Scope)
	case !r.Until.IsZero() && !r.Until.After(now):
		return fmt.Errorf("%w: its end %s has passed", ErrInvalid, r.Until.UTC().Format(time.RFC3339))
	case !r.IssuedFrom.IsZero() && !r.IssuedUntil.IsZero() && r.IssuedUntil.Before(r.IssuedFrom):
		return fmt.Errorf("%w: issuedUntil is before issuedFrom: nothing would be shut out", ErrInvalid)
	}
	return checkReason(r.Reason)
}

// checkReason wants a reason that a log can show.
func checkReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return fmt.Errorf("%w: give a reason", ErrInvalid)
	case len(reason) > maxReason:
		return fmt.Errorf("%w: the reason is longer than %d bytes", ErrInvalid, maxReason)
	case !printable(reason):
		return fmt.Errorf("%w: the reason holds control characters or is not UTF-8", ErrInvalid)
	}
	return nil
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// check wants a target that can be found again: canonical, and complete for its kind.
func (t *Target) check() error {
	switch {
	case t.Name == "":
		return errors.New("the target has no name")
	case len(t.Name) > maxName || len(t.Issuer) > maxName:
		return fmt.Errorf("the target's name is longer than %d bytes", maxName)
	case !printable(t.Name) || !printable(t.Issuer):
		return errors.New("the target's name holds control characters or is not UTF-8")
	}
	switch t.Kind {
	case OneCredential:
		return nil
	case OneCertificate:
		if t.Issuer == "" {
			return errors.New("a serial number means nothing without the issuer's name")
		}
		if serial := strings.TrimLeft(t.Name, "0123456789abcdef"); serial != "" || len(t.Name) > 1 && t.Name[0] == '0' {
			return fmt.Errorf("serial number %q: want lower-case hex digits without leading zeros", t.Name)
		}
		return nil
	case AllOfMechanism:
		if !slices.Contains(identity.Mechanisms(), identity.Mechanism(t.Name)) {
			return fmt.Errorf("there is no mechanism %q", t.Name)
		}
	case User, Issuer:
	default:
		return fmt.Errorf("unknown kind of target %q", t.Kind)
	}
	if t.Issuer != "" {
		return fmt.Errorf("a target of kind %q has no issuer", t.Kind)
	}
	return nil
}

// digest names a credential in entries. Two credentials with one digest would need a collision of SHA-256 cut to 128 bits.
type digest [16]byte

// digestBytes is the length of a target that is digested without an allocation.
const digestBytes = 512

// digestOf digests the id of a credential, each part after its length, so that no two give the same input.
func digestOf(id, issuer string) digest {
	var stack [digestBytes]byte
	input := appendParts(stack[:0], string(OneCredential), id, issuer)
	sum := sha256.Sum256(input)
	return digest(sum[:len(digest{})])
}

// appendParts appends each part after its length.
func appendParts(to []byte, parts ...string) []byte {
	for _, part := range parts {
		to = append(binary.BigEndian.AppendUint32(to, uint32(len(part))), part...) //nolint:gosec // far below 4 GiB
	}
	return to
}

// newName makes the name of a revocation: short enough to be typed, and 50 random bits, for a record that is only written
// where there is none of that name.
func newName() string {
	return "r-" + strings.ToLower(rand.Text()[:10])
}

// isName reports whether text can be the name of a revocation.
func isName(text string) bool {
	rest, ok := strings.CutPrefix(text, "r-")
	return ok && len(rest) == 10 && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// Package secret holds bytes that never print: every formatting verb, JSON, text and slog show a fixed word instead.
// It imports the standard library only.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// redacted is what every way of printing a secret shows.
const redacted = "[redacted]"

// String is a secret text, such as a bearer token. The zero value is an empty secret, which equals nothing, not even
// another empty one. It is safe for concurrent use.
type String struct{ value string }

// New wraps value.
func New(value string) String { return String{value: value} }

// Reveal returns the text. Call it only where the secret is verified or sent to its one rightful receiver.
func (s String) Reveal() string { return s.value }

// IsEmpty reports whether there is no secret.
func (s String) IsEmpty() bool { return s.value == "" }

// SHA256 returns the digest of the secret's bytes.
func (s String) SHA256() [sha256.Size]byte { return sha256.Sum256([]byte(s.value)) }

// Equal compares in constant time for equal lengths. Empty secrets are never equal.
func (s String) Equal(other String) bool {
	return s.value != "" && subtle.ConstantTimeCompare([]byte(s.value), []byte(other.value)) == 1
}

// Format implements fmt.Formatter for all verbs, so that no verb reaches the value.
func (String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String implements fmt.Stringer.
func (String) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (String) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (String) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler; JSON and YAML use it as well.
func (String) MarshalText() ([]byte, error) { return []byte(redacted), nil }

var (
	_ fmt.Formatter  = String{}
	_ slog.LogValuer = String{}
)

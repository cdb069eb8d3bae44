package policy

import (
	"errors"
	"strconv"

	"github.com/ostiary/ostiary/internal/authn"
)

// What a Refusal wraps, for errors.Is.
var (
	ErrUnknownMechanism = errors.New("the mechanism is not known")
	ErrNetwork          = errors.New("the network is not allowed")
	ErrExpired          = errors.New("the credential has expired")
	ErrLifetime         = errors.New("the lifetime is longer than allowed")
	ErrReservedName     = errors.New("the credential carries a reserved name")
	ErrUnforwardable    = errors.New("the identity cannot be handed on")
)

// All reasons that a credential is refused for. The list is closed; logs and metrics spell them so.
const (
	ReasonUnknownMechanism authn.Reason = "unknown_mechanism"
	ReasonNetwork          authn.Reason = "network_not_allowed"
	ReasonExpired          authn.Reason = "credential_expired"
	ReasonLifetime         authn.Reason = "lifetime_exceeded"
	ReasonReservedName     authn.Reason = "reserved_name"
	ReasonUnforwardable    authn.Reason = "unforwardable_identity"
)

// Refusal says that a good credential was refused by policy. It may be shared between requests.
type Refusal struct {
	// Reason is one of the list above.
	Reason authn.Reason
	// Detail says what exactly, for the log and never for the client. Names in it are quoted.
	Detail string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Unwrap().Error() + ": " + r.Detail }

// Unwrap gives the sentinel that belongs to the reason.
func (r *Refusal) Unwrap() error {
	switch r.Reason {
	case ReasonNetwork:
		return ErrNetwork
	case ReasonExpired:
		return ErrExpired
	case ReasonLifetime:
		return ErrLifetime
	case ReasonReservedName:
		return ErrReservedName
	case ReasonUnforwardable:
		return ErrUnforwardable
	case ReasonRequest:
		return ErrRequest
	case ReasonUsedUp:
		return ErrUsedUp
	default:
		return ErrUnknownMechanism
	}
}

// RefusalReason implements authn.Refusal.
func (r *Refusal) RefusalReason() authn.Reason { return r.Reason }

var _ authn.Refusal = (*Refusal)(nil)

// maxQuoted bounds how much of a name goes into a Refusal. Names come from outside, and a header may hold a megabyte.
const maxQuoted = 256

// quote makes a name safe to be logged.
func quote(name string) string {
	if len(name) > maxQuoted {
		return strconv.Quote(name[:maxQuoted]) + "…"
	}
	return strconv.Quote(name)
}

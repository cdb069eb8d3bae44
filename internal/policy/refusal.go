package policy

import (
	"errors"
	"strconv"
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

// Reason says why a credential was refused, in the spelling of logs and metrics. The list is closed.
type Reason string

// All reasons.
const (
	ReasonUnknownMechanism Reason = "unknown_mechanism"
	ReasonNetwork          Reason = "network_not_allowed"
	ReasonExpired          Reason = "credential_expired"
	ReasonLifetime         Reason = "lifetime_exceeded"
	ReasonReservedName     Reason = "reserved_name"
	ReasonUnforwardable    Reason = "unforwardable_identity"
)

// Refusal says that a good credential was refused by policy. It may be shared between requests.
type Refusal struct {
	// Reason is one of the list above.
	Reason Reason
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
	default:
		return ErrUnknownMechanism
	}
}

// maxQuoted bounds how much of a name goes into a Refusal. Names come from outside, and a header may hold a megabyte.
const maxQuoted = 256

// quote makes a name safe to be logged.
func quote(name string) string {
	if len(name) > maxQuoted {
		return strconv.Quote(name[:maxQuoted]) + "…"
	}
	return strconv.Quote(name)
}

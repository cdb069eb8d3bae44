package authn

import (
	"context"
	"errors"
	"time"

	"github.com/ostiary/ostiary/internal/secret"
)

// Guard holds back who guesses tokens. The chain asks it before a token is judged and tells it how that ended, so that
// guesses which run side by side are counted before any of them is answered. It knows no mechanism. It is called
// concurrently.
type Guard interface {
	// Enter reports whether a token may be judged. An error ends the request; one that is a *LockedError says until when.
	Enter(ctx context.Context, r *Request, token secret.String) (Attempt, error)
	// Leave tells how it ended. It is called once after every Enter that gave no error.
	Leave(r *Request, token secret.String, attempt Attempt, ended Ending)
}

// Attempt is one token on its way through the mechanisms.
type Attempt struct {
	// Stranger says that nothing good is known of the token or of where it comes from: mechanisms leave room for others.
	Stranger bool
	// Held is the guard's own; nil where it has nothing to remember.
	Held any
}

// Ending says how an attempt ended. The zero value is a wrong guess.
type Ending struct {
	// Credential is the one that was proven, also where policy then refused it: whoever has the secret guesses nothing.
	// Nil for none.
	Credential *Credential
	// Known says that a mechanism recognised the token, and refused it by its own policy.
	Known bool
	// Unjudged says that a mechanism failed for technical reasons: the token may be good.
	Unjudged bool
}

// Reasons of a LockedError.
const (
	// ReasonLockedOut: too many guesses came from there, and no more is looked at until the lock ends.
	ReasonLockedOut Reason = "locked_out"
	// ReasonBusy: as many tokens from there are being judged as may be at a time; asking again in a second may help.
	ReasonBusy Reason = "too_many_attempts"
)

// LockedError says that a token was not looked at. The zero value is ReasonBusy.
type LockedError struct {
	// Until is when the lock ends; zero where there is none, and asking again in a second may help.
	Until time.Time
	// Detail is for the log: what is locked.
	Detail string
}

// Error implements error.
func (e *LockedError) Error() string {
	if e.Until.IsZero() {
		return "too many tokens are being judged at a time: " + e.Detail
	}
	return "locked until " + e.Until.UTC().Format(time.RFC3339) + ": " + e.Detail
}

// RefusalReason implements Refusal.
func (e *LockedError) RefusalReason() Reason {
	if e.Until.IsZero() {
		return ReasonBusy
	}
	return ReasonLockedOut
}

var _ Refusal = (*LockedError)(nil)

// errNoGuard refuses a chain that judges tokens and would let anybody guess them.
var errNoGuard = errors.New("authn: a chain that judges tokens needs a guard against guessing; Unguarded says that none is wanted")

// Unguarded returns the guard that lets everybody guess. It must be asked for by name, so that a route without a limit is
// never an oversight.
func Unguarded() Guard { return unguarded{} }

type unguarded struct{}

// Enter implements Guard.
func (unguarded) Enter(context.Context, *Request, secret.String) (Attempt, error) {
	return Attempt{}, nil
}

// Leave implements Guard.
func (unguarded) Leave(*Request, secret.String, Attempt, Ending) {}

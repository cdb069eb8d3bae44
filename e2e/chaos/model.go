package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind is what happened. The zero value is nothing.
type Kind string

// The kinds of events. A revocation begins when its request is sent, and stands when the answer is there; so does the end of
// one. What is between is told apart for each replica by uses alone.
const (
	RevokeBegins Kind = "revoke begins"
	RevokeStands Kind = "revoke stands"
	// RevokeNever says that the request is known to have done nothing, and to do nothing any more.
	RevokeNever Kind = "revoke never happened"
	LiftBegins  Kind = "lift begins"
	LiftDone    Kind = "lift done"
	Use         Kind = "use"
)

// Event is one thing that happened to one person's credentials.
type Event struct {
	Kind   Kind   `json:"kind"`
	Person string `json:"person"`
	// Revocation tells apart those of a person.
	Revocation int `json:"revocation,omitempty"`
	// Credential is the one that was used, or that a revocation is about; of a revocation, empty is all of the person.
	Credential string `json:"credential,omitempty"`
	// Replica is where it was used, and Accepted how that ended. What was answered with 503, or not at all, is no event.
	Replica  int  `json:"replica,omitempty"`
	Accepted bool `json:"accepted,omitempty"`
	// Begin and End are when, as durations since the start of the run. What happens at one moment has a short interval that is
	// certainly before, or after, what it is before or after.
	Begin time.Duration `json:"begin"`
	End   time.Duration `json:"end"`
	// Note is for whoever reads the history.
	Note string `json:"note,omitempty"`
}

// phase is how far a revocation is. The zero value is not used.
type phase int

const (
	begun phase = iota + 1
	stands
	lifting
)

// revocation is one in the model's state.
type revocation struct {
	id         int
	credential string
	phase      phase
	// denied are the replicas that certainly refuse by it, while it has begun; admitted those that certainly do not any
	// more, while it is lifted.
	denied, admitted uint64
}

// covers reports whether a credential falls under it.
func (r *revocation) covers(credential string) bool {
	return r.credential == "" || r.credential == credential
}

// state are the revocations that are not over, by id. It is never changed, only replaced.
type state []revocation

// step returns the state after an event, or false where the event cannot be.
func (s state) step(e *Event) (bool, state) {
	i := slices.IndexFunc(s, func(r revocation) bool { return r.id == e.Revocation })
	if e.Kind == Use {
		if e.Accepted {
			return s.accept(e)
		}
		return s.deny(e)
	}
	if e.Kind == RevokeBegins {
		return i < 0, append(slices.Clone(s), revocation{id: e.Revocation, credential: e.Credential, phase: begun})
	}
	if i < 0 {
		return false, s
	}
	next := slices.Clone(s)
	switch was := s[i].phase; {
	case e.Kind == RevokeStands && was == begun:
		next[i].phase, next[i].denied = stands, 0
	case e.Kind == RevokeNever && was == begun && s[i].denied == 0:
		next = slices.Delete(next, i, i+1)
	case e.Kind == LiftBegins && was == stands:
		next[i].phase = lifting
	case e.Kind == LiftDone && was == lifting:
		next = slices.Delete(next, i, i+1)
	default:
		return false, s
	}
	return true, next
}

// accept is a credential that was let in: nothing that covers it stands, and no replica takes back what it did.
func (s state) accept(e *Event) (bool, state) {
	at, next := uint64(1)<<e.Replica, s
	for i := range s {
		one := &s[i]
		switch {
		case !one.covers(e.Credential):
		case one.phase == stands, one.phase == begun && one.denied&at != 0:
			return false, s
		case one.phase == lifting && one.admitted&at == 0:
			if &next[0] == &s[0] {
				next = slices.Clone(s)
			}
			next[i].admitted |= at
		}
	}
	return true, next
}

// deny is a credential that was refused: something that covers it stands, or may be in force at the replica.
func (s state) deny(e *Event) (bool, state) {
	at := uint64(1) << e.Replica
	var reasons []int
	for i := range s {
		if s[i].covers(e.Credential) && s[i].admitted&at == 0 {
			reasons = append(reasons, i)
		}
	}
	if len(reasons) != 1 || s[reasons[0]].phase != begun {
		return len(reasons) > 0, s // where there are several, it is not known which it was
	}
	next := slices.Clone(s)
	next[reasons[0]].denied |= at
	return true, next
}

// String shows the state.
func (s state) String() string {
	var out strings.Builder
	for _, r := range s {
		_, _ = fmt.Fprintf(&out, "%d(%s) phase %d denied %b admitted %b; ", r.id, r.credential, r.phase, r.denied, r.admitted)
	}
	return out.String()
}

// String shows the event.
func (e *Event) String() string {
	if e.Kind != Use {
		return fmt.Sprintf("%s: revocation %d %s", e.Kind, e.Revocation, e.Credential)
	}
	verdict := "refused"
	if e.Accepted {
		verdict = "ACCEPTED"
	}
	return fmt.Sprintf("%s %s at replica %d", e.Credential, verdict, e.Replica)
}

// model is the sequential specification, of one person.
func model() porcupine.Model {
	return porcupine.Model{
		Init:              func() any { return state(nil) },
		Step:              func(before, input, _ any) (bool, any) { return before.(state).step(input.(*Event)) },
		Equal:             func(a, b any) bool { return slices.Equal(a.(state), b.(state)) },
		DescribeOperation: func(input, _ any) string { return input.(*Event).String() },
		DescribeState:     func(s any) string { return s.(state).String() },
	}
}

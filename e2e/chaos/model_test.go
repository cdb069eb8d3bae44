package chaos_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/chaos"
)

// at makes events of one person, each after the one before unless it says otherwise.
func at(begin, end int, kind chaos.Kind, change ...func(*chaos.Event)) chaos.Event {
	e := chaos.Event{Kind: kind, Person: "jane", Revocation: 1, Begin: time.Duration(begin), End: time.Duration(end)}
	for _, one := range change {
		one(&e)
	}
	return e
}

func used(begin, end, replica int, accepted bool, change ...func(*chaos.Event)) chaos.Event {
	return at(begin, end, chaos.Use, append(change, func(e *chaos.Event) {
		e.Revocation, e.Credential, e.Replica, e.Accepted = 0, "token", replica, accepted
	})...)
}

// TestModel: what must not be is found, and what may be is not.
func TestModel(t *testing.T) {
	t.Parallel()
	second := func(e *chaos.Event) { e.Revocation = 2 }
	ofToken := func(e *chaos.Event) { e.Credential = "token" }
	ofOther := func(e *chaos.Event) { e.Credential = "certificate" }
	for _, tt := range []struct {
		name   string
		events []chaos.Event
		bad    bool
	}{
		{"nothing", nil, false},
		{"a use before, a refusal after", []chaos.Event{
			used(1, 2, 0, true), at(3, 4, chaos.RevokeBegins), at(10, 11, chaos.RevokeStands), used(12, 13, 0, false), used(12, 13, 1, false),
		}, false},
		{"an accept that began after the revoke returned", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), at(10, 11, chaos.RevokeStands), used(12, 13, 1, true),
		}, true},
		{"an accept that began before the revoke returned, and was answered after", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), at(10, 11, chaos.RevokeStands), used(9, 13, 1, true),
		}, false},
		{"a refusal while the revoke is under way, then an accept elsewhere", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), used(3, 4, 0, false), used(5, 6, 1, true), at(10, 11, chaos.RevokeStands),
		}, false},
		{"a refusal while the revoke is under way, then an accept at the same replica", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), used(3, 4, 0, false), used(5, 6, 0, true), at(10, 11, chaos.RevokeStands),
		}, true},
		{"an accept and a refusal at once at one replica", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), used(3, 6, 0, false), used(4, 5, 0, true), at(10, 11, chaos.RevokeStands),
		}, false},
		{"a refusal without a revocation", []chaos.Event{used(1, 2, 0, false)}, true},
		{"a refusal before the revoke was sent", []chaos.Event{used(1, 2, 0, false), at(3, 4, chaos.RevokeBegins), at(5, 6, chaos.RevokeStands)}, true},
		{"a refusal after the lift returned", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), at(3, 4, chaos.RevokeStands), at(5, 6, chaos.LiftBegins), at(8, 9, chaos.LiftDone), used(10, 11, 2, false),
		}, true},
		{"both while the lift is under way, at two replicas", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), at(3, 4, chaos.RevokeStands), at(5, 6, chaos.LiftBegins),
			used(7, 8, 0, true), used(9, 10, 1, false), used(11, 12, 0, true), at(13, 14, chaos.LiftDone), used(15, 16, 1, true),
		}, false},
		{"a replica that takes back a lift", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), at(3, 4, chaos.RevokeStands), at(5, 6, chaos.LiftBegins),
			used(7, 8, 0, true), used(9, 10, 0, false), at(13, 14, chaos.LiftDone),
		}, true},
		{"an accept before the lift was sent", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), at(3, 4, chaos.RevokeStands), used(5, 6, 0, true), at(7, 8, chaos.LiftBegins), at(9, 10, chaos.LiftDone),
		}, true},
		{"a revoke of unknown outcome may hold here and not there", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), used(3, 4, 0, false), used(5, 6, 1, true), used(7, 8, 0, false), used(7, 8, 1, false),
		}, false},
		{"a revoke of unknown outcome that held once, and then did not", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), used(3, 4, 0, false), used(5, 6, 0, true),
		}, true},
		{"a revoke that never happened refuses nobody", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), at(3, 4, chaos.RevokeNever), used(5, 6, 0, false),
		}, true},
		{"a revoke that held cannot never have happened", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), used(3, 4, 0, false), at(5, 6, chaos.RevokeNever),
		}, true},
		{"another credential is not covered", []chaos.Event{
			at(1, 2, chaos.RevokeBegins, ofOther), at(3, 4, chaos.RevokeStands, ofOther), used(5, 6, 0, true),
		}, false},
		{"another credential's revocation refuses this one", []chaos.Event{
			at(1, 2, chaos.RevokeBegins, ofOther), at(3, 4, chaos.RevokeStands, ofOther), used(5, 6, 0, false),
		}, true},
		{"of two revocations one is lifted", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), at(3, 4, chaos.RevokeStands), at(5, 6, chaos.RevokeBegins, second, ofToken), at(7, 8, chaos.RevokeStands, second),
			at(9, 10, chaos.LiftBegins), at(11, 12, chaos.LiftDone), used(13, 14, 0, true),
		}, true},
		{"somebody else's", []chaos.Event{
			at(1, 2, chaos.RevokeBegins), at(3, 4, chaos.RevokeStands), used(5, 6, 0, true, func(e *chaos.Event) { e.Person = "john" }),
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var history chaos.History
			for _, e := range tt.events {
				history.Add(e)
			}
			if err := history.Check(t.TempDir()); errors.Is(err, chaos.ErrViolation) != tt.bad || !tt.bad && err != nil {
				t.Errorf("error %v, want a violation: %v", err, tt.bad)
			}
		})
	}
}

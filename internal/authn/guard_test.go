package authn_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

// doorkeeper is a guard that remembers how attempts ended.
type doorkeeper struct {
	refuse error
	ended  []authn.Ending
}

func (g *doorkeeper) Enter(context.Context, *authn.Request, secret.String) (authn.Attempt, error) {
	return authn.Attempt{Stranger: true}, g.refuse
}

func (g *doorkeeper) Leave(_ *authn.Request, _ secret.String, _ authn.Attempt, ended authn.Ending) {
	g.ended = append(g.ended, ended)
}

// panics is a mechanism with a mistake in it.
type panics struct{}

func (panics) AuthenticateToken(context.Context, *authn.Request, secret.String) authn.Answer {
	panic("a mistake")
}

// TestGuard: no token is judged that the guard does not let in, the guard is told how each ended, and a certificate never
// comes before it.
func TestGuard(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Minute)
	for _, tt := range []struct {
		name      string
		mechanism authn.TokenMechanism
		refuse    error
		reason    authn.Reason
		ended     []authn.Ending
	}{
		{name: "right", mechanism: tokenSays{accept("alice")}, reason: authn.ReasonAccepted, ended: []authn.Ending{{Credential: accept("alice").Credential}}},
		{name: "right, and refused by policy", mechanism: tokenSays{accept("mallory")}, reason: authn.ReasonRejected, ended: []authn.Ending{{Credential: accept("mallory").Credential}}},
		{name: "wrong", mechanism: tokenSays{authn.None()}, reason: authn.ReasonRejected, ended: []authn.Ending{{}}},
		{name: "not judged", mechanism: tokenSays{fail}, reason: authn.ReasonFailed, ended: []authn.Ending{{Unjudged: true}}},
		{name: "known and forbidden", mechanism: tokenSays{authn.Refuse(errors.New("weak"))}, reason: authn.ReasonForbidden, ended: []authn.Ending{{Known: true}}},
		{name: "locked out", mechanism: panics{}, refuse: &authn.LockedError{Until: until}, reason: authn.ReasonLockedOut},
		{name: "busy", mechanism: panics{}, refuse: &authn.LockedError{}, reason: authn.ReasonBusy},
	} {
		guard := &doorkeeper{refuse: tt.refuse}
		chain, err := authn.New(authn.Config{
			Admitter: admits{refuse: "mallory"}, Guard: guard, Anonymous: anonymous,
			Tokens: []authn.TokenStep{{Name: identity.JWT, Mechanism: tt.mechanism}},
		})
		if err != nil {
			t.Fatal(err)
		}
		d := chain.Decide(t.Context(), &authn.Request{Header: http.Header{"Authorization": {"Bearer x"}}})
		if d.Reason != tt.reason || d.Admitted() != (tt.reason == authn.ReasonAccepted) {
			t.Errorf("%s: reason %s, want %s", tt.name, d.Reason, tt.reason)
		}
		if len(guard.ended) != len(tt.ended) {
			t.Errorf("%s: ended %v", tt.name, guard.ended)
			continue
		}
		for i, got := range guard.ended {
			if want := tt.ended[i]; got.Known != want.Known || got.Unjudged != want.Unjudged || (got.Credential != nil) != (want.Credential != nil) {
				t.Errorf("%s: ended %+v, want %+v", tt.name, got, want)
			}
		}
	}
}

// TestGuardIsToldOfPanics: what was reserved for a token does not stay so when judging it went wrong.
func TestGuardIsToldOfPanics(t *testing.T) {
	t.Parallel()
	guard := &doorkeeper{}
	chain, err := authn.New(authn.Config{Admitter: admits{}, Guard: guard, Tokens: []authn.TokenStep{{Name: identity.JWT, Mechanism: panics{}}}})
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		chain.Decide(t.Context(), &authn.Request{Header: http.Header{"Authorization": {"Bearer x"}}})
	}()
	if len(guard.ended) != 1 || guard.ended[0].Credential != nil {
		t.Errorf("told: %v", guard.ended)
	}
}

// TestCertificatesPassTheGuard: who proves a certificate is not asked about tokens at all.
func TestCertificatesPassTheGuard(t *testing.T) {
	t.Parallel()
	guard := &doorkeeper{refuse: &authn.LockedError{}}
	chain, err := authn.New(authn.Config{
		Admitter: admits{}, Guard: guard, Tokens: []authn.TokenStep{{Name: identity.JWT, Mechanism: panics{}}},
		Requests: []authn.RequestStep{{Name: identity.ClientCertificate, Mechanism: says{answer: accept("bob")}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := chain.Decide(t.Context(), &authn.Request{Header: http.Header{"Authorization": {"Bearer x"}}}); !d.Admitted() {
		t.Errorf("refused: %v", d.Cause)
	}
}

// TestGuardIsRequired: a chain that judges tokens and has no guard is none, so that a route without a limit is never an
// oversight. Who wants none asks for that by name.
func TestGuardIsRequired(t *testing.T) {
	t.Parallel()
	tokens := []authn.TokenStep{{Name: identity.JWT, Mechanism: tokenSays{accept("alice")}}}
	if _, err := authn.New(authn.Config{Admitter: admits{}, Tokens: tokens}); err == nil {
		t.Error("a chain without a guard is taken")
	}
	if _, err := authn.New(authn.Config{Admitter: admits{}, Tokens: tokens, Guard: authn.Unguarded()}); err != nil {
		t.Errorf("the twin: %v", err)
	}
	if _, err := authn.New(authn.Config{Admitter: admits{}}); err != nil {
		t.Errorf("a chain that judges no tokens: %v", err)
	}
}

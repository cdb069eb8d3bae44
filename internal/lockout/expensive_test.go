package lockout_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

// TestSignaturesOfStrangersAreBounded: however many sources bring signed tokens that nobody knows, so many are checked in a
// second. Who comes from where a good one came from is not among them.
func TestSignaturesOfStrangersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const bound = 2000
		e := newEngine(t)
		if err := present(t, e, from(clean), jws(), authn.Ending{Credential: jane}); err != nil {
			t.Fatal(err)
		}
		source := func(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) }
		junk, n := jws(), 0
		next := func() string { n++; return fmt.Sprintf("%s%08d", junk[:len(junk)-8], n) }
		if got := judged(t, e, source, 10_000, next); got > bound || got < bound-1 {
			t.Errorf("%d of 10,000 were judged in a second, want %d", got, bound)
		}
		if err := present(t, e, from(source(9_999)), next(), authn.Ending{}); !until(t, err).IsZero() {
			t.Error("one who is too many for this second is told to stay away")
		}
		if err := present(t, e, from(clean), jws(), authn.Ending{Credential: jane}); err != nil {
			t.Errorf("a new token from where a good one came from is refused: %v", err)
		}
		if err := present(t, e, from("192.0.2.1"), bootstrap(victim), authn.Ending{Credential: jane}); err != nil {
			t.Errorf("a token that is not signed is refused: %v", err)
		}
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's own clock
		if err := present(t, e, from("192.0.2.2"), jws(), authn.Ending{Credential: jane}); err != nil {
			t.Errorf("a second later: %v", err)
		}
	})
}

// waits is a mechanism that waits for somebody else for as long as a request is there, as for an issuer that does not answer.
type waits struct{ room *authn.Room }

func (w waits) AuthenticateToken(ctx context.Context, r *authn.Request, _ secret.String) authn.Answer {
	leave, err := w.room.Enter(r)
	if err != nil {
		return authn.Fail(err)
	}
	defer leave()
	<-ctx.Done()
	return authn.Fail(ctx.Err())
}

// knows is a mechanism that knows one token.
type knows struct{ token string }

func (k knows) AuthenticateToken(_ context.Context, _ *authn.Request, token secret.String) authn.Answer {
	if token.Reveal() != k.token {
		return authn.None()
	}
	return authn.Accept(jane)
}

// lets lets everybody in.
type lets struct{}

func (lets) Admit(_ *authn.Request, cred *authn.Credential) (*identity.Identity, error) {
	return &cred.Identity, nil
}

// TestJunkDoesNotStarveTheGood: strangers' tokens for which a mechanism has to wait leave room for what other mechanisms know.
// The twin, a mechanism without a bound of its own, has newcomers refused.
func TestJunkDoesNotStarveTheGood(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		room    *authn.Room
		starved bool
	}{
		{name: "bounded", room: authn.NewRoom("tokens", 128)},
		{name: "not bounded", starved: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				good := strong()
				chain, err := authn.New(authn.Config{
					Admitter: lets{}, Guard: newEngine(t),
					Tokens: []authn.TokenStep{{Name: identity.StaticToken, Mechanism: knows{good}}, {Name: identity.JWT, Mechanism: waits{tt.room}}},
				})
				if err != nil {
					t.Fatal(err)
				}
				ask := func(ctx context.Context, source, token string) authn.Decision {
					r := from(source)
					r.Header = http.Header{"Authorization": {"Bearer " + token}}
					return chain.Decide(ctx, r)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var junk sync.WaitGroup
				for i := range 1000 {
					junk.Go(func() { ask(ctx, fmt.Sprintf("10.0.%d.%d", i/250, i%250), jws()) })
				}
				synctest.Wait()
				decision := ask(t.Context(), clean, good)
				if decision.Admitted() == tt.starved {
					t.Errorf("a newcomer with a good token: %v", decision.Cause)
				}
				if locked, ok := errors.AsType[*authn.LockedError](decision.Cause); tt.starved && (!ok || !locked.Until.IsZero()) {
					t.Errorf("the twin is refused by %v", decision.Cause)
				}
				cancel()
				junk.Wait()
			})
		})
	}
}

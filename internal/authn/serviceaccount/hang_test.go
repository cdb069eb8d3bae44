package serviceaccount_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/secret"
)

// hanging is a cluster that answers nobody until it is let go.
type hanging struct {
	*cluster
	let chan struct{}
}

func (c *hanging) ReviewToken(ctx context.Context, token secret.String, audiences []string) (*authenticationv1.TokenReviewStatus, error) {
	select {
	case <-c.let:
		return c.cluster.ReviewToken(ctx, token, audiences)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// TestClusterHangs: while the cluster answers nobody, strangers' tokens wait in three quarters of the room, a source's in a part
// of that, and whoever comes then is told so at once. Who is known still gets to ask. All of it is free again after the time that a
// question may take. The twin is the same crowd, all of whom are known: they take everything.
func TestClusterHangs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		strangers bool
		source    func(i int) string
		wait      int // of 200
		owner     bool
	}{
		{name: "strangers of many sources", strangers: true, source: func(i int) string { return fmt.Sprintf("192.0.2.%d", i) }, wait: 75, owner: true},
		{name: "strangers of one source", strangers: true, source: func(int) string { return "192.0.2.1" }, wait: 18, owner: true},
		{name: "known", source: func(i int) string { return fmt.Sprintf("192.0.2.%d", i) }, wait: 100},
	} {
		keys() // outside of the bubble's time
		synctest.Test(t, func(t *testing.T) {
			tokens := make([]string, 200)
			for i := range tokens {
				tokens[i] = keys().ec.sign(t, with(boundClaims(), map[string]any{"jti": fmt.Sprint(tt.name, i), "exp": nil}))
			}
			owned := keys().ec.sign(t, with(boundClaims(), map[string]any{"exp": nil}))
			c := &hanging{alive(), make(chan struct{})}
			m := authority(t, c, nil).Requested()
			ask := func(token, source string, stranger bool) authn.Answer {
				return m.AuthenticateToken(t.Context(), &authn.Request{
					Audiences: []string{audience}, Now: time.Now(), Source: netip.MustParseAddr(source), Stranger: stranger,
				}, secret.New(token))
			}
			var group sync.WaitGroup
			answers := make([]authn.Answer, len(tokens))
			for i, token := range tokens {
				group.Go(func() { answers[i] = ask(token, tt.source(i), tt.strangers) })
			}
			synctest.Wait()
			began := time.Now()
			var owner authn.Answer
			group.Go(func() { owner = ask(owned, "198.51.100.1", false) })
			synctest.Wait()
			close(c.let)
			group.Wait()
			if took := time.Since(began); took != 0 {
				t.Errorf("%s: waited %s for a cluster that answers", tt.name, took)
			}
			waited := 0
			for _, answer := range answers {
				switch {
				case answer.Outcome == authn.Accepted:
					waited++
				case !answer.Failed:
					t.Errorf("%s: %v: %v", tt.name, answer.Outcome, answer.Cause)
				case tt.strangers:
					if _, ok := errors.AsType[*authn.LockedError](answer.Cause); !ok {
						t.Errorf("%s: refused by %v", tt.name, answer.Cause)
					}
				}
			}
			if waited != tt.wait {
				t.Errorf("%s: %d of %d tokens waited for the cluster, want %d", tt.name, waited, len(tokens), tt.wait)
			}
			if (owner.Outcome == authn.Accepted) != tt.owner {
				t.Errorf("%s: who is known meanwhile: %v %v", tt.name, owner.Outcome, owner.Cause)
			}
			c.let = make(chan struct{}) // and hangs again
			began = time.Now()
			if answer := ask(keys().ec.sign(t, with(boundClaims(), map[string]any{"jti": "late", "exp": nil})), "192.0.2.1", tt.strangers); !answer.Failed || time.Since(began) != 10*time.Second {
				t.Errorf("%s: after %s: %v %v", tt.name, time.Since(began), answer.Outcome, answer.Cause)
			}
			close(c.let)
			if answer := ask(tokens[len(tokens)-1], "192.0.2.1", tt.strangers); answer.Outcome != authn.Accepted {
				t.Errorf("%s: afterwards: %v %v", tt.name, answer.Outcome, answer.Cause)
			}
		})
	}
}

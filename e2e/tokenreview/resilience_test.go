package tokenreview_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// TestRestartUnderLoad: nobody is let in while Ostiary is gone, and everybody at once when it is back: what failed was
// not remembered as a refusal (CACHE-5, attack 87).
func TestRestartUnderLoad(t *testing.T) {
	for name, end := range map[string]func() error{
		"killed":                  func() error { return shared.gate.Kill() },
		"stopped in good order":   func() error { return shared.gate.Stop() },
		"killed once more, later": func() error { return shared.gate.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			l := startLoad(t)
			l.more(t, 50) //nolint:mnd // enough to be under way
			if err := end(); err != nil {
				t.Error(err)
			}
			waiting := mint(t, nil)
			for version, c := range shared.callers {
				if status, body := ask(t, c, waiting); status != http.StatusUnauthorized {
					t.Errorf("%s: with nobody to ask: %d %s", version, status, body)
				}
			}
			if err := startGate(t.Context()); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			clients := map[string]*client{v1: newClient(t, shared.callers[v1]), v1beta1: newClient(t, shared.callers[v1beta1])}
			for version, c := range shared.callers {
				stage.Await(t, version+" to let people in again", func(ctx context.Context) bool {
					status, _, err := clients[version].get(ctx, waiting)
					return err == nil && status == http.StatusOK
				})
				stage.Await(t, version+" to let others in again", c.admits(t, clients[version]))
			}
			t.Logf("let in again %s after Ostiary was ready; %d were refused meanwhile", time.Since(began).Round(time.Millisecond), l.forget())
			l.more(t, 200) //nolint:mnd // enough to see that it stays so
			l.mustBeFine(t)
		})
	}
}

// TestReloadUnderLoad: changes count, and no request fails for them.
func TestReloadUnderLoad(t *testing.T) {
	defer reconfigure(t, shared.config)
	l := startLoad(t)
	l.forget()
	for round := range 10 {
		group := fmt.Sprintf("round-%d", round)
		changed := maps.Clone(shared.config)
		changed["groupRules"] = []any{gate.Object{"name": group, "match": gate.Object{"clusters": []any{v1beta1}}, "add": []any{group}}}
		reconfigure(t, changed)
		stage.Await(t, "the change to count", func(ctx context.Context) bool {
			who, err := shared.callers[v1beta1].as(t, mint(t, nil)).WhoAmI(ctx)
			return err == nil && slices.Contains(who.Groups, group)
		})
	}
	l.mustBeFine(t)
}

func reconfigure(t *testing.T, config gate.Object) {
	t.Helper()
	if err := shared.gate.Reconfigure(config); err != nil {
		t.Fatal(err)
	}
}

// TestCallersCAIsRotated changes the CA of a caller while its connection stays open: it counts there too (attack 65).
func TestCallersCAIsRotated(t *testing.T) {
	c := shared.callers[v1]
	client := newClient(t, c)
	admits := c.admits(t, client)
	write := func(authorities ...*pki.Authority) {
		t.Helper()
		var content []byte
		for _, authority := range authorities {
			content = append(content, authority.PEM()...)
		}
		if err := pki.WriteFile(c.caFile, content); err != nil {
			t.Fatal(err)
		}
	}
	next, err := pki.NewAuthority("next-callers-ca")
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := next.Issue(pki.Client(v1 + "-apiserver"))
	if err != nil {
		t.Fatal(err)
	}
	body := reviewOf(v1, mint(t, nil))
	answers := func(certificate *pki.KeyPair, want int) func(context.Context) bool {
		return func(ctx context.Context) bool {
			status, _, err := review(ctx, t, certificate, body)
			return err == nil && status == want
		}
	}
	if !admits(t.Context()) {
		t.Fatal("not let in before anything changed")
	}
	defer write(c.authority)

	// The next CA comes: certificates of both are the caller's.
	write(c.authority, next)
	stage.Await(t, "the next CA to count", answers(fresh, http.StatusOK))
	if !admits(t.Context()) {
		t.Error("the API server is refused while its CA is still there")
	}
	// The old one goes: the API server, whose connection is open, is nobody any more.
	write(next)
	stage.Await(t, "the old CA not to count", func(ctx context.Context) bool { return !admits(ctx) })
	if !answers(fresh, http.StatusOK)(t.Context()) || !answers(c.pair, http.StatusForbidden)(t.Context()) {
		t.Error("the next CA does not count, or the old one does")
	}
	if _, err := shared.gate.WaitAccessLog(stage.Within(t), func(l gate.Line) bool {
		return l.Kind == "token_review" && l.Verdict == "deny" && l.Reason == "unknown_caller" && l.Status == http.StatusForbidden
	}); err != nil {
		t.Error(err)
	}
	if other := shared.callers[v1beta1]; !other.admits(t, newClient(t, other))(t.Context()) {
		t.Error("the other API server is refused, whose CA is what it was")
	}
	// And it comes back.
	write(c.authority)
	stage.Await(t, "the old CA to count again", admits)
}

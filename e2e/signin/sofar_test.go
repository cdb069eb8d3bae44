package signin_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// loginAgain is how often somebody tries who is not let in again yet.
const loginAgain = 3 * time.Second

// TestSignsInAnew shuts two people out with all that they had so far. The one who signs in anew is let in by that, at both replicas,
// and what she had before stays refused, also that of the session which she goes on with. The other one, who does not sign in, stays
// out, and a third is not touched.
func TestSignsInAnew(t *testing.T) {
	t.Parallel()
	one, two := replicas(t)
	oldToken := login(t, jane)
	before, idle, bystander := one.signIn(t, oldToken, newKey(t), nil), two.signIn(t, login(t, mover), newKey(t), nil), two.signIn(t, login(t, joe), newKey(t), nil)
	everywhere := func(who string, s *signed, want int) {
		t.Helper()
		for name, h := range map[string]*house{"one": one, "two": two} {
			if status := h.comesIn(t, s, ""); status != want {
				t.Errorf("%s at replica %s: status %d, wanted %d", who, name, status, want)
			}
		}
	}
	everywhere("jane before", before, http.StatusOK)
	everywhere("mover before", idle, http.StatusOK)
	ended, stays := two.watch(t, before), one.watch(t, bystander)
	began := time.Now()
	for _, user := range []string{jane, mover} {
		if _, err := one.guard.MustSucceed(t.Context(), "ostiary", "revoke", "--user", user, "--so-far", "--reason", "test"); err != nil {
			t.Fatal(err)
		}
	}
	within(t, ended, began)
	everywhere("jane after", before, http.StatusUnauthorized)
	everywhere("mover after", idle, http.StatusUnauthorized)
	if status, body := two.exchange(t, oldToken, newKey(t), nil); status != http.StatusBadRequest {
		t.Errorf("the token of the sign-in before: %d %s", status, body)
	}

	// A provider's token counts as later once it says so by more than clocks may differ, which is a minute.
	var token string
	for over := time.After(deadline); ; {
		token = login(t, jane)
		if status, body := two.exchange(t, token, newKey(t), nil); status == http.StatusOK {
			break
		} else if status != http.StatusBadRequest {
			t.Fatalf("%d %s", status, body)
		}
		select {
		case <-over:
			t.Fatal("she is never let in again")
		case <-time.After(loginAgain):
		}
	}
	t.Logf("let in again %s after the revocation", time.Since(began).Round(time.Second))
	anew := two.signIn(t, token, newKey(t), nil)
	renewed := one.signIn(t, token, newKey(t), url.Values{"session": {before.Session}})
	if renewed.Session != before.Session {
		t.Error("it is another session")
	}
	everywhere("jane, signed in anew", anew, http.StatusOK)
	everywhere("jane, with her session renewed", renewed, http.StatusOK)
	everywhere("jane, with what she had", before, http.StatusUnauthorized)
	everywhere("mover, who did not sign in", idle, http.StatusUnauthorized)
	everywhere("joe", bystander, http.StatusOK)
	select {
	case <-stays:
		t.Error("somebody else's stream was cut")
	default:
	}
}

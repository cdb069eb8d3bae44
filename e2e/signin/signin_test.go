package signin_test

import (
	"strings"
	"testing"
)

// TestSignIn exchanges a real provider's ID token for a certificate that works through the gate, with kubectl, until it is revoked.
func TestSignIn(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	s := h.signIn(t, login(t, jane), newKey(t), nil)
	if s.Username != jane || s.Session == "" || !strings.HasPrefix(s.CredentialID, "OSTIARY=") || s.ExpiresIn < 3500 || s.ExpiresIn > 3600 {
		t.Errorf("%+v", s.answer)
	}
	who := h.kubectl(t, s)
	out, err := who.MustSucceed(t.Context(), "auth", "whoami", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"username": "jane"`, `"platform"`, `"` + s.CredentialID + `"`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is missing in\n%s", want, out)
		}
	}
	for _, lie := range []string{"system:admin", "system:masters"} {
		if strings.Contains(out, lie) {
			t.Errorf("%s of the request counts\n%s", lie, out)
		}
	}
	if _, err := h.guard.MustSucceed(t.Context(), "ostiary", "revoke", "--id", s.CredentialID, "--reason", "test"); err != nil {
		t.Fatal(err)
	}
	if out, err := who.MustSucceed(t.Context(), "auth", "whoami"); err == nil {
		t.Errorf("it works after it was revoked:\n%s", out)
	}
}

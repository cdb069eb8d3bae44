package direct_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// eventually runs kubectl auth whoami until the caller is let in: the API server takes its first look at the provider's keys in the
// background.
func eventually(t *testing.T, access kubectl.Access) (user string, groups []string) {
	t.Helper()
	ctx := stage.Within(t)
	k := command(t, access)
	for {
		got, err := k.WhoAmI(ctx)
		if err == nil {
			return got.Username, got.Groups
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestOIDC(t *testing.T) {
	token, err := shared.oidc.Login(t.Context(), "jane", password)
	if err != nil {
		t.Fatal(err)
	}
	user, groups := eventually(t, shared.plane.Access().WithToken(token))
	if user != "jane" {
		t.Errorf("user = %q, want jane", user)
	}
	if diff := cmp.Diff([]string{"platform", "system:authenticated"}, groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}

	head, payload, _ := strings.Cut(token, ".")
	payload, _, _ = strings.Cut(payload, ".")
	stranger, err := minter.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stranger.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := stranger.NewKey("k", "RS256"); err != nil {
		t.Fatal(err)
	}
	claims := stranger.Claims("jane", shared.oidc.ClientID, "system:masters")
	claims["iss"] = shared.oidc.Issuer
	forged, err := stranger.Mint(minter.Token{Algorithm: "RS256", KeyID: "k", Claims: claims})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, token string }{
		{"no signature", head + "." + payload + "."},
		{"signature of another", head + "." + payload + "." + forged[strings.LastIndex(forged, ".")+1:]},
		{"key of another issuer", forged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := command(t, shared.plane.Access().WithToken(tt.token)).WhoAmI(t.Context()); err == nil {
				t.Errorf("let in as %+v, want a refusal", got)
			}
		})
	}
}

func TestOIDCWrongPassword(t *testing.T) {
	for _, tt := range []struct{ name, user, password string }{
		{"wrong password", "jane", password + "x"},
		{"empty password", "jane", ""},
		{"unknown user", "nobody", password},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if token, err := shared.oidc.Login(t.Context(), tt.user, tt.password); err == nil {
				t.Errorf("signed in with %q, want a refusal", token)
			}
		})
	}
}

package authn_test

import (
	"net/http"
	"testing"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

// TestDecideToken: a bare token is judged as it stands, by the mechanisms that read tokens and by policy, and by nothing
// else (TR-2, TR-3).
func TestDecideToken(t *testing.T) {
	t.Parallel()
	asked := 0
	full := authn.Config{
		Requests:  []authn.RequestStep{{Name: identity.ClientCertificate, Mechanism: says{answer: accept("somebody"), asked: &asked}}},
		Anonymous: says{answer: accept(identity.Anonymous), asked: &asked},
		Tokens: []authn.TokenStep{
			{Name: identity.StaticToken, Mechanism: knows{"tok-alice", "alice"}},
			{Name: identity.JWT, Mechanism: knows{"tok with blanks", "blanche"}},
			{Name: identity.JWT, Mechanism: knows{" ", "nobody"}},
			{Name: identity.JWT, Mechanism: knows{"tok-refused", "refused"}},
			{Name: identity.Webhook, Mechanism: knows{"tok-refused", "second opinion"}, AudienceAgnostic: true},
		},
		Audiences: []string{"api", "iss"},
		Admitter:  admits{refuse: "refused"},
		Guard:     authn.Unguarded(),
	}
	failing := full
	failing.Tokens = append([]authn.TokenStep{{Name: identity.Webhook, Mechanism: tokenSays{fail}}}, full.Tokens...)
	for _, tt := range []struct {
		name      string
		config    authn.Config
		token     string
		audiences []string
		user      string
		reason    authn.Reason
	}{
		{name: "good", token: "tok-alice", user: "alice", reason: authn.ReasonAccepted},
		{name: "TR-3 with blanks", token: "tok with blanks", user: "blanche", reason: authn.ReasonAccepted},
		{name: "TR-3 blank before it", token: " tok-alice", reason: authn.ReasonRejected},
		{name: "TR-3 word behind it", token: "tok-alice x", reason: authn.ReasonRejected},
		{name: "TR-3 scheme before it", token: "Bearer tok-alice", reason: authn.ReasonRejected},
		{name: "TR-3 empty is not anonymous", reason: authn.ReasonNoCredential},
		{name: "TR-3 blank is not anonymous", token: " ", reason: authn.ReasonNoCredential},
		{name: "unknown is not anonymous", token: "x", reason: authn.ReasonRejected},
		{name: "policy has the last word", token: "tok-refused", reason: authn.ReasonRejected},
		{name: "AUD-2 audience-agnostic, for another", token: "tok-refused", audiences: []string{"zz"}, reason: authn.ReasonRejected},
		{name: "CHAIN-2 failing mechanism, good token", config: failing, token: "tok-alice", user: "alice", reason: authn.ReasonAccepted},
		{name: "CHAIN-9 failing mechanism, unknown token", config: failing, token: "x", reason: authn.ReasonFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.config.Admitter == nil {
				tt.config = full
			}
			chain, err := authn.New(tt.config)
			if err != nil {
				t.Fatal(err)
			}
			// Whatever else the request says is not looked at.
			d := chain.DecideToken(t.Context(), &authn.Request{
				Header: http.Header{"Authorization": {"Bearer tok-alice"}}, Audiences: tt.audiences,
			}, secret.New(tt.token))
			if d.Admitted() != (tt.user != "") || d.Reason != tt.reason || d.Admitted() && d.Identity.Username != tt.user {
				t.Errorf("%+v", d)
			}
		})
	}
	if asked != 0 {
		t.Error("a mechanism that reads requests was asked about a bare token")
	}
}

package signinapi

import (
	"errors"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/session"
)

// TestPersonsTokenIsFresh begins and renews a person's session by a token that was issued just now, and by no other: an older one, which
// still holds, says nothing of whether the provider lets the person in now. A pipeline's token is as good as its issuer says.
func TestPersonsTokenIsFresh(t *testing.T) {
	t.Parallel()
	const issuer, client = "https://idp.example", "kubernetes"
	now := time.Now()
	settings := &Settings{
		Providers:     []Provider{{SignInProvider: adminapi.SignInProvider{Issuer: issuer, ClientID: client}}},
		PeopleSession: time.Hour, PipelineLifetime: time.Minute,
	}
	book := session.NewBook(nil)
	api := &API{Config{Book: book}}
	ask := &wanted{cluster: &Cluster{Name: "prod"}}
	of := func(audience string, issued time.Time) *proof {
		p := &proof{
			credential: &authn.Credential{Mechanism: identity.JWT, Identity: identity.Identity{Username: "jane"}},
			claims:     claims{Issuer: issuer, Subject: "jane", Audience: audiences{audience}},
		}
		if !issued.IsZero() {
			p.claims.IssuedAt = float64(issued.UnixMilli()) / 1000
		}
		return p
	}
	begun, _, err := api.sessionFor(settings, ask, of(client, now), now)
	if err != nil || begun.Kind != session.Person {
		t.Fatalf("%+v, %v", begun, err)
	}
	record, err := begun.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := book.TakeSession(begun.ID, record); err != nil {
		t.Fatal(err)
	}
	renew := *ask
	renew.session = begun.ID
	for name, test := range map[string]struct {
		issued time.Time
		good   bool
	}{
		"just now": {now, true}, "by a clock that is ahead": {now.Add(time.Minute), true}, "a few minutes ago": {now.Add(-4 * time.Minute), true},
		"six minutes ago": {now.Add(-6 * time.Minute), false}, "at the sign-in, an hour ago": {now.Add(-59 * time.Minute), false}, "it does not say when": {time.Time{}, false},
	} {
		for what, ask := range map[string]*wanted{"a sign-in": ask, "a renewal": &renew} {
			if _, _, err := api.sessionFor(settings, ask, of(client, test.issued), now); (err == nil) != test.good || err != nil && !errors.Is(err, errStale) {
				t.Errorf("%s, issued %s: %v", what, name, err)
			}
		}
		if s, _, err := api.sessionFor(settings, ask, of("a pipeline", test.issued), now); err != nil || s.Kind != session.Pipeline {
			t.Errorf("a pipeline, issued %s: %v", name, err)
		}
	}
}

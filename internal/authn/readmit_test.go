package authn_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

// remembers is a token mechanism that knows its tokens without seeing them again.
type remembers struct{ over error }

func (remembers) AuthenticateToken(context.Context, *authn.Request, secret.String) authn.Answer {
	return authn.None()
}

func (r remembers) Readmit(context.Context, *authn.Request, *authn.Credential) error { return r.over }

// TestReadmitToken asks the mechanism of a token again, where it can be asked, and no other.
func TestReadmitToken(t *testing.T) {
	t.Parallel()
	over := errors.New("its session has ended")
	for name, test := range map[string]struct {
		mechanism identity.Mechanism
		over      error
		ends      bool
	}{
		"it goes on":           {identity.IssuedToken, nil, false},
		"its mechanism's word": {identity.IssuedToken, over, true},
		"another's word":       {identity.StaticToken, over, false},
	} {
		chain, err := authn.New(authn.Config{
			Tokens:   []authn.TokenStep{{Name: identity.IssuedToken, Mechanism: remembers{test.over}}, {Name: identity.StaticToken, Mechanism: knows{"x", "y"}}},
			Admitter: admits{}, Guard: authn.Unguarded(),
		})
		if err != nil {
			t.Fatal(err)
		}
		cred := &authn.Credential{Mechanism: test.mechanism, Identity: identity.Identity{Username: "jane"}}
		_, err = chain.Readmit(t.Context(), &authn.Request{Open: true}, cred)
		if (err != nil) != test.ends || test.ends && (!errors.Is(err, authn.ErrNoLonger) || !errors.Is(err, over)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

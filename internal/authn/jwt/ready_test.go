package jwt

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/secret"
)

// starting is an issuer's authenticator that gets its keys just after it was asked.
type starting struct{ ready bool }

func (s *starting) AuthenticateToken(context.Context, string) (*authenticator.Response, bool, error) {
	was := s.ready
	s.ready = true
	if !was {
		return nil, false, errors.New("not initialized")
	}
	return nil, false, errors.New("the signature is wrong")
}

func (s *starting) HealthCheck() error {
	if !s.ready {
		return errors.New("not initialized")
	}
	return nil
}

// TestKeysThatComeMeanwhile: a token that was looked at before its issuer's keys were there was not judged, and
// costs its sender nothing, even when they are there by the time that the answer is made.
func TestKeysThatComeMeanwhile(t *testing.T) {
	t.Parallel()
	m := &Mechanism{issuers: []issuer{{url: "https://issuer.example", authenticator: &starting{}}}}
	m.verified = authenticator.TokenFunc(m.verify)
	for _, failed := range []bool{true, false} { // the second one is the twin
		if got := m.AuthenticateToken(t.Context(), &authn.Request{}, secret.New("a.b.c")); got.Outcome != authn.Rejected || got.Failed != failed {
			t.Errorf("answered %+v, failed %v is right", got, failed)
		}
	}
}

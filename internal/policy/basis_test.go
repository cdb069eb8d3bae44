package policy_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/policy"
)

// TestAnExchangeIsNoWayAround judges what a token was exchanged for as the token itself: its networks, its names, its group rules, and
// whether its mechanism is on at all. Each row has a twin without what it is about.
func TestAnExchangeIsNoWayAround(t *testing.T) {
	t.Parallel()
	inside, outside := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.1")
	rules := func() policy.Config {
		return policy.Config{
			Mechanisms: map[identity.Mechanism]policy.MechanismRules{
				identity.IssuedCertificate: {}, identity.JWT: {AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, identity.TokenRequest: {},
			},
			GroupRules: []policy.GroupRule{{Name: "no admins by JWT", Mechanisms: []string{"jwt"}, Remove: []string{"admins"}}},
		}
	}
	issued := func(user string, basis *authn.Basis) *authn.Credential {
		return &authn.Credential{
			ID: identity.CredentialID{Value: "OSTIARY=1"}, Mechanism: identity.IssuedCertificate, Basis: basis,
			Identity: identity.Identity{Username: user, Groups: []string{"admins", "dev"}}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		}
	}
	jwt, account := &authn.Basis{Mechanism: identity.JWT, ID: "JTI=1"}, &authn.Basis{Mechanism: identity.TokenRequest, ID: "JTI=2"}
	for _, test := range []struct {
		name   string
		cred   *authn.Credential
		from   netip.Addr
		change func(*policy.Config)
		groups []string
		reason authn.Reason
	}{
		{name: "group rules of its basis", cred: issued("jane", jwt), from: inside, groups: []string{"dev", "system:authenticated"}},
		{name: "group rules of nothing else", cred: issued("jane", nil), from: inside, groups: []string{"admins", "dev", "system:authenticated"}},
		{name: "networks of its basis", cred: issued("jane", jwt), from: outside, reason: policy.ReasonNetwork},
		{name: "networks of nothing else", cred: issued("jane", nil), from: outside, groups: []string{"admins", "dev", "system:authenticated"}},
		{name: "names that its basis may not carry", cred: issued("system:admin", jwt), from: inside, reason: policy.ReasonReservedName},
		{name: "names that its basis exists for", cred: issued("system:serviceaccount:default:robot", account), from: outside, groups: []string{"admins", "dev", "system:authenticated"}},
		{name: "names that nothing exists for", cred: issued("system:serviceaccount:default:robot", nil), from: outside, reason: policy.ReasonReservedName},
		{
			name: "a basis that is off", cred: issued("jane", jwt), from: inside, reason: policy.ReasonUnknownMechanism,
			change: func(c *policy.Config) { delete(c.Mechanisms, identity.JWT) },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := rules()
			if test.change != nil {
				test.change(&config)
			}
			p, err := policy.New(config)
			if err != nil {
				t.Fatal(err)
			}
			id, err := p.Admit(&authn.Request{Source: test.from, Now: time.Now(), Cluster: "prod"}, test.cred)
			if test.reason != "" {
				refusal, ok := err.(*policy.Refusal) //nolint:errorlint // what Admit promises
				if !ok || refusal.Reason != test.reason {
					t.Errorf("got %v, %v", id, err)
				}
				return
			}
			if err != nil || !slices.Equal(id.Groups, test.groups) {
				t.Errorf("got %+v, %v", id, err)
			}
		})
	}
}

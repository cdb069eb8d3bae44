package policy_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/policy"
)

// now is the time of every request here.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func mustNew(t testing.TB, config policy.Config) *policy.Policy {
	t.Helper()
	p, err := policy.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// only makes a policy that knows one mechanism.
func only(t testing.TB, mechanism identity.Mechanism, rules policy.MechanismRules) *policy.Policy {
	t.Helper()
	return mustNew(t, policy.Config{Mechanisms: map[identity.Mechanism]policy.MechanismRules{mechanism: rules}})
}

func prefixes(t testing.TB, list ...string) []netip.Prefix {
	t.Helper()
	var parsed []netip.Prefix
	for _, s := range list {
		parsed = append(parsed, netip.MustParsePrefix(s))
	}
	return parsed
}

func jwt(username string, groups ...string) *authn.Credential {
	return &authn.Credential{Mechanism: identity.JWT, Identity: identity.Identity{Username: username, Groups: groups}}
}

func refused(t *testing.T, got *identity.Identity, err error, want error, reason authn.Reason) {
	t.Helper()
	if got != nil || !errors.Is(err, want) {
		t.Fatalf("identity %v, error %v: want no identity and %v", got, err, want)
	}
	refusal, ok := errors.AsType[*policy.Refusal](err)
	if !ok || refusal.Reason != reason {
		t.Errorf("error %#v, want a Refusal with reason %q", err, reason)
	}
}

func TestZeroRefuses(t *testing.T) {
	request, cred := &authn.Request{Now: now}, jwt("alice")
	for _, test := range []struct {
		name    string
		policy  *policy.Policy
		request *authn.Request
		cred    *authn.Credential
	}{
		{"no policy", nil, request, cred},
		{"the zero policy", &policy.Policy{}, request, cred},
		{"a policy of nothing", mustNew(t, policy.Config{}), request, cred},
		{"a mechanism without an entry", only(t, identity.StaticToken, policy.MechanismRules{}), request, cred},
		{"a credential without a mechanism", only(t, identity.JWT, policy.MechanismRules{}), request, &authn.Credential{Identity: cred.Identity}},
		{"no credential", only(t, identity.JWT, policy.MechanismRules{}), request, nil},
		{"no request", only(t, identity.JWT, policy.MechanismRules{}), nil, cred},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.policy.Admit(test.request, test.cred)
			refused(t, got, err, policy.ErrUnknownMechanism, policy.ReasonUnknownMechanism)
		})
	}
	t.Run("twin", func(t *testing.T) {
		if _, err := only(t, identity.JWT, policy.MechanismRules{}).Admit(request, cred); err != nil {
			t.Error(err)
		}
	})
}

func TestNetworksG20(t *testing.T) {
	for _, test := range []struct {
		name     string
		networks []string
		source   netip.Addr
		admitted bool
	}{
		{"outside", []string{"10.0.0.0/8"}, netip.MustParseAddr("11.0.0.1"), false},
		{"just below", []string{"10.0.0.0/8"}, netip.MustParseAddr("9.255.255.255"), false},
		{"outside of all", []string{"10.0.0.0/8", "192.168.1.0/24"}, netip.MustParseAddr("192.168.2.1"), false},
		{"attack: no source", []string{"0.0.0.0/0", "::/0"}, netip.Addr{}, false},
		{"attack: IPv4 in IPv6 form through ::/0", []string{"::/0"}, netip.MustParseAddr("::ffff:10.0.0.1"), false},
		{"attack: IPv4 in IPv6 form, outside", []string{"10.0.0.0/8"}, netip.MustParseAddr("::ffff:11.0.0.1"), false},
		{"attack: IPv4-compatible is not IPv4", []string{"10.0.0.0/8"}, netip.MustParseAddr("::10.0.0.1"), false},
		{"IPv6 outside", []string{"fd00::/8"}, netip.MustParseAddr("fe80::1"), false},
		{"IPv4 does not match IPv6", []string{"::/0"}, netip.MustParseAddr("10.0.0.1"), false},
		{"mapped prefix, outside", []string{"::ffff:10.0.0.0/104"}, netip.MustParseAddr("11.0.0.1"), false},
		{"inside", []string{"10.0.0.0/8"}, netip.MustParseAddr("10.255.255.255"), true},
		{"inside the second", []string{"192.168.1.0/24", "10.0.0.0/8"}, netip.MustParseAddr("10.0.0.1"), true},
		{"in IPv6 form", []string{"10.0.0.0/8"}, netip.MustParseAddr("::ffff:10.0.0.1"), true},
		{"mapped prefix", []string{"::ffff:10.0.0.0/104"}, netip.MustParseAddr("10.0.0.1"), true},
		{"prefix with host bits", []string{"10.1.2.3/8"}, netip.MustParseAddr("10.9.9.9"), true},
		{"IPv6 with a zone", []string{"fe80::/10"}, netip.MustParseAddr("fe80::1%eth0"), true},
		{"no networks", nil, netip.MustParseAddr("11.0.0.1"), true},
		{"no networks and no source", nil, netip.Addr{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := only(t, identity.JWT, policy.MechanismRules{AllowedNetworks: prefixes(t, test.networks...)})
			request, cred := &authn.Request{Now: now, Source: test.source}, jwt("alice")
			// Twice: a verdict that is remembered must not stand for another source.
			for range 2 {
				got, err := p.Admit(request, cred)
				if test.admitted {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
				refused(t, got, err, policy.ErrNetwork, policy.ReasonNetwork)
				if _, err := only(t, identity.JWT, policy.MechanismRules{}).Admit(request, cred); err != nil {
					t.Errorf("twin without networks: %v", err)
				}
			}
		})
	}
	t.Run("attack: a credential seen from inside is used from outside", func(t *testing.T) {
		p, cred := only(t, identity.JWT, policy.MechanismRules{AllowedNetworks: prefixes(t, "10.0.0.0/8")}), jwt("alice")
		if _, err := p.Admit(&authn.Request{Now: now, Source: netip.MustParseAddr("10.0.0.1")}, cred); err != nil {
			t.Fatal(err)
		}
		got, err := p.Admit(&authn.Request{Now: now, Source: netip.MustParseAddr("11.0.0.1")}, cred)
		refused(t, got, err, policy.ErrNetwork, policy.ReasonNetwork)
	})
}

func TestLifetimeG06G27(t *testing.T) {
	day := policy.MechanismRules{MaxLifetime: 24 * time.Hour}
	for _, test := range []struct {
		name     string
		from, to time.Time
		admitted bool
	}{
		{"a year", now.Add(-time.Hour), now.Add(365 * 24 * time.Hour), false},
		{"a nanosecond too long", now, now.Add(24*time.Hour + 1), false},
		{"attack: no start", time.Time{}, now.Add(time.Hour), false},
		{"attack: no end", now.Add(-time.Hour), time.Time{}, false},
		{"attack: neither", time.Time{}, time.Time{}, false},
		{"attack: starts after its end", now.Add(2 * time.Hour), now.Add(time.Hour), false},
		{"attack: ends as it starts", now, now, false},
		{"attack: so long that the difference overflows", time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"exactly", now, now.Add(24 * time.Hour), true},
		{"shorter", now.Add(-time.Minute), now.Add(time.Hour), true},
		{"starts in the future, which Kubernetes does not mind", now.Add(time.Hour), now.Add(2 * time.Hour), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cred := jwt("alice")
			cred.NotBefore, cred.NotAfter = test.from, test.to
			request := &authn.Request{Now: now}
			got, err := only(t, identity.JWT, day).Admit(request, cred)
			if test.admitted {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused(t, got, err, policy.ErrLifetime, policy.ReasonLifetime)
			if unstated := test.from.IsZero() || test.to.IsZero(); strings.Contains(err.Error(), "does not state") != unstated {
				t.Errorf("error %q: says otherwise whether a lifetime was stated", err)
			}
			if _, err := only(t, identity.JWT, policy.MechanismRules{}).Admit(request, cred); err != nil {
				t.Errorf("twin without a bound: %v", err)
			}
		})
	}
}

func TestNothingOutlivesItsCredential(t *testing.T) {
	p, cred := only(t, identity.JWT, policy.MechanismRules{}), jwt("alice")
	cred.NotAfter = now
	for _, at := range []time.Time{now.Add(-time.Hour), now} {
		if _, err := p.Admit(&authn.Request{Now: at}, cred); err != nil {
			t.Errorf("at %s: %v", at, err)
		}
	}
	for _, test := range []struct {
		name string
		now  time.Time
	}{
		{"attack 86: a remembered credential that has expired", now.Add(1)},
		{"a request without a time", time.Time{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := p.Admit(&authn.Request{Now: test.now}, cred)
			refused(t, got, err, policy.ErrExpired, policy.ReasonExpired)
			if _, err := p.Admit(&authn.Request{Now: test.now}, jwt("alice")); err != nil {
				t.Errorf("twin without an expiry: %v", err)
			}
		})
	}
}

func TestReservedNames(t *testing.T) {
	for _, test := range []struct {
		name    string
		cred    *authn.Credential
		allowed []string
	}{
		{"attack 23: masters in a token's groups", jwt("alice", "dev", "system:masters"), nil},
		{"attack 24: a directory's group called so", jwt("alice", "system:masters"), nil},
		{"attack 23: a ServiceAccount", jwt("system:serviceaccount:kube-system:x"), nil},
		{"attack 23: a node", jwt("system:node:a", "system:nodes"), nil},
		{"attack 23: anonymous", jwt("system:anonymous"), nil},
		{"attack 23: a controller", jwt("system:kube-controller-manager"), nil},
		{"attack 31: authenticated", jwt("alice", "system:authenticated"), nil},
		{"attack 31: unauthenticated keeps authenticated away", jwt("alice", "system:unauthenticated"), nil},
		{"nothing but the prefix", jwt("system:"), nil},
		{"a group of a rule that removes it", jwt("alice", "system:masters"), []string{"system:node*"}},
		{"the user is allowed and the group is not", jwt("system:node:a", "system:nodes"), []string{"system:node:*"}},
		{"the group is allowed and the user is not", jwt("system:node:a", "system:nodes"), []string{"system:nodes"}},
		{"exact names are exact", jwt("system:node:ab"), []string{"system:node:a"}},
		{"case matters in the list", jwt("system:node:a"), []string{"system:Node:a"}},
		{"another mechanism's own names", jwt("system:anonymous", "system:unauthenticated"), nil},
		{"anonymous with more than its own", &authn.Credential{
			Mechanism: identity.AnonymousAccess,
			Identity:  identity.Identity{Username: "system:anonymous", Groups: []string{"system:unauthenticated", "system:masters"}},
		}, nil},
		{"anonymous as somebody else", &authn.Credential{
			Mechanism: identity.AnonymousAccess,
			Identity:  identity.Identity{Username: "system:admin", Groups: []string{"system:unauthenticated"}},
		}, nil},
		{"anonymous's names in each other's place", &authn.Credential{
			Mechanism: identity.AnonymousAccess,
			Identity:  identity.Identity{Username: "system:unauthenticated", Groups: []string{"system:anonymous"}},
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := &authn.Request{Now: now}
			// A rule that would take the group away comes too late.
			p := mustNew(t, policy.Config{
				Mechanisms: map[identity.Mechanism]policy.MechanismRules{test.cred.Mechanism: {AllowedSystemNames: test.allowed}},
				GroupRules: []policy.GroupRule{{Name: "strip", Mechanisms: []string{"*", "anonymous"}, Remove: []string{"*"}}},
			})
			got, err := p.Admit(request, test.cred)
			refused(t, got, err, policy.ErrReservedName, policy.ReasonReservedName)
			twin := only(t, test.cred.Mechanism, policy.MechanismRules{AllowedSystemNames: []string{"system:*"}})
			if _, err := twin.Admit(request, test.cred); err != nil {
				t.Errorf("twin that allows the names: %v", err)
			}
		})
	}
	for _, test := range []struct {
		name string
		cred *authn.Credential
		want identity.Identity
	}{
		{
			"other case is no name of Kubernetes", jwt("System:masters", "SYSTEM:MASTERS"),
			identity.Identity{Username: "System:masters", Groups: []string{"SYSTEM:MASTERS", "system:authenticated"}},
		},
		{
			"the prefix without its colon", jwt("system", "systemmasters"),
			identity.Identity{Username: "system", Groups: []string{"systemmasters", "system:authenticated"}},
		},
		{
			"ANON-1 anonymous's own", &authn.Credential{
				Mechanism: identity.AnonymousAccess,
				Identity:  identity.Identity{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}},
			},
			identity.Identity{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := only(t, test.cred.Mechanism, policy.MechanismRules{}).Admit(&authn.Request{Now: now}, test.cred)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSystemAuthenticated(t *testing.T) {
	for _, test := range []struct {
		name string
		cred *authn.Credential
		want []string
	}{
		{"GRP-1 at the end", jwt("alice", "b", "a", "a"), []string{"b", "a", "a", "system:authenticated"}},
		{"GRP-1 alone", jwt("alice"), []string{"system:authenticated"}},
		{"GRP-2 not twice", jwt("alice", "system:authenticated", "a"), []string{"system:authenticated", "a"}},
		{"GRP-2 not beside system:unauthenticated", jwt("alice", "system:unauthenticated"), []string{"system:unauthenticated"}},
		{"GRP-2 not for system:anonymous", jwt("system:anonymous", "a"), []string{"a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := only(t, identity.JWT, policy.MechanismRules{AllowedSystemNames: []string{"system:*"}}).Admit(&authn.Request{Now: now}, test.cred)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.Groups); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusalsAreShort(t *testing.T) {
	long := strings.Repeat("\x00", 1<<20)
	for _, cred := range []*authn.Credential{jwt(long), jwt("system:" + long), jwt("alice", "system:"+long), jwt("alice", long)} {
		_, err := only(t, identity.JWT, policy.MechanismRules{}).Admit(&authn.Request{Now: now}, cred)
		if err == nil || len(err.Error()) > 2000 || strings.Contains(err.Error(), "\x00") {
			t.Errorf("error of %d bytes, want a short and printable one", len(err.Error()))
		}
	}
}

func TestNewNamesEveryMistake(t *testing.T) {
	_, err := policy.New(policy.Config{
		Mechanisms: map[identity.Mechanism]policy.MechanismRules{
			"jwtt": {},
			identity.JWT: {
				MaxLifetime:        -time.Second,
				AllowedNetworks:    []netip.Prefix{{}, netip.MustParsePrefix("::ffff:0.0.0.0/90")},
				AllowedSystemNames: []string{"", "*", "oidc:*", "system:*:x", "sys*"},
			},
		},
		GroupRules: []policy.GroupRule{
			{Name: "nothing"},
			{Name: "", Add: []string{"x"}},
			{Name: "twice", Add: []string{"x"}},
			{Name: "twice", Add: []string{"x"}},
			{Name: "names", Add: []string{"", " x", "x\n", "x\xff", "system:authenticated"}, Remove: []string{"a*b"}, Rename: map[string]string{"a": "system:unauthenticated", "b": "b", "": "c"}},
			{Name: "match", Add: []string{"x"}, Users: []string{""}, Groups: []string{"*x"}, Clusters: []string{"**"}, Mechanisms: []string{"oidc", "x509*"}},
		},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`mechanism "jwtt": there is no such mechanism`, "-1s is negative", "invalid Prefix is not valid", "::ffff:0.0.0.0/90 is wider",
		`a name is empty`, `"*" does not start with "system:"`, `"oidc:*" does not start`, `"system:*:x" has a "*"`, `"sys*" does not start`,
		`group rule 0 "nothing": the rule does nothing`, "group rule 1 \"\": the rule has no name", `group rule 3 "twice": there is another rule`,
		"add: the group's name is empty", `add: the group " x" cannot be handed on: it starts or ends with a blank`, `"x\n" cannot`, `"x\xff" cannot`,
		`add: the group "system:authenticated" is given by`, `remove: "a*b" has a "*"`, `rename "a": the group "system:unauthenticated"`,
		`rename "b": this changes nothing`, `rename "": this changes nothing`, "users: a name is empty", `groups: "*x" has`, `clusters: "**" has`,
		`there is no mechanism "oidc"`, `there is no mechanism "x509"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/policy"
)

func TestGroupRulesG11G21(t *testing.T) {
	nobody := &authn.Credential{
		Mechanism: identity.AnonymousAccess,
		Identity:  identity.Identity{Username: identity.Anonymous, Groups: []string{identity.GroupUnauthenticated}},
	}
	authenticated := identity.GroupAuthenticated
	for _, test := range []struct {
		name    string
		rules   []policy.GroupRule
		cred    *authn.Credential
		cluster string
		want    []string
	}{
		{"no match by user", []policy.GroupRule{{Name: "r", Users: []string{"bob", "al"}, Add: []string{"x"}}}, jwt("alice", "a"), "prod", []string{"a", authenticated}},
		{"no match by group", []policy.GroupRule{{Name: "r", Groups: []string{"b"}, Add: []string{"x"}}}, jwt("alice", "a"), "prod", []string{"a", authenticated}},
		{"no match by a group that is added last", []policy.GroupRule{{Name: "r", Groups: []string{authenticated}, Add: []string{"x"}}}, jwt("alice", "a"), "prod", []string{"a", authenticated}},
		{"no match by mechanism", []policy.GroupRule{{Name: "r", Mechanisms: []string{"webhook"}, Add: []string{"x"}}}, jwt("alice", "a"), "prod", []string{"a", authenticated}},
		{"no match by cluster", []policy.GroupRule{{Name: "r", Clusters: []string{"dev-*"}, Add: []string{"x"}}}, jwt("alice", "a"), "prod", []string{"a", authenticated}},
		{"one of two conditions is not enough", []policy.GroupRule{{Name: "r", Users: []string{"alice"}, Clusters: []string{"dev"}, Add: []string{"x"}}}, jwt("alice", "a"), "prod", []string{"a", authenticated}},
		{"attack: a rule for everybody is not for anonymous", []policy.GroupRule{{Name: "r", Add: []string{"x"}}}, nobody, "prod", []string{identity.GroupUnauthenticated}},
		{"attack: nor is one for all mechanisms", []policy.GroupRule{{Name: "r", Mechanisms: []string{"*"}, Add: []string{"x"}}}, nobody, "prod", []string{identity.GroupUnauthenticated}},
		{"anonymous by its name", []policy.GroupRule{{Name: "r", Mechanisms: []string{"anonymous"}, Add: []string{"x"}}}, nobody, "prod", []string{identity.GroupUnauthenticated, "x"}},
		{
			"all conditions",
			[]policy.GroupRule{{Name: "r", Users: []string{"bob", "al*"}, Groups: []string{"x", "a*"}, Mechanisms: []string{"jwt"}, Clusters: []string{"pro*"}, Add: []string{"x"}}},
			jwt("alice", "abc"), "prod",
			[]string{"abc", "x", authenticated},
		},
		{"everybody", []policy.GroupRule{{Name: "r", Add: []string{"x", "y"}}}, jwt("alice"), "prod", []string{"x", "y", authenticated}},
		{"add what is there", []policy.GroupRule{{Name: "r", Add: []string{"a", "x", "x"}}}, jwt("alice", "a", "a"), "prod", []string{"a", "a", "x", authenticated}},
		{"remove", []policy.GroupRule{{Name: "r", Remove: []string{"a", "team-*"}}}, jwt("alice", "team-x", "a", "ab", "team-", "a", "team"), "prod", []string{"ab", "team", authenticated}},
		{"remove all", []policy.GroupRule{{Name: "r", Remove: []string{"*"}}}, jwt("alice", "a", "b"), "prod", []string{authenticated}},
		{"rename is exact and each once", []policy.GroupRule{{Name: "r", Rename: map[string]string{"a": "b", "b": "c"}}}, jwt("alice", "a", "b", "ab"), "prod", []string{"b", "c", "ab", authenticated}},
		{
			"remove before rename before add",
			[]policy.GroupRule{{Name: "r", Remove: []string{"a"}, Rename: map[string]string{"a": "z", "b": "a"}, Add: []string{"a", "b"}}},
			jwt("alice", "a", "b"), "prod",
			[]string{"a", "b", authenticated},
		},
		{
			"in order, each on what the one before left",
			[]policy.GroupRule{
				{Name: "1", Groups: []string{"b"}, Add: []string{"early"}}, {Name: "2", Rename: map[string]string{"a": "b"}}, {Name: "3", Groups: []string{"b"}, Add: []string{"late"}},
			},
			jwt("alice", "a"), "prod",
			[]string{"b", "late", authenticated},
		},
		{"the operator may give names of Kubernetes", []policy.GroupRule{{Name: "r", Users: []string{"alice"}, Add: []string{"system:masters"}}}, jwt("alice"), "prod", []string{"system:masters", authenticated}},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := map[identity.Mechanism]policy.MechanismRules{identity.JWT: {}, identity.AnonymousAccess: {}}
			before := test.cred.Identity.Clone()
			p := mustNew(t, policy.Config{Mechanisms: all, GroupRules: test.rules})
			for range 2 { // the second time from memory
				got, err := p.Admit(&authn.Request{Now: now, Cluster: test.cluster}, test.cred)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, got.Groups); diff != "" {
					t.Errorf("groups (-want +got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(before, &test.cred.Identity); diff != "" {
				t.Errorf("attack 88: the shared credential was changed (-before +after):\n%s", diff)
			}
			got, err := mustNew(t, policy.Config{Mechanisms: all}).Admit(&authn.Request{Now: now}, test.cred)
			if err != nil {
				t.Fatal(err)
			}
			twin := before.Clone()
			twin.AddAuthenticated()
			if diff := cmp.Diff(twin.Groups, got.Groups); diff != "" {
				t.Errorf("twin without rules (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheSameCredentialOnTwoClusters(t *testing.T) {
	p := mustNew(t, policy.Config{
		Mechanisms: map[identity.Mechanism]policy.MechanismRules{identity.JWT: {}},
		GroupRules: []policy.GroupRule{{Name: "r", Clusters: []string{"prod"}, Add: []string{"x"}}},
	})
	cred := jwt("alice")
	for range 2 {
		for cluster, want := range map[string]int{"prod": 2, "dev": 1, "": 1} {
			got, err := p.Admit(&authn.Request{Now: now, Cluster: cluster}, cred)
			if err != nil || len(got.Groups) != want {
				t.Errorf("cluster %q: %v, error %v: want %d groups", cluster, got, err, want)
			}
		}
	}
}

// A rule that was changed after New had it does not change the policy.
func TestThePolicyKeepsItsOwnRules(t *testing.T) {
	rule := policy.GroupRule{Name: "r", Rename: map[string]string{"a": "b"}, Add: []string{"x"}}
	p := mustNew(t, policy.Config{
		Mechanisms: map[identity.Mechanism]policy.MechanismRules{identity.JWT: {}},
		GroupRules: []policy.GroupRule{rule},
	})
	rule.Rename["a"], rule.Add[0] = "system:masters", "system:masters"
	got, err := p.Admit(&authn.Request{Now: now}, jwt("alice", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "x", identity.GroupAuthenticated}, got.Groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

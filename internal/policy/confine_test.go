package policy_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/policy"
)

// joining are rules such as bootstrap tokens have.
func joining() []policy.RequestRule {
	return []policy.RequestRule{
		{Verbs: []string{"create", "get"}, APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"certificatesigningrequests"}},
		{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"configmaps"}, Namespaces: []string{"kube-public"}, Names: []string{"cluster-info"}},
		{Verbs: []string{"get"}, Paths: []string{"/version", "/api/*"}},
	}
}

func csr(verb string) policy.Call {
	return policy.Call{Verb: verb, APIGroup: "certificates.k8s.io", Resource: "certificatesigningrequests"}
}

func TestConfineG16(t *testing.T) {
	t.Parallel()
	bound := mustNew(t, policy.Config{Mechanisms: map[identity.Mechanism]policy.MechanismRules{
		identity.BootstrapToken: {Requests: joining()}, identity.StaticToken: {},
	}})
	free := mustNew(t, policy.Config{Mechanisms: map[identity.Mechanism]policy.MechanismRules{identity.BootstrapToken: {}}})
	cred := &authn.Credential{Mechanism: identity.BootstrapToken}
	for _, tt := range []struct {
		name    string
		call    policy.Call
		allowed bool
	}{
		{"create a request", csr("create"), true},
		{"delete a request", csr("delete"), false},
		{"approve a request", policy.Call{Verb: "get", APIGroup: "certificates.k8s.io", Resource: "certificatesigningrequests/approval"}, false},
		{"same name in another group", policy.Call{Verb: "create", APIGroup: "example.com", Resource: "certificatesigningrequests"}, false},
		{"cluster-info", policy.Call{Verb: "get", Resource: "configmaps", Namespace: "kube-public", Name: "cluster-info"}, true},
		{"cluster-info elsewhere", policy.Call{Verb: "get", Resource: "configmaps", Namespace: "default", Name: "cluster-info"}, false},
		{"another config map", policy.Call{Verb: "get", Resource: "configmaps", Namespace: "kube-public", Name: "other"}, false},
		{"list config maps", policy.Call{Verb: "list", Resource: "configmaps", Namespace: "kube-public"}, false},
		{"pods", policy.Call{Verb: "list", Resource: "pods"}, false},
		{"path", policy.Call{Verb: "get", Path: "/version"}, true},
		{"path below", policy.Call{Verb: "get", Path: "/api/v1"}, true},
		{"other path", policy.Call{Verb: "get", Path: "/metrics"}, false},
		{"path of a longer name", policy.Call{Verb: "get", Path: "/versions"}, false},
		{"as somebody else", policy.Call{Verb: "create", APIGroup: "certificates.k8s.io", Resource: "certificatesigningrequests", Impersonates: true}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := bound.Confine(cred, &tt.call); (err == nil) != tt.allowed || err != nil && !errors.Is(err, policy.ErrRequest) {
				t.Errorf("%v, want allowed %v", err, tt.allowed)
			}
			if err := free.Confine(cred, &tt.call); err != nil {
				t.Errorf("the twin without rules: %v", err)
			}
		})
	}
	call := policy.Call{Verb: "list", Resource: "pods"}
	if err := bound.Confine(&authn.Credential{Mechanism: identity.StaticToken}, &call); err != nil {
		t.Errorf("another mechanism is confined too: %v", err)
	}
	if err := bound.Confine(&authn.Credential{Mechanism: identity.JWT}, &call); !errors.Is(err, policy.ErrUnknownMechanism) {
		t.Errorf("a mechanism without rules: %v", err)
	}
	if !bound.Confines(identity.BootstrapToken) || bound.Confines(identity.StaticToken) || !bound.Confines(identity.JWT) {
		t.Error("Confines contradicts Confine")
	}
}

// TestUsesG18: a token is used as often as it may be and not once more, however many try at a time, and a changed
// configuration does not start the count anew.
func TestUsesG18(t *testing.T) {
	t.Parallel()
	const most = 3
	uses := new(policy.Uses)
	config := policy.Config{Uses: uses, Mechanisms: map[identity.Mechanism]policy.MechanismRules{
		identity.BootstrapToken: {Requests: joining(), MaxUses: most},
	}}
	cred := &authn.Credential{Mechanism: identity.BootstrapToken, ID: identity.CredentialID{Value: "BOOTSTRAP=abcdef"}}
	var passed atomic.Int32
	var group sync.WaitGroup
	for range 20 {
		p := mustNew(t, config)
		group.Go(func() {
			call := csr("create")
			if p.Confine(cred, &call) == nil {
				passed.Add(1)
			}
		})
	}
	group.Wait()
	if got := passed.Load(); got != most {
		t.Errorf("used %d times, allowed are %d", got, most)
	}
	p := mustNew(t, config)
	call := csr("create")
	if err := p.Confine(cred, &call); !errors.Is(err, policy.ErrUsedUp) {
		t.Errorf("%v, want used up", err)
	}
	call = csr("get")
	if err := p.Confine(cred, &call); err != nil {
		t.Errorf("reading is no use: %v", err)
	}
	other := &authn.Credential{Mechanism: identity.BootstrapToken, ID: identity.CredentialID{Value: "BOOTSTRAP=fedcba"}}
	call = csr("create")
	if err := p.Confine(other, &call); err != nil {
		t.Errorf("another token is used up as well: %v", err)
	}
}

// TestReservedExtras: nobody forges the record of who really called.
func TestReservedExtras(t *testing.T) {
	t.Parallel()
	p := mustNew(t, policy.Config{Mechanisms: map[identity.Mechanism]policy.MechanismRules{identity.Webhook: {AllowedSystemNames: []string{"system:*"}}}})
	for key, refused := range map[string]bool{"ostiary.dev/original-user": true, "Sub.Ostiary.Dev/x": true, "example.com/x": false, "notostiary.dev/x": false} {
		cred := &authn.Credential{Mechanism: identity.Webhook, Identity: identity.Identity{Username: "w", Extra: map[string][]string{key: {"v"}}}}
		if _, err := p.Admit(&authn.Request{}, cred); errors.Is(err, policy.ErrReservedName) != refused {
			t.Errorf("%s: %v, want refused %v", key, err, refused)
		}
	}
}

package policy_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/policy"
)

// usual is a usual person, under usual rules.
func usual(t testing.TB) (*policy.Policy, *authn.Request, *authn.Credential) {
	t.Helper()
	p := mustNew(t, policy.Config{
		Mechanisms: map[identity.Mechanism]policy.MechanismRules{identity.JWT: {
			AllowedNetworks: prefixes(t, "192.168.0.0/16", "10.0.0.0/8"),
			MaxLifetime:     time.Hour,
		}},
		GroupRules: []policy.GroupRule{{Name: "r", Clusters: []string{"prod"}, Groups: []string{"group-7"}, Add: []string{"x"}}},
	})
	var groups []string
	for i := range 12 {
		groups = append(groups, fmt.Sprintf("group-%d", i))
	}
	cred := jwt("alice", groups...)
	cred.NotBefore, cred.NotAfter = now, now.Add(time.Hour)
	cred.Identity.Extra = map[string][]string{identity.ExtraCredentialID: {"JTI=1"}}
	return p, &authn.Request{Now: now, Cluster: "prod", Source: prefixes(t, "10.1.2.3/32")[0].Addr()}, cred
}

func TestASeenCredentialCostsNoAllocation(t *testing.T) {
	p, request, cred := usual(t)
	first, err := p.Admit(request, cred)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if got, err := p.Admit(request, cred); err != nil || got != first {
			t.Error("another identity the second time")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Many more credentials than there is room for are all judged rightly, whatever pushes out whatever.
func TestMoreCredentialsThanRoom(t *testing.T) {
	p := only(t, identity.JWT, policy.MechanismRules{})
	creds := make([]*authn.Credential, 10_000)
	for i := range creds {
		name := fmt.Sprintf("user-%d", i)
		if i%3 == 0 {
			name = "system:" + name
		}
		creds[i] = jwt(name)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i, cred := range creds {
				got, err := p.Admit(&authn.Request{Now: now}, cred)
				if i%3 == 0 {
					if err == nil {
						t.Errorf("%s was admitted", cred.Identity.Username)
					}
				} else if err != nil || got.Username != cred.Identity.Username {
					t.Errorf("%s became %v, %v", cred.Identity.Username, got, err)
				}
			}
		})
	}
	group.Wait()
}

// Credentials that nobody uses any more are let go, up to the size of the memo.
func TestTheMemoIsBounded(t *testing.T) {
	p := only(t, identity.JWT, policy.MechanismRules{})
	const each = 1 << 10
	fill := func(n int) {
		for range n {
			cred := jwt("alice", string(make([]byte, each)))
			_, _ = p.Admit(&authn.Request{Now: now}, cred) // refused for its zero bytes, which is remembered too
		}
	}
	fill(20_000) // five times the room
	before := live()
	fill(10_000)
	if grown := live() - before; grown > 2_000*each {
		t.Errorf("the memo grew by %d bytes after it was full", grown)
	}
	runtime.KeepAlive(p)
}

func live() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func BenchmarkAdmitSeen(b *testing.B) {
	p, request, cred := usual(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Admit(request, cred); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAdmitSeenInParallel(b *testing.B) {
	p, request, cred := usual(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := p.Admit(request, cred); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkAdmitNew(b *testing.B) {
	p, request, cred := usual(b)
	b.ReportAllocs()
	for b.Loop() {
		fresh := *cred
		if _, err := p.Admit(request, &fresh); err != nil {
			b.Fatal(err)
		}
	}
}

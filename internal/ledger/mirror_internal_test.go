package ledger

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

// numbered is a certificate unlike all others.
func numbered(i int) *authn.Credential {
	id := fmt.Sprintf("X509SHA256=%064x", i)
	return &authn.Credential{
		ID: identity.CredentialID{Value: id}, Mechanism: identity.ClientCertificate,
		Identity: identity.Identity{Username: fmt.Sprintf("user-%d", i%1000), Groups: []string{"platform"}}, NotBefore: time.Now(),
		Certificate: &authn.Certificate{ID: id, Serial: fmt.Sprintf("%x", i), Issuer: "CN=users", Chains: [][]string{{"SPKISHA256=users"}}},
	}
}

// filled is a mirror with so many entries and revocations.
func filled(records int) *mirror {
	m := newMirror()
	for i := range records {
		cred := numbered(i)
		m.record(digestOf(cred.ID.Value, ""), knownOf(uint64(i), false))
		m.put(&Revocation{Name: fmt.Sprintf("r-%010d", i), Target: Target{Kind: OneCredential, Name: numbered(-i - 1).ID.Value}})
	}
	return m
}

// BenchmarkMirror measures what judging costs a request, by how much is on record and shut out.
func BenchmarkMirror(b *testing.B) {
	for _, records := range []int{0, 1_000_000} {
		m := filled(records)
		all := make([]*authn.Credential, 4096)
		for i := range all {
			all[i] = numbered(i)
		}
		now := time.Now()
		b.Run(fmt.Sprintf("seen/records=%d", records), func(b *testing.B) {
			m.remember(all[0], nil, m.generation.Load())
			b.ReportAllocs()
			for b.Loop() {
				if _, clean := m.remembered(all[0]); !clean {
					b.Fatal("forgotten")
				}
			}
		})
		b.Run(fmt.Sprintf("looked-up/records=%d", records), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if found := m.find(all[i%len(all)], now); found.revocation != "" {
					b.Fatal(found.revocation)
				}
			}
		})
	}
}

// BenchmarkMirrorMemory measures what a million entries and a million revocations take.
func BenchmarkMirrorMemory(b *testing.B) {
	const million = 1_000_000
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	for b.Loop() {
		before := heap()
		m := newMirror()
		for i := range million {
			m.record(digestOf(numbered(i).ID.Value, ""), knownOf(uint64(i), false))
		}
		entries := heap()
		for i := range million {
			m.put(&Revocation{Name: fmt.Sprintf("r-%010d", i), Target: Target{Kind: OneCredential, Name: numbered(i).ID.Value}})
		}
		revocations := heap()
		b.ReportMetric(float64(entries-before)/(1<<20), "MiB/1M-entries")
		b.ReportMetric(float64(revocations-entries)/(1<<20), "MiB/1M-revocations")
		runtime.KeepAlive(m)
	}
}

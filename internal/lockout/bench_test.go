package lockout_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime"
	"testing"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/lockout"
	"github.com/ostiary/ostiary/internal/secret"
)

// jws is a token of the form and about the length of a ServiceAccount's.
func jws() string {
	part := func(n int) string {
		raw := make([]byte, n)
		_, _ = rand.Read(raw)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	return part(64) + "." + part(480) + "." + part(256)
}

// TestGoodPathAllocatesNothing: of a token that is known to be good nothing is made and nothing is waited for.
func TestGoodPathAllocatesNothing(t *testing.T) {
	e := newEngine(t)
	token, r := secret.New(jws()), from(clean)
	if err := present(t, e, r, token.Reveal(), authn.Ending{Credential: jane}); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() {
		attempt, err := e.Enter(ctx, r, token)
		if err != nil {
			t.Fatal(err)
		}
		e.Leave(r, token, attempt, authn.Ending{Credential: jane})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestMemoryIsFixed: more sources than there is room for, each with a lock and a claim of its own, leave no more behind than
// the tables.
func TestMemoryIsFixed(t *testing.T) {
	const bound = 16 << 20
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	e := newEngine(t, func(c *lockout.Config) { c.Settings.PrefixBurst, c.Settings.PairBurst = 2, 1 })
	for i := range 140_000 {
		source := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
		if i%2 == 1 {
			source = fmt.Sprintf("2001:db8:%x:%x::1", i>>8, i&255)
		}
		for range 2 {
			_ = present(t, e, from(source), bootstrap(victim), authn.Ending{})
		}
	}
	if grown := int64(heap()) - int64(before); grown > bound {
		t.Errorf("%d bytes are held, want %d at most", grown, bound)
	} else {
		t.Logf("%.1f MiB are held", float64(grown)/(1<<20))
	}
	runtime.KeepAlive(e)
}

func BenchmarkGood(b *testing.B) {
	for _, tt := range []struct{ name, token string }{{"strong", strong()}, {"jws", jws()}} {
		b.Run(tt.name, func(b *testing.B) {
			e := newEngine(b)
			token, r, ctx := secret.New(tt.token), from(clean), context.Background()
			if err := present(b, e, r, tt.token, authn.Ending{Credential: jane}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					attempt, _ := e.Enter(ctx, r, token)
					e.Leave(r, token, attempt, authn.Ending{Credential: jane})
				}
			})
		})
	}
}

// BenchmarkJunk is what an attacker's token costs once its source is locked.
func BenchmarkJunk(b *testing.B) {
	for _, tt := range []struct {
		name string
		make func() string
	}{{"weak", weak}, {"bootstrap", func() string { return bootstrap(victim) }}, {"strong", strong}, {"jws", jws}} {
		b.Run(tt.name, func(b *testing.B) {
			e := newEngine(b)
			judged(b, e, at(attacker), 100, weak)
			tokens := make([]secret.String, 1024)
			for i := range tokens {
				tokens[i] = secret.New(tt.make())
			}
			r, ctx := from(attacker), context.Background()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				token := tokens[i%len(tokens)]
				if attempt, err := e.Enter(ctx, r, token); err == nil {
					e.Leave(r, token, attempt, authn.Ending{})
				}
			}
		})
	}
}

package lockout_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/bootstraptoken"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/lockout"
	"github.com/ostiary/ostiary/internal/policy"
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

// BenchmarkTiming compares how long the gate takes to answer to an id that is not known with how long it takes for a wrong
// secret, over a million of each, by Welch's t: below 4.5 nobody can tell them apart. What is measured is the whole answer,
// without the network; the lockout is off, since it ends such an attempt after five. Run it with -benchtime=1x.
func BenchmarkTiming(b *testing.B) {
	const samples, ids = 1_000_000, 1024
	entries := ""
	var known, unknown []string
	for i := range ids {
		id := fmt.Sprintf("k%05d", i)
		entries += "- id: " + id + "\n  hash: sha256:" + fmt.Sprintf("%064x", i+2) + "\n  expires: \"2100-01-01T00:00:00Z\"\n"
		known = append(known, bootstrap(id))
		unknown = append(unknown, bootstrap(fmt.Sprintf("u%05d", i)))
	}
	gate := gateOf(b, entries)
	classes := [2][]string{known, unknown}
	random := make([]byte, samples/4)
	for range b.N {
		var took [2][]float64
		_, _ = rand.Read(random)
		for i := range 2 * samples {
			class := int(random[i/8] >> (i % 8) & 1)
			r := httptest.NewRequest(http.MethodGet, "/api", nil)
			r.Header.Set("Authorization", "Bearer "+classes[class][i%ids])
			w := httptest.NewRecorder()
			began := time.Now()
			gate.ServeHTTP(w, r)
			took[class] = append(took[class], float64(time.Since(began)))
			if w.Code != http.StatusUnauthorized {
				b.Fatalf("a wrong token: %d", w.Code)
			}
		}
		t, mean := welch(took)
		b.ReportMetric(math.Abs(t), "t")
		b.ReportMetric(mean[0], "ns/wrong")
		b.ReportMetric(mean[1], "ns/unknown")
	}
}

// welch is Welch's t of two samples, and their means. What the machine did in between says nothing: the slowest tenth of all
// is left out, by one bound for both.
func welch(took [2][]float64) (t float64, mean [2]float64) {
	const crop = 0.9
	all := slices.Sorted(slices.Values(slices.Concat(took[0], took[1])))
	limit := all[int(float64(len(all))*crop)]
	var variance, n [2]float64
	for class := range took {
		took[class] = slices.DeleteFunc(took[class], func(t float64) bool { return t > limit })
		n[class] = float64(len(took[class]))
		for _, t := range took[class] {
			mean[class] += t / n[class]
		}
		for _, t := range took[class] {
			variance[class] += (t - mean[class]) * (t - mean[class]) / (n[class] - 1)
		}
	}
	return (mean[0] - mean[1]) / math.Sqrt(variance[0]/n[0]+variance[1]/n[1]), mean
}

// gateOf is a gate that takes the bootstrap tokens of a file, and locks nobody out.
func gateOf(tb testing.TB, entries string) *gateway.Gate {
	tb.Helper()
	file, err := bootstraptoken.ParseFile([]byte(entries))
	if err != nil {
		tb.Fatal(err)
	}
	admitter, err := policy.New(policy.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	chain, err := authn.New(authn.Config{
		Admitter: admitter, Guard: authn.Unguarded(),
		Tokens: []authn.TokenStep{{Name: identity.BootstrapToken, Mechanism: bootstraptoken.New(file, false)}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	gate, err := gateway.New(gateway.Config{
		Sink: accesslog.Sinks{}, Logger: slog.New(slog.DiscardHandler), State: &gateway.State{Clusters: []*gateway.Cluster{{
			Name: "prod", Server: &url.URL{Scheme: "https", Host: "cluster"}, Authenticator: chain,
			HTTP1: &http.Transport{}, HTTP2: &http.Transport{}, Assert: func(http.Header, *identity.Identity) error { return nil },
		}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return gate
}

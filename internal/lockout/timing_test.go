package lockout_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/bootstraptoken"
	"github.com/ostiary/ostiary/internal/authn/statictoken"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/policy"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/timingtest"
)

// timedIDs is how many ids there are of each kind.
const timedIDs = 1024

// timed is one thing that an attacker's watch must not tell.
type timed struct {
	name   string
	guard  func(b *testing.B) authn.Guard
	source func(i int) netip.Addr
	// kinds are the tokens that it must not tell apart; tokens makes them, and the mechanism that judges them.
	tokens func(b *testing.B) (kinds [2][]string, step authn.TokenStep)
	status int
}

// BenchmarkTiming measures whether how long the gate takes to refuse tells an id that is not known from a secret that is
// wrong, over a million samples in random order, by Welch's t: below 4.5 nobody can tell them apart. What is measured is the
// whole answer, without the network. Run it with -benchtime=1x. "found out" is the twin: a mechanism that looks whether there
// is such an id first.
func BenchmarkTiming(b *testing.B) {
	const samples = 1_000_000
	unguarded := func(*testing.B) authn.Guard { return authn.Unguarded() }
	guarded := func(b *testing.B) authn.Guard {
		b.Helper()
		return newEngine(b)
	}
	always := func(int) netip.Addr { return netip.MustParseAddr(attacker) }
	fresh := func(i int) netip.Addr {
		var four [4]byte
		binary.BigEndian.PutUint32(four[:], 10<<24|uint32(i))
		return netip.AddrFrom4(four)
	}
	locked := func(b *testing.B) authn.Guard {
		b.Helper()
		e := newEngine(b)
		judged(b, e, at(attacker), 100, weak)
		return e
	}
	for _, tt := range []timed{
		{"bootstrap", unguarded, always, bootstrapKinds, http.StatusUnauthorized},
		{"bootstrap, counted, each from another source", guarded, fresh, bootstrapKinds, http.StatusUnauthorized},
		{"bootstrap, from a locked source", locked, always, bootstrapKinds, http.StatusTooManyRequests},
		{"static, a little off and far off", unguarded, always, staticKinds, http.StatusUnauthorized},
		{"static, counted, each from another source", guarded, fresh, staticKinds, http.StatusUnauthorized},
		{"found out", unguarded, always, hastyKinds, http.StatusUnauthorized},
	} {
		b.Run(tt.name, func(b *testing.B) {
			kinds, step := tt.tokens(b)
			var headers [2][]string
			for kind := range kinds {
				for _, token := range kinds[kind] {
					headers[kind] = append(headers[kind], "Bearer "+token)
				}
			}
			gate := timedGate(b, step, tt.guard(b))
			for b.Loop() {
				got := timingtest.Compare(samples, func(kind, i int) func() {
					r := httptest.NewRequest(http.MethodGet, "/api", nil)
					r.Header.Set("Authorization", headers[kind][i%timedIDs])
					r.RemoteAddr = netip.AddrPortFrom(tt.source(i), 1234).String()
					w := httptest.NewRecorder()
					return func() {
						if gate.ServeHTTP(w, r); w.Code != tt.status {
							b.Errorf("status %d, want %d", w.Code, tt.status)
						}
					}
				})
				b.ReportMetric(math.Abs(got.T), "t")
				b.ReportMetric(float64(got.Means[0]), "ns/wrong")
				b.ReportMetric(float64(got.Means[1]), "ns/unknown")
			}
		})
	}
}

// bootstrapKinds are wrong secrets of ids that there are, and of others.
func bootstrapKinds(b *testing.B) (kinds [2][]string, step authn.TokenStep) {
	b.Helper()
	entries := ""
	for i := range timedIDs {
		id := fmt.Sprintf("k%05d", i)
		entries += "- id: " + id + "\n  hash: sha256:" + fmt.Sprintf("%064x", i+2) + "\n  expires: \"2100-01-01T00:00:00Z\"\n"
		kinds[0] = append(kinds[0], bootstrap(id))
		kinds[1] = append(kinds[1], bootstrap(fmt.Sprintf("u%05d", i)))
	}
	file, err := bootstraptoken.ParseFile([]byte(entries))
	if err != nil {
		b.Fatal(err)
	}
	return kinds, authn.TokenStep{Name: identity.BootstrapToken, Mechanism: bootstraptoken.New(file, false)}
}

// staticKinds are tokens that differ from good ones in their last character, and tokens that differ in more than a third. They
// begin alike, as the estimate of a token's strength takes a time that depends on the token, and on nothing secret. Static
// tokens have no id.
func staticKinds(b *testing.B) (kinds [2][]string, step authn.TokenStep) {
	b.Helper()
	file := ""
	for i := range timedIDs {
		token := fmt.Sprintf("%x", sha256.Sum256([]byte(strong())))
		kinds[0] = append(kinds[0], token[:63]+"x")
		kinds[1] = append(kinds[1], token[:40]+fmt.Sprintf("%x", sha256.Sum256([]byte(token)))[:23]+"x")
		file += fmt.Sprintf("sha256:%016x:%x,user-%d,%d\n", i, sha256.Sum256([]byte(token)), i, i)
	}
	table, err := statictoken.Parse([]byte(file), statictoken.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return kinds, authn.TokenStep{Name: identity.StaticToken, Mechanism: statictoken.New(table)}
}

// hastyKinds are bootstrapKinds for a mechanism that should not be.
func hastyKinds(b *testing.B) (kinds [2][]string, step authn.TokenStep) {
	b.Helper()
	kinds, step = bootstrapKinds(b)
	step.Mechanism = hasty{step.Mechanism}
	return kinds, step
}

// hasty says no to an id that is not there before it looks at the secret.
type hasty struct{ next authn.TokenMechanism }

func (h hasty) AuthenticateToken(ctx context.Context, r *authn.Request, token secret.String) authn.Answer {
	if token.Reveal()[0] == 'u' {
		return authn.None()
	}
	return h.next.AuthenticateToken(ctx, r, token)
}

// timedGate is a gate with one mechanism.
func timedGate(b *testing.B, step authn.TokenStep, guard authn.Guard) *gateway.Gate {
	b.Helper()
	admitter, err := policy.New(policy.Config{})
	if err != nil {
		b.Fatal(err)
	}
	chain, err := authn.New(authn.Config{Admitter: admitter, Guard: guard, Tokens: []authn.TokenStep{step}})
	if err != nil {
		b.Fatal(err)
	}
	gate, err := gateway.New(gateway.Config{
		Sink: accesslog.Sinks{}, Logger: slog.New(slog.DiscardHandler), State: &gateway.State{Clusters: []*gateway.Cluster{{
			Name: "prod", Server: &url.URL{Scheme: "https", Host: "cluster"}, Authenticator: chain,
			HTTP1: &http.Transport{}, HTTP2: &http.Transport{}, Assert: func(http.Header, *identity.Identity) error { return nil },
		}}},
	})
	if err != nil {
		b.Fatal(err)
	}
	return gate
}

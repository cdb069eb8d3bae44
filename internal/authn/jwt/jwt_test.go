package jwt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/jwt"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

// issuer is a provider over TLS that signs what it is told to and counts how often its keys were fetched.
type issuer struct {
	*httptest.Server
	key     *ecdsa.PrivateKey
	fetches atomic.Int64
	// hang, if it is set, is what the keys wait for.
	hang atomic.Pointer[chan struct{}]
}

// hangs has the issuer's keys wait until the end of the test.
func (i *issuer) hangs(t testing.TB) {
	t.Helper()
	over := make(chan struct{})
	i.hang.Store(&over)
	t.Cleanup(func() { close(over) })
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.fetches.Add(1)
		if over := i.hang.Load(); over != nil {
			<-*over
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	})
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	return i
}

// sign returns a token with these claims; iss, aud and exp are filled in where missing.
func (i *issuer) sign(t testing.TB, keyID string, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": i.URL, "aud": "kubernetes", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "sub": "alice"}
	for name, value := range claims {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	payload, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: keyID}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// configuration is the AuthenticationConfiguration for the issuers.
func configuration(issuers ...*issuer) []byte {
	var b strings.Builder
	b.WriteString("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n")
	for _, i := range issuers {
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw})
		fmt.Fprintf(&b, "- issuer: {url: %q, audiences: [kubernetes], certificateAuthority: %q}\n", i.URL, ca)
		b.WriteString("  claimMappings: {username: {claim: sub, prefix: 'oidc:'}, groups: {claim: groups, prefix: 'oidc:'}}\n")
	}
	return []byte(b.String())
}

func newMechanism(t testing.TB, issuers ...*issuer) *jwt.Mechanism {
	t.Helper()
	parsed, err := jwt.Parse(configuration(issuers...))
	if err != nil {
		t.Fatal(err)
	}
	mechanism, err := jwt.New(t.Context(), parsed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mechanism.Close)
	deadline := time.After(2 * time.Minute)
	for mechanism.Ready() != nil {
		select {
		case <-deadline:
			t.Fatal(mechanism.Ready())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return mechanism
}

func TestTokens(t *testing.T) {
	t.Parallel()
	here, elsewhere := newIssuer(t), newIssuer(t)
	second := newIssuer(t)
	mechanism := newMechanism(t, here, second)
	for _, tt := range []struct {
		name    string
		token   string
		outcome authn.Outcome
		want    identity.Identity
		id      identity.CredentialID
	}{
		{name: "OIDC-1 not a JWT", token: "tok-alice", outcome: authn.NoCredential},
		{name: "OIDC-1 foreign issuer", token: elsewhere.sign(t, "k1", nil), outcome: authn.NoCredential},
		{name: "OIDC-1 signed by another issuer", token: elsewhere.sign(t, "k1", map[string]any{"iss": here.URL})},
		{name: "OIDC-5 unknown key", token: here.sign(t, "k2", nil)},
		{name: "OIDC-9 other audience", token: here.sign(t, "k1", map[string]any{"aud": "other"})},
		{name: "OIDC-10 expired", token: here.sign(t, "k1", map[string]any{"exp": time.Now().Add(-time.Second).Unix()})},
		{name: "OIDC-10 no exp", token: here.sign(t, "k1", map[string]any{"exp": nil})},
		{name: "OIDC-12 no username", token: here.sign(t, "k1", map[string]any{"sub": nil})},
		{name: "longer than any token of a person", token: here.sign(t, "k1", map[string]any{"x": strings.Repeat("x", 64<<10)})},
		{
			name: "good, with jti", token: here.sign(t, "k1", map[string]any{"jti": "j1", "groups": []string{"dev"}}), outcome: authn.Accepted,
			want: identity.Identity{Username: "oidc:alice", Groups: []string{"oidc:dev"}, Extra: map[string][]string{identity.ExtraCredentialID: {"JTI=j1"}}},
			id:   identity.CredentialID{Issuer: here.URL, Value: "JTI=j1"},
		},
		{
			name: "good, second issuer, same jti", token: second.sign(t, "k1", map[string]any{"jti": "j1"}), outcome: authn.Accepted,
			want: identity.Identity{Username: "oidc:alice", Extra: map[string][]string{identity.ExtraCredentialID: {"JTI=j1"}}},
			id:   identity.CredentialID{Issuer: second.URL, Value: "JTI=j1"},
		},
		{
			name: "OIDC-7 times as text", token: here.sign(t, "k1", map[string]any{"jti": "j2", "iat": fmt.Sprint(time.Now().Unix())}), outcome: authn.Accepted,
			want: identity.Identity{Username: "oidc:alice", Extra: map[string][]string{identity.ExtraCredentialID: {"JTI=j2"}}},
			id:   identity.CredentialID{Issuer: here.URL, Value: "JTI=j2"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mechanism.AuthenticateToken(t.Context(), &authn.Request{}, secret.New(tt.token))
			if got.Outcome != tt.outcome {
				t.Fatalf("outcome %d, want %d (%v)", got.Outcome, tt.outcome, got.Cause)
			}
			if got.Outcome != authn.Accepted {
				return
			}
			if diff := cmp.Diff(tt.want, got.Credential.Identity); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			if got.Credential.ID != tt.id {
				t.Errorf("id %v, want %v", got.Credential.ID, tt.id)
			}
			if lifetime := got.Credential.NotAfter.Sub(got.Credential.NotBefore).Round(time.Minute); lifetime != time.Hour {
				t.Errorf("lifetime %v", lifetime)
			}
		})
	}
}

// TestUnknownKeysDoNotStormTheIssuer is attack 48: each junk token would fetch the keys anew.
func TestUnknownKeysDoNotStormTheIssuer(t *testing.T) {
	t.Parallel()
	here := newIssuer(t)
	mechanism := newMechanism(t, here)
	began, before := time.Now(), here.fetches.Load()
	for n := range 200 {
		token := here.sign(t, fmt.Sprintf("junk-%d", n), nil)
		if got := mechanism.AuthenticateToken(t.Context(), &authn.Request{}, secret.New(token)); got.Outcome != authn.Rejected {
			t.Fatalf("outcome %d", got.Outcome)
		}
	}
	allowed := int64(time.Since(began)/time.Second) + 2
	if fetched := here.fetches.Load() - before; fetched > allowed {
		t.Errorf("200 junk tokens fetched the keys %d times, want at most %d", fetched, allowed)
	}
}

func TestIssuerThatIsNotThereFails(t *testing.T) {
	t.Parallel()
	here := newIssuer(t)
	token, config := here.sign(t, "k1", nil), configuration(here)
	here.Close()
	parsed, err := jwt.Parse(config)
	if err != nil {
		t.Fatal(err)
	}
	mechanism, err := jwt.New(t.Context(), parsed)
	if err != nil {
		t.Fatal(err)
	}
	defer mechanism.Close()
	if err := mechanism.Ready(); err == nil || !strings.Contains(err.Error(), here.URL) {
		t.Errorf("Ready says %v", err)
	}
	got := mechanism.AuthenticateToken(t.Context(), &authn.Request{}, secret.New(token))
	if got.Outcome != authn.Rejected || !got.Failed {
		t.Errorf("OIDC-2: answer %+v, want a failure", got)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	here := newIssuer(t)
	good := string(configuration(here))
	for _, tt := range []struct{ name, data, want string }{
		{name: "CFG-1 empty", data: "", want: "empty"},
		{name: "CFG-1 other kind", data: "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n", want: "AuthorizationConfiguration"},
		{name: "CFG-1 unknown field", data: good + "unknown: 1\n", want: "unknown"},
		{name: "CFG-2 same issuer twice", data: string(configuration(here, here)), want: "Duplicate"},
		{name: "CFG-3 http", data: strings.ReplaceAll(good, "https://", "http://"), want: "https"},
		{name: "CFG-4 no audience", data: strings.ReplaceAll(good, "audiences: [kubernetes]", "audiences: []"), want: "audiences"},
		{name: "CFG-4 egress selector", data: strings.ReplaceAll(good, "audiences:", "egressSelectorType: cluster, audiences:"), want: "egress"},
		{name: "CFG-6 no prefix", data: strings.ReplaceAll(good, "{claim: sub, prefix: 'oidc:'}", "{claim: sub}"), want: "prefix"},
		{name: "CFG-8 email without email_verified", data: strings.ReplaceAll(good, "{claim: sub, prefix: 'oidc:'}", "{expression: claims.email}"), want: "email_verified"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := jwt.Parse([]byte(tt.data)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	parsed, err := jwt.Parse([]byte(good + "anonymous: {enabled: true, conditions: [{path: /livez}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&jwt.Anonymous{Enabled: true, Paths: []string{"/livez"}}, parsed.Anonymous); diff != "" {
		t.Errorf("ANON-3 (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: []\n"))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if parsed, err := jwt.Parse(data); (parsed == nil) == (err == nil) {
			t.Fatalf("parsed %v, error %v", parsed, err)
		}
	})
}

func BenchmarkSeenToken(b *testing.B) {
	here := newIssuer(b)
	mechanism := newMechanism(b, here)
	token := secret.New(here.sign(b, "k1", map[string]any{"groups": []string{"dev", "ops"}}))
	b.ReportAllocs()
	for b.Loop() {
		if mechanism.AuthenticateToken(b.Context(), &authn.Request{}, token).Outcome != authn.Accepted {
			b.Fatal("refused")
		}
	}
}

// TestAnIssuerThatHangs: tokens that wait for an issuer which does not answer are so many at a time; a stranger's next one is
// told to come back, and what names a key that is known is judged at once.
func TestAnIssuerThatHangs(t *testing.T) {
	t.Parallel()
	here := newIssuer(t)
	mechanism := newMechanism(t, here)
	ctx, cancel := context.WithCancel(t.Context())
	if got := mechanism.AuthenticateToken(ctx, &authn.Request{}, secret.New(here.sign(t, "k1", nil))); got.Outcome != authn.Accepted {
		t.Fatalf("a good token: %+v", got)
	}
	here.hangs(t)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	ask := func(i int, stranger bool, keyID string) authn.Answer {
		r := &authn.Request{Stranger: stranger, Source: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
		return mechanism.AuthenticateToken(ctx, r, secret.New(here.sign(t, keyID, map[string]any{"jti": fmt.Sprint(i)})))
	}
	busy := make(chan struct{}, 1)
	deadline, ticker := time.After(2*time.Minute), time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	// What was fetched a moment ago is not fetched again, so that the first ones do not wait.
	for i, full := 0, false; !full; i++ {
		waiting.Go(func() {
			if _, ok := errors.AsType[*authn.LockedError](ask(i, true, fmt.Sprintf("junk-%d", i)).Cause); ok {
				select {
				case busy <- struct{}{}:
				default:
				}
			}
		})
		select {
		case <-busy:
			full = true
		case <-ticker.C:
		case <-deadline:
			t.Fatal("strangers' tokens are waited for without a bound")
		}
	}
	if got := ask(1<<16-1, true, "k1"); !got.Failed {
		t.Errorf("a stranger's token beyond the bound: %+v", got)
	}
	if got := ask(1<<16-2, false, "k1"); got.Outcome != authn.Accepted {
		t.Errorf("a known place's token is not judged meanwhile: %v", got.Cause)
	}
}

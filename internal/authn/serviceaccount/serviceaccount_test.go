package serviceaccount_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/serviceaccount"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

const (
	issuer   = "https://kubernetes.default.svc"
	audience = "api"
	robot    = "system:serviceaccount:ns:robot"
)

// cluster plays what only the cluster knows; end to end, a real one does.
type cluster struct {
	mu       sync.Mutex
	asked    int
	status   authenticationv1.TokenReviewStatus
	err      error
	metadata *metav1.ObjectMeta
}

func (c *cluster) ReviewToken(_ context.Context, _ secret.String, _ []string) (*authenticationv1.TokenReviewStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	status := c.status
	return &status, c.err
}

func (c *cluster) SecretMetadata(context.Context, string, string) (*metav1.ObjectMeta, error) {
	if c.metadata == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, "s")
	}
	return c.metadata, nil
}

// change does something to the cluster while nobody asks it.
func (c *cluster) change(what func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what()
}

func (c *cluster) questions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// alive is a cluster that takes the token.
func alive() *cluster {
	return &cluster{status: authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{audience},
		User: authenticationv1.UserInfo{Username: robot, UID: "u-1", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"}, Extra: map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/credential-id": {"JTI=id-1"}}},
	}}
}

// signer signs tokens with one key.
type signer struct {
	key crypto.Signer
	alg jose.SignatureAlgorithm
}

var keys = sync.OnceValue(func() (all struct{ rsa, ec, stranger signer }) {
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	e, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	all.rsa, all.ec, all.stranger = signer{r, jose.RS256}, signer{e, jose.ES256}, signer{s, jose.ES256}
	return all
})

func (s signer) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(made).Claims(claims).CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func with(claims map[string]any, changes map[string]any) map[string]any {
	all := maps.Clone(claims)
	for key, value := range changes {
		if value == nil {
			delete(all, key)
		} else {
			all[key] = value
		}
	}
	return all
}

func boundClaims() map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": issuer, "sub": robot, "aud": []string{audience}, "jti": "id-1", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "ns", "serviceaccount": map[string]any{"name": "robot", "uid": "u-1"}},
	}
}

func secretClaims() map[string]any {
	return map[string]any{
		"iss": "kubernetes/serviceaccount", "sub": robot, "kubernetes.io/serviceaccount/namespace": "ns", "kubernetes.io/serviceaccount/secret.name": "s",
		"kubernetes.io/serviceaccount/service-account.name": "robot", "kubernetes.io/serviceaccount/service-account.uid": "u-1",
	}
}

func authority(t testing.TB, c serviceaccount.Cluster, change func(*serviceaccount.Config)) *serviceaccount.Authority {
	t.Helper()
	static, err := serviceaccount.NewStaticKeys([]crypto.PublicKey{keys().rsa.key.Public(), keys().ec.key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	config := serviceaccount.Config{Cluster: c, Keys: static, Issuers: []string{issuer}}
	if change != nil {
		change(&config)
	}
	a, err := serviceaccount.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ask(t testing.TB, m *serviceaccount.Mechanism, token string) authn.Answer {
	t.Helper()
	return m.AuthenticateToken(t.Context(), &authn.Request{Audiences: []string{audience}, Now: time.Now()}, secret.New(token))
}

// TestLocalRules: what is wrong with a token by itself is found here, and never shown to the cluster.
func TestLocalRules(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for _, tt := range []struct {
		name    string
		signer  signer
		changes map[string]any
		secret  bool // a token in a Secret
		mangle  func(string) string
		outcome authn.Outcome
	}{
		{name: "good", signer: keys().rsa, outcome: authn.Accepted},
		{name: "SAB-4 EC", signer: keys().ec, outcome: authn.Accepted},
		{name: "SAB-4 PS256", signer: signer{keys().rsa.key, jose.PS256}, outcome: authn.Accepted},
		{name: "SAB-4 other key", signer: keys().stranger},
		{name: "SAB-1 other issuer", signer: keys().rsa, changes: map[string]any{"iss": issuer + "/"}, outcome: authn.NoCredential},
		{name: "SAB-1 no JWT", signer: keys().rsa, mangle: func(string) string { return "abc" }, outcome: authn.NoCredential},
		{name: "SAB-6 fourth part", signer: keys().rsa, mangle: func(s string) string { return s + ".x" }, outcome: authn.NoCredential},
		{name: "broken signature", signer: keys().rsa, mangle: func(s string) string { return s[:len(s)-6] + "AAAAAA" }},
		{name: "SAB-11 exp -30s", signer: keys().rsa, changes: map[string]any{"exp": in(-30 * time.Second)}, outcome: authn.Accepted},
		{name: "SAB-11 exp -90s", signer: keys().rsa, changes: map[string]any{"exp": in(-90 * time.Second)}},
		{name: "SAB-11 nbf +90s", signer: keys().rsa, changes: map[string]any{"nbf": in(90 * time.Second)}},
		{name: "SAB-11 iat +90s", signer: keys().rsa, changes: map[string]any{"iat": in(90 * time.Second)}},
		{name: "SAB-11 no exp", signer: keys().rsa, changes: map[string]any{"exp": nil}, outcome: authn.Accepted},
		{name: "SAB-9 foreign audience", signer: keys().rsa, changes: map[string]any{"aud": []string{"vault"}}},
		{name: "SAB-9 no audience", signer: keys().rsa, changes: map[string]any{"aud": nil}, outcome: authn.Accepted},
		{name: "SAB-12 other subject", signer: keys().rsa, changes: map[string]any{"sub": "x"}, outcome: authn.Accepted},
		{name: "SAB-12 no account", signer: keys().rsa, changes: map[string]any{"kubernetes.io": nil}},
		{name: "path in a name", signer: keys().rsa, changes: map[string]any{"kubernetes.io": map[string]any{"namespace": "../kube-system", "serviceaccount": map[string]any{"name": "robot", "uid": "u-1"}}}},
		{name: "SAL-3 times do not count", signer: keys().rsa, secret: true, changes: map[string]any{"exp": 1, "nbf": in(time.Hour)}, outcome: authn.Accepted},
		{name: "SAL-2 other subject", signer: keys().rsa, secret: true, changes: map[string]any{"sub": "system:serviceaccount:ns:other"}},
		{name: "SAL-1 no secret's name", signer: keys().rsa, secret: true, changes: map[string]any{"kubernetes.io/serviceaccount/secret.name": nil}},
		{name: "SAL-1 no uid", signer: keys().rsa, secret: true, changes: map[string]any{"kubernetes.io/serviceaccount/service-account.uid": nil}},
		{name: "too long", signer: keys().rsa, changes: map[string]any{"filler": strings.Repeat("x", 64<<10)}, outcome: authn.NoCredential},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := alive()
			a := authority(t, c, nil)
			mechanism, claims, want := a.Requested(), boundClaims(), identity.TokenRequest
			if tt.secret {
				mechanism, claims, want = a.Secrets(), secretClaims(), identity.ServiceAccount
			}
			token := tt.signer.sign(t, with(claims, tt.changes))
			if tt.mangle != nil {
				token = tt.mangle(token)
			}
			got := ask(t, mechanism, token)
			if got.Outcome != tt.outcome {
				t.Fatalf("outcome %d, want %d (%v)", got.Outcome, tt.outcome, got.Cause)
			}
			if asked := c.questions(); (asked == 1) != (tt.outcome == authn.Accepted) {
				t.Errorf("the cluster was asked %d times", asked)
			}
			if got.Outcome == authn.Accepted && (got.Credential.Mechanism != want || got.Credential.Identity.Username != robot || !slices.Equal(got.Credential.Identity.Groups, []string{"system:serviceaccounts", "system:serviceaccounts:ns"})) {
				t.Errorf("%+v", got.Credential)
			}
		})
	}
}

// TestClusterDecides: whatever the cluster does not clearly confirm is refused (attacks 42 and 60).
func TestClusterDecides(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*cluster)
		failed bool
	}{
		{name: "not authenticated, with a user filled in", change: func(c *cluster) { c.status.Authenticated = false }},
		{name: "another user", change: func(c *cluster) { c.status.User.Username = "admin" }},
		{name: "another uid", change: func(c *cluster) { c.status.User.UID = "u-2" }},
		{name: "another audience", change: func(c *cluster) { c.status.Audiences = []string{"vault"} }},
		{name: "no audience", change: func(c *cluster) { c.status.Audiences = nil }},
		{name: "no answer", change: func(c *cluster) { c.err = errors.New("down") }, failed: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := alive()
			tt.change(c)
			token := keys().rsa.sign(t, boundClaims())
			if got := ask(t, authority(t, c, nil).Requested(), token); got.Outcome != authn.Rejected || got.Failed != tt.failed {
				t.Errorf("%+v", got)
			}
			if got := ask(t, authority(t, alive(), nil).Requested(), token); got.Outcome != authn.Accepted {
				t.Errorf("the twin is refused: %v", got.Cause)
			}
		})
	}
}

// TestDeadTokensAreRemembered: the cluster's yes holds for ten seconds, its no for one, an outage not at all.
func TestDeadTokensAreRemembered(t *testing.T) {
	t.Parallel()
	token := keys().rsa.sign(t, with(boundClaims(), map[string]any{"exp": nil, "nbf": nil, "iat": nil}))
	synctest.Test(t, func(t *testing.T) {
		c := alive()
		m := authority(t, c, nil).Requested()
		first := ask(t, m, token)
		if again := ask(t, m, token); again.Credential != first.Credential || c.questions() != 1 {
			t.Errorf("asked %d times, the same credential %v", c.questions(), again.Credential == first.Credential)
		}
		c.change(func() { c.status.Authenticated = false })
		time.Sleep(11 * time.Second) //nolint:forbidigo // the bubble's own clock
		for range 3 {
			if got := ask(t, m, token); got.Outcome != authn.Rejected {
				t.Errorf("still accepted: %+v", got)
			}
		}
		if c.questions() != 2 {
			t.Errorf("a dead token was asked about %d times in a second", c.questions()-1)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's own clock
		c.change(func() { c.status.Authenticated, c.err = true, errors.New("down") })
		for range 2 {
			if got := ask(t, m, token); !got.Failed {
				t.Errorf("%+v, want a technical failure", got)
			}
		}
		c.change(func() { c.err = nil })
		if got := ask(t, m, token); got.Outcome != authn.Accepted {
			t.Errorf("refused after an outage: %v", got.Cause)
		}
	})
}

// TestAgeAndIdleG19: an aged or idle token of a Secret is refused, and an idle one is not shown to the cluster, which would
// count as a use.
func TestAgeAndIdleG19(t *testing.T) {
	t.Parallel()
	token := keys().rsa.sign(t, secretClaims())
	old := &metav1.ObjectMeta{CreationTimestamp: metav1.Time{Time: time.Now().Add(-100 * 24 * time.Hour)}}
	used := func(ago time.Duration) *metav1.ObjectMeta {
		return &metav1.ObjectMeta{CreationTimestamp: old.CreationTimestamp, Labels: map[string]string{
			"kubernetes.io/legacy-token-last-used": time.Now().UTC().Add(-ago).Format(time.DateOnly),
		}}
	}
	day := 24 * time.Hour
	for _, tt := range []struct {
		name            string
		metadata        *metav1.ObjectMeta
		maxAge, maxIdle time.Duration
		outcome         authn.Outcome
		final           bool
		asked           int
	}{
		{name: "no bounds", outcome: authn.Accepted, asked: 1},
		{name: "idle", metadata: used(40 * day), maxIdle: 30 * day, final: true},
		{name: "used lately", metadata: used(10 * day), maxIdle: 30 * day, outcome: authn.Accepted, asked: 1},
		{name: "never used since it was made", metadata: old, maxIdle: 30 * day, final: true},
		{name: "Secret is gone", maxIdle: 30 * day},
		{name: "aged, which policy refuses by its end", metadata: used(0), maxAge: 90 * day, outcome: authn.Accepted, asked: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := alive()
			c.metadata = tt.metadata
			m := authority(t, c, func(config *serviceaccount.Config) { config.MaxAge, config.MaxIdle = tt.maxAge, tt.maxIdle }).Secrets()
			got := ask(t, m, token)
			if got.Outcome != tt.outcome || got.Final != tt.final || c.questions() != tt.asked {
				t.Errorf("outcome %d final %v asked %d (%v), want %d %v %d", got.Outcome, got.Final, c.questions(), got.Cause, tt.outcome, tt.final, tt.asked)
			}
			if tt.maxAge > 0 && !got.Credential.NotAfter.Before(time.Now()) {
				t.Errorf("ends %s, want in the past", got.Credential.NotAfter)
			}
		})
	}
}

// published plays a cluster's key document.
type published struct {
	mu      sync.Mutex
	set     jose.JSONWebKeySet
	fetched int
	err     error
}

func (p *published) Document(context.Context, string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetched++
	if p.err != nil {
		return nil, p.err
	}
	return json.Marshal(p.set)
}

// change does something to the document while nobody reads it.
func (p *published) change(what func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what()
}

// TestClusterKeys: keys come from the cluster, unknown ids cannot make it fetch at will, and the last good keys stay.
func TestClusterKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		p := &published{set: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: keys().rsa.key.Public(), KeyID: "a", Use: "sig"}}}}
		k := serviceaccount.NewClusterKeys(ctx, p, slog.New(slog.DiscardHandler))
		synctest.Wait()
		if k.Ready() != nil || len(k.Find(ctx, "a")) != 1 || len(k.Find(ctx, "")) != 1 {
			t.Fatal("the key is not known")
		}
		for range 50 {
			if len(k.Find(ctx, "unknown")) != 0 {
				t.Fatal("found a key that is not there")
			}
		}
		p.change(func() {
			if p.fetched > 2 {
				t.Errorf("fetched %d times for unknown ids at once", p.fetched)
			}
		})
		p.change(func() {
			p.set.Keys = append(p.set.Keys, jose.JSONWebKey{Key: keys().ec.key.Public(), KeyID: "b", Use: "sig"})
		})
		time.Sleep(11 * time.Second) //nolint:forbidigo // the bubble's own clock
		if len(k.Find(ctx, "b")) != 1 {
			t.Error("a new key is not found")
		}
		p.change(func() { p.err = errors.New("down") })
		time.Sleep(10 * time.Minute) //nolint:forbidigo // the bubble's own clock
		if len(k.Find(ctx, "a")) != 1 {
			t.Error("the last good keys are gone")
		}
		end()
		synctest.Wait()
	})
}

// FuzzToken: no token makes a mechanism fall, and none gets to the cluster without a good signature.
func FuzzToken(f *testing.F) {
	f.Add(keys().stranger.sign(f, boundClaims()))
	f.Add("e30.eyJpc3MiOiJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMifQ.AA")
	f.Add("a.b.c")
	c := alive()
	m := authority(f, c, nil)
	bound, inSecret := m.Requested(), m.Secrets()
	f.Fuzz(func(t *testing.T, token string) {
		for _, mechanism := range []*serviceaccount.Mechanism{bound, inSecret} {
			if got := ask(t, mechanism, token); got.Outcome == authn.Accepted || c.questions() > 0 {
				t.Fatalf("%q was taken", token)
			}
		}
	})
}

package backchannel_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ostiary/ostiary/internal/backchannel"
	"github.com/ostiary/ostiary/internal/secret"
)

const (
	issuerURL = "https://idp.example"
	clientID  = "kubernetes"
	event     = "http://schemas.openid.net/event/backchannel-logout"
)

// provider has one key, which it publishes.
type provider struct {
	key   *ecdsa.PrivateKey
	id    string
	reads int
	fails error
}

func newProvider(tb testing.TB) *provider {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return &provider{key: key, id: rand.Text()}
}

// get is what the provider answers.
func (p *provider) get(_ context.Context, url string) ([]byte, error) {
	p.reads++
	if p.fails != nil {
		return nil, p.fails
	}
	if url == issuerURL+"/.well-known/openid-configuration" {
		return []byte(`{"issuer":"` + issuerURL + `","jwks_uri":"` + issuerURL + `/keys"}`), nil
	}
	return json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: p.id, Algorithm: string(jose.ES256), Use: "sig"}}})
}

// token says that jane signed out.
func (p *provider) token(tb testing.TB, now time.Time, typ string, change func(map[string]any)) secret.String {
	tb.Helper()
	claims := map[string]any{
		"iss": issuerURL, "aud": []string{clientID}, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": rand.Text(), "sub": "jane",
		"events": map[string]any{event: map[string]any{}},
	}
	if change != nil {
		change(claims)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: p.id}}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		tb.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		tb.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return secret.New(text)
}

// TestVerify believes a logout token once, and nothing that is like one.
func TestVerify(t *testing.T) {
	t.Parallel()
	p, now := newProvider(t), time.Now()
	v := backchannel.New(issuerURL, clientID, p.get)
	good := p.token(t, now, "logout+jwt", nil)
	said, err := v.Verify(t.Context(), good, now)
	if err != nil || said.Subject != "jane" || said.At.Unix() != now.Unix() {
		t.Fatalf("%+v, %v", said, err)
	}
	if _, err := v.Verify(t.Context(), good, now); !errors.Is(err, backchannel.ErrToken) {
		t.Errorf("a second time: %v", err)
	}
	v.Forget(said)
	if _, err := v.Verify(t.Context(), good, now); err != nil {
		t.Errorf("again, as it could not be done: %v", err)
	}
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	for name, test := range map[string]struct {
		typ    string
		change func(map[string]any)
	}{
		"no type": {"", nil}, "an ID token's type": {"JWT", nil},
		"another issuer": {"logout+jwt", set("iss", issuerURL+"/")}, "another client": {"logout+jwt", set("aud", "other")}, "no audience": {"logout+jwt", set("aud", []string{})},
		"a nonce": {"logout+jwt", set("nonce", "")}, "no events": {"logout+jwt", set("events", map[string]any{})}, "an event of null": {"logout+jwt", set("events", map[string]any{event: nil})},
		"an event of text": {"logout+jwt", set("events", map[string]any{event: "x"})}, "no jti": {"logout+jwt", set("jti", "")}, "nobody": {"logout+jwt", set("sub", "")},
		"from the future": {"logout+jwt", set("iat", now.Add(2*time.Minute).Unix())}, "too old": {"logout+jwt", set("iat", now.Add(-11*time.Minute).Unix())},
		"over": {"logout+jwt", set("exp", now.Add(-2*time.Minute).Unix())}, "no exp": {"logout+jwt", set("exp", nil)}, "no iat": {"logout+jwt", set("iat", nil)},
	} {
		if _, err := v.Verify(t.Context(), p.token(t, now, test.typ, test.change), now); !errors.Is(err, backchannel.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger := newProvider(t)
	stranger.id = p.id
	if _, err := v.Verify(t.Context(), stranger.token(t, now, "logout+jwt", nil), now); !errors.Is(err, backchannel.ErrToken) {
		t.Errorf("another key of the same id: %v", err)
	}
	for _, text := range []string{"", "a.b.c", "eyJhbGciOiJub25lIiwidHlwIjoibG9nb3V0K2p3dCJ9.e30."} {
		if _, err := v.Verify(t.Context(), secret.New(text), now); !errors.Is(err, backchannel.ErrToken) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestKeys follows a provider that changes its key, asks it no more often than that is of use, and does not take its being away for a
// bad token.
func TestKeys(t *testing.T) {
	t.Parallel()
	p, now := newProvider(t), time.Now()
	v := backchannel.New(issuerURL, clientID, p.get)
	verify := func(now time.Time) error {
		_, err := v.Verify(t.Context(), p.token(t, now, "logout+jwt", nil), now)
		return err
	}
	p.fails = errors.New("away")
	if err := verify(now); !errors.Is(err, backchannel.ErrKeys) {
		t.Errorf("away: %v", err)
	}
	p.fails, now = nil, now.Add(11*time.Second)
	if err := verify(now); err != nil {
		t.Fatal(err)
	}
	reads := p.reads
	next := newProvider(t)
	p.key, p.id = next.key, next.id
	if err := verify(now.Add(11 * time.Second)); err != nil {
		t.Errorf("after the key changed: %v", err)
	}
	stranger := newProvider(t)
	for range 10 {
		if _, err := v.Verify(t.Context(), stranger.token(t, now, "logout+jwt", nil), now.Add(12*time.Second)); !errors.Is(err, backchannel.ErrToken) {
			t.Errorf("an unknown key: %v", err)
		}
	}
	if p.reads > reads+2 {
		t.Errorf("it was asked %d times more", p.reads-reads)
	}
	p.fails = errors.New("away")
	if err := verify(now.Add(15 * time.Minute)); err != nil {
		t.Errorf("away for a while: %v", err)
	}
	if err := verify(now.Add(time.Hour)); !errors.Is(err, backchannel.ErrKeys) {
		t.Errorf("away for long: %v", err)
	}
}

// FuzzVerify never panics.
func FuzzVerify(f *testing.F) {
	p, now := newProvider(f), time.Now()
	f.Add(p.token(f, now, "logout+jwt", nil).Reveal())
	f.Add("a.b.c")
	v := backchannel.New(issuerURL, clientID, p.get)
	f.Fuzz(func(t *testing.T, text string) {
		said, err := v.Verify(t.Context(), secret.New(text), now)
		if err == nil && said.Subject == "" && said.SID == "" {
			t.Error("nobody is signed out")
		}
	})
}

package authn_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

// says is a mechanism that always gives the same answer and counts how often it was asked.
type says struct {
	answer authn.Answer
	asked  *int
}

func (s says) Authenticate(context.Context, *authn.Request) authn.Answer {
	if s.asked != nil {
		*s.asked++
	}
	return s.answer
}

// knows is a token mechanism that accepts exactly one token.
type knows struct{ token, user string }

func (k knows) AuthenticateToken(_ context.Context, _ *authn.Request, token secret.String) authn.Answer {
	if token.Reveal() != k.token {
		return authn.None()
	}
	return authn.Accept(credential(k.user))
}

// tokenSays is a token mechanism that always gives the same answer.
type tokenSays struct{ answer authn.Answer }

func (s tokenSays) AuthenticateToken(context.Context, *authn.Request, secret.String) authn.Answer {
	return s.answer
}

// admits lets everybody in whom it does not refuse by name.
type admits struct{ refuse string }

func (a admits) Admit(_ *authn.Request, cred *authn.Credential) (*identity.Identity, error) {
	if cred.Identity.Username == a.refuse {
		return nil, errors.New("refused by policy")
	}
	return &cred.Identity, nil
}

func credential(user string) *authn.Credential {
	return &authn.Credential{Mechanism: identity.StaticToken, Identity: identity.Identity{Username: user}}
}

func accept(user string) authn.Answer { return authn.Accept(credential(user)) }

var (
	reject    = authn.Reject(errors.New("bad"))
	fail      = authn.Fail(errors.New("down"))
	anonymous = says{answer: accept(identity.Anonymous)}
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func webSocket(protocols ...string) http.Header {
	h := header("Upgrade", "websocket", "Connection", "Upgrade")
	for _, protocol := range protocols {
		h.Add("Sec-Websocket-Protocol", protocol)
	}
	return h
}

func encoded(token string) string {
	return "base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte(token))
}

func TestChainOrderAndFallThrough(t *testing.T) {
	t.Parallel()
	alice := authn.TokenStep{Name: identity.StaticToken, Mechanism: knows{"tok-alice", "alice"}}
	step := func(answer authn.Answer) authn.RequestStep {
		return authn.RequestStep{Name: identity.ClientCertificate, Mechanism: says{answer: answer}}
	}
	for _, tt := range []struct {
		name   string
		config authn.Config
		header http.Header
		user   string // empty: refused
		reason authn.Reason
	}{
		{name: "nothing is on", reason: authn.ReasonNoCredential},
		{name: "CHAIN-4 nothing presented, no anonymous", config: authn.Config{Tokens: []authn.TokenStep{alice}}, reason: authn.ReasonNoCredential},
		{name: "CHAIN-4 nothing presented, anonymous", config: authn.Config{Tokens: []authn.TokenStep{alice}, Anonymous: anonymous}, user: identity.Anonymous, reason: authn.ReasonAccepted},
		{name: "CHAIN-4 anonymous has no opinion", config: authn.Config{Anonymous: says{answer: authn.None()}}, reason: authn.ReasonNoCredential},
		{name: "CHAIN-1 first accept wins", config: authn.Config{Requests: []authn.RequestStep{step(accept("bob")), step(accept("carol"))}}, user: "bob", reason: authn.ReasonAccepted},
		{name: "CHAIN-2 rejected certificate, good token", config: authn.Config{Requests: []authn.RequestStep{step(reject)}, Tokens: []authn.TokenStep{alice}}, header: header("Authorization", "Bearer tok-alice"), user: "alice", reason: authn.ReasonAccepted},
		{name: "CHAIN-2 failing mechanism, good token", config: authn.Config{Requests: []authn.RequestStep{step(fail)}, Tokens: []authn.TokenStep{alice}}, header: header("Authorization", "Bearer tok-alice"), user: "alice", reason: authn.ReasonAccepted},
		{name: "CHAIN-3 rejected certificate is not anonymous", config: authn.Config{Requests: []authn.RequestStep{step(reject)}, Anonymous: anonymous}, reason: authn.ReasonRejected},
		{name: "CHAIN-3 twin: without the certificate it is", config: authn.Config{Requests: []authn.RequestStep{step(authn.None())}, Anonymous: anonymous}, user: identity.Anonymous, reason: authn.ReasonAccepted},
		{name: "CHAIN-3 bad token is not anonymous", config: authn.Config{Tokens: []authn.TokenStep{alice}, Anonymous: anonymous}, header: header("Authorization", "Bearer bogus"), reason: authn.ReasonRejected},
		{name: "CHAIN-6 a token rejected by one is offered to the next", config: authn.Config{Tokens: []authn.TokenStep{{Name: identity.JWT, Mechanism: tokenSays{reject}}, alice}}, header: header("Authorization", "Bearer tok-alice"), user: "alice", reason: authn.ReasonAccepted},
		{name: "CHAIN-8 certificate beats token", config: authn.Config{Requests: []authn.RequestStep{step(accept("bob"))}, Tokens: []authn.TokenStep{alice}}, header: header("Authorization", "Bearer bogus"), user: "bob", reason: authn.ReasonAccepted},
		{name: "CHAIN-9 a failure is a refusal", config: authn.Config{Requests: []authn.RequestStep{step(fail)}, Anonymous: anonymous}, reason: authn.ReasonFailed},
		{name: "policy refusal ends the request, a good token does not save it", config: authn.Config{Requests: []authn.RequestStep{step(accept("mallory"))}, Tokens: []authn.TokenStep{alice}}, header: header("Authorization", "Bearer tok-alice"), reason: authn.ReasonRejected},
		{name: "zero answer rejects", config: authn.Config{Requests: []authn.RequestStep{step(authn.Answer{})}, Anonymous: anonymous}, reason: authn.ReasonRejected},
		{name: "accepted without a credential rejects", config: authn.Config{Requests: []authn.RequestStep{step(authn.Answer{Outcome: authn.Accepted})}, Anonymous: anonymous}, reason: authn.ReasonRejected},
		{name: "WS-5 bad bearer, good subprotocol", config: authn.Config{Tokens: []authn.TokenStep{alice}}, header: merge(webSocket("v5.channel.k8s.io", encoded("tok-alice")), "Authorization", "Bearer bogus"), user: "alice", reason: authn.ReasonAccepted},
		{name: "WS-5 good bearer, subprotocol not looked at", config: authn.Config{Tokens: []authn.TokenStep{alice}}, header: merge(webSocket(encoded("bogus"), encoded("bogus")), "Authorization", "Bearer tok-alice"), user: "alice", reason: authn.ReasonAccepted},
		{name: "WS-3 two tokens, not anonymous", config: authn.Config{Tokens: []authn.TokenStep{alice}, Anonymous: anonymous}, header: webSocket("v5.channel.k8s.io", encoded("tok-alice"), encoded("tok-alice")), reason: authn.ReasonRejected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.config.Admitter = admits{refuse: "mallory"}
			tt.config.Guard = authn.Unguarded()
			chain, err := authn.New(tt.config)
			if err != nil {
				t.Fatal(err)
			}
			got := chain.Decide(t.Context(), &authn.Request{Header: tt.header})
			if got.Reason != tt.reason {
				t.Errorf("reason %q, want %q (cause %v)", got.Reason, tt.reason, got.Cause)
			}
			if got.Admitted() != (tt.user != "") || got.Admitted() && got.Identity.Username != tt.user {
				t.Errorf("identity %+v, want user %q", got.Identity, tt.user)
			}
			if got.Admitted() == (got.Cause != nil) {
				t.Errorf("admitted %v with cause %v", got.Admitted(), got.Cause)
			}
		})
	}
}

func merge(h http.Header, pairs ...string) http.Header {
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// TestBearerReading is the table of the Kubernetes specification, section 4.
func TestBearerReading(t *testing.T) {
	t.Parallel()
	chain, err := authn.New(authn.Config{
		Tokens:    []authn.TokenStep{{Name: identity.StaticToken, Mechanism: knows{"tok-alice", "alice"}}, {Name: identity.JWT, Mechanism: knows{"tok with space", "spacey"}}},
		Anonymous: anonymous, Admitter: admits{}, Guard: authn.Unguarded(),
	})
	if err != nil {
		t.Fatal(err)
	}
	const anonymousUser, refused = identity.Anonymous, ""
	for _, tt := range []struct {
		name    string
		header  http.Header
		user    string
		warning bool
	}{
		{name: "BEAR-3 canonical", header: header("Authorization", "Bearer tok-alice"), user: "alice"},
		{name: "BEAR-3 lower case", header: header("Authorization", "bearer tok-alice"), user: "alice"},
		{name: "BEAR-3 mixed case", header: header("Authorization", "bEaReR tok-alice"), user: "alice"},
		{name: "BEAR-2 surrounding blanks", header: header("Authorization", "  Bearer tok-alice "), user: "alice"},
		{name: "BEAR-5 trailing word", header: header("Authorization", "Bearer tok-alice extra"), user: "alice"},
		{name: "BEAR-4 two spaces", header: header("Authorization", "Bearer  tok-alice"), user: anonymousUser, warning: true},
		{name: "BEAR-3 tab", header: header("Authorization", "Bearer\ttok-alice"), user: anonymousUser},
		{name: "BEAR-3 scheme only", header: header("Authorization", "Bearer"), user: anonymousUser},
		{name: "BEAR-3 colon", header: header("Authorization", "Bearer: tok-alice"), user: anonymousUser},
		{name: "BEAR-3 token only", header: header("Authorization", "tok-alice"), user: anonymousUser},
		{name: "BEAR-7 basic", header: header("Authorization", "Basic dG9rLWFsaWNl"), user: anonymousUser},
		{name: "BEAR-6 bogus", header: header("Authorization", "Bearer bogus"), user: refused},
		{name: "BEAR-5 quoted", header: header("Authorization", `Bearer "tok-alice"`), user: refused},
		{name: "BEAR-5 comma", header: header("Authorization", "Bearer tok-alice,Bearer x"), user: refused},
		{name: "BEAR-5 tab after token", header: header("Authorization", "Bearer tok-alice\tx"), user: refused},
		{name: "BEAR-1 first good, second bad", header: header("Authorization", "Bearer tok-alice", "Authorization", "Bearer bogus"), user: "alice"},
		{name: "BEAR-1 first bad, second good", header: header("Authorization", "Bearer bogus", "Authorization", "Bearer tok-alice"), user: refused},
		{name: "BEAR-1 first empty, second good", header: header("Authorization", "", "Authorization", "Bearer tok-alice"), user: anonymousUser},
		{name: "WS-1 not an upgrade", header: header("Sec-WebSocket-Protocol", encoded("tok-alice")+",v5.channel.k8s.io"), user: anonymousUser},
		{name: "WS-1 connection substring", header: header("Upgrade", "WebSocket", "Connection", "not, upgraded", "Sec-WebSocket-Protocol", encoded("tok-alice")+", x"), user: "alice"},
		{name: "WS-2 two lines", header: webSocket("v5.channel.k8s.io", encoded("tok-alice")), user: "alice"},
		{name: "WS-2 prefix is case-sensitive", header: webSocket("v5.channel.k8s.io", "Base64url.bearer.authorization.k8s.io.dG9r"), user: anonymousUser},
		{name: "WS-3 padded", header: webSocket("v5.channel.k8s.io", encoded("tok-alice1")+"=="), user: refused},
		{name: "WS-3 not UTF-8", header: webSocket("v5.channel.k8s.io", encoded("\xff\xfe")), user: refused},
		{name: "WS-3 empty token", header: webSocket("v5.channel.k8s.io", encoded("")), user: anonymousUser},
		{name: "WS-3 no other subprotocol", header: webSocket(encoded("tok-alice")), user: refused},
		{name: "WS-6 token with spaces", header: webSocket("v5.channel.k8s.io", encoded("tok with space")), user: "spacey"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := chain.Decide(t.Context(), &authn.Request{Header: tt.header})
			user := refused
			if got.Admitted() {
				user = got.Identity.Username
			}
			if user != tt.user || (len(got.Warnings) > 0) != tt.warning {
				t.Errorf("user %q warnings %q, want %q and warning %v", user, got.Warnings, tt.user, tt.warning)
			}
		})
	}
}

func TestChainAudiences(t *testing.T) {
	t.Parallel()
	withAudiences := func(audiences ...string) authn.Answer {
		cred := credential("alice")
		cred.Audiences = audiences
		return authn.Accept(cred)
	}
	for _, tt := range []struct {
		name     string
		agnostic bool
		answer   authn.Answer
		target   []string
		want     []string
		refused  bool
	}{
		{name: "AUD-2 none asked for", agnostic: true, answer: accept("alice")},
		{name: "AUD-2 agnostic, all", agnostic: true, answer: accept("alice"), target: []string{"iss", "api"}, want: []string{"iss", "api"}},
		{name: "AUD-3 target order", agnostic: true, answer: accept("alice"), target: []string{"api", "iss"}, want: []string{"api", "iss"}},
		{name: "AUD-2 agnostic, some", agnostic: true, answer: accept("alice"), target: []string{"other", "api"}, want: []string{"api"}},
		{name: "AUD-2 agnostic, none", agnostic: true, answer: accept("alice"), target: []string{"other"}, refused: true},
		{name: "AUD-4 mechanism without audiences", answer: accept("alice"), target: []string{"iss"}},
		{name: "AUD-6 disjoint", answer: withAudiences("vault"), target: []string{"iss", "api"}, refused: true},
		{name: "AUD-6 twin: common", answer: withAudiences("vault", "api"), target: []string{"iss", "api"}, want: []string{"vault", "api"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			chain, err := authn.New(authn.Config{
				Requests:  []authn.RequestStep{{Name: identity.ProxyHeader, Mechanism: says{answer: tt.answer}, AudienceAgnostic: tt.agnostic}},
				Audiences: []string{"iss", "api"}, Admitter: admits{},
			})
			if err != nil {
				t.Fatal(err)
			}
			got := chain.Decide(t.Context(), &authn.Request{Audiences: tt.target})
			if got.Admitted() == tt.refused {
				t.Fatalf("admitted %v, want refused %v (%v)", got.Admitted(), tt.refused, got.Cause)
			}
			if diff := cmp.Diff(tt.want, got.Audiences); diff != "" && !tt.refused {
				t.Errorf("audiences (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewRefusesWiringMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		config authn.Config
	}{
		{name: "no admitter"},
		{name: "nil mechanism", config: authn.Config{Admitter: admits{}, Requests: []authn.RequestStep{{Name: identity.ProxyHeader}}}},
		{name: "nil token mechanism", config: authn.Config{Admitter: admits{}, Guard: authn.Unguarded(), Tokens: []authn.TokenStep{{Name: identity.JWT}}}},
		{name: "nameless", config: authn.Config{Admitter: admits{}, Guard: authn.Unguarded(), Tokens: []authn.TokenStep{{Mechanism: knows{}}}}},
		{name: "tokens without a guard", config: authn.Config{Admitter: admits{}, Tokens: []authn.TokenStep{{Name: identity.JWT, Mechanism: knows{}}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := authn.New(tt.config); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestStripTokens(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		header, want http.Header
	}{
		{name: "HDR-1 all of Authorization", header: header("Authorization", "Bearer a", "Authorization", "Basic b", "Accept", "x"), want: header("Accept", "x")},
		{name: "WS-4 token among others", header: webSocket("a, " + encoded("t") + ",b"), want: webSocket("a,b")},
		{name: "STR-3 other lines stay as they are", header: webSocket("v5.channel.k8s.io,  v4.channel.k8s.io", encoded("t")), want: webSocket("v5.channel.k8s.io,  v4.channel.k8s.io")},
		{name: "WS-5 token alone", header: webSocket(encoded("t")), want: webSocket()},
		{name: "GW-5 two tokens", header: webSocket(encoded("t"), "x,"+encoded("u")), want: webSocket("x")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			authn.StripTokens(tt.header)
			if diff := cmp.Diff(tt.want, tt.header); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzStripTokens: whatever comes in, no token subprotocol goes on.
func FuzzStripTokens(f *testing.F) {
	f.Add("a, "+encoded("t"), "b")
	f.Add(encoded("t"), encoded("u"))
	f.Fuzz(func(t *testing.T, first, second string) {
		h := http.Header{"Sec-Websocket-Protocol": {first, second}, "Authorization": {first}, "Upgrade": {"websocket"}, "Connection": {"upgrade"}}
		authn.StripTokens(h)
		if h.Get("Authorization") != "" {
			t.Fatal("Authorization went on")
		}
		chain, err := authn.New(authn.Config{
			Admitter: admits{}, Guard: authn.Unguarded(), Tokens: []authn.TokenStep{{Name: identity.JWT, Mechanism: tokenSays{accept("x")}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if d := chain.Decide(t.Context(), &authn.Request{Header: h}); d.Admitted() {
			t.Fatalf("a token is still there: %q", h)
		}
	})
}

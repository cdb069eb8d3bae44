package proxyheader_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/proxyheader"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/testca"
)

// standard are kube-apiserver's usual headers.
func standard(roots *x509.CertPool, names ...string) proxyheader.Config {
	return proxyheader.Config{
		Roots: roots, AllowedNames: names,
		UsernameHeaders: []string{"X-Remote-User"}, UIDHeaders: []string{"X-Remote-Uid"},
		GroupHeaders: []string{"X-Remote-Group"}, ExtraHeaderPrefixes: []string{"X-Remote-Extra-"},
	}
}

func request(asserted http.Header, certificates ...*x509.Certificate) *authn.Request {
	return &authn.Request{Certificates: certificates, Conn: new(authn.Conn), Asserted: asserted, Now: time.Now()}
}

// headers makes headers under their names exactly as given, as HTTP/2 and raw clients send them.
func headers(pairs ...string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

func TestRules(t *testing.T) {
	t.Parallel()
	ca, other := testca.New(t, "proxies"), testca.New(t, "others")
	proxy := ca.Issue(t, testca.Subject("front-proxy")).Leaf
	bob := []string{"X-Remote-User", "bob"}
	for _, tt := range []struct {
		name        string
		certificate *x509.Certificate
		headers     []string
		outcome     authn.Outcome
		want        identity.Identity
	}{
		{name: "RH-1 no certificate", headers: bob, outcome: authn.NoCredential},
		{name: "RH-2 other CA", certificate: other.Issue(t, testca.Subject("front-proxy")).Leaf, headers: bob},
		{name: "RH-2 for servers only", certificate: ca.Issue(t, testca.Subject("front-proxy"), testca.Usage(x509.ExtKeyUsageServerAuth)).Leaf, headers: bob},
		{name: "RH-2 expired", certificate: ca.Issue(t, testca.Subject("front-proxy"), testca.Valid(time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))).Leaf, headers: bob},
		{name: "RH-3 other name", certificate: ca.Issue(t, testca.Subject("other")).Leaf, headers: bob},
		{name: "CHAIN-5 no headers, no proxy", certificate: other.Issue(t, testca.Subject("jane")).Leaf},
		{name: "RH-5 no user", certificate: proxy, outcome: authn.NoCredential},
		{name: "RH-5 empty user, then another", certificate: proxy, headers: []string{"X-Remote-User", "", "X-Remote-User", "bob"}, outcome: authn.NoCredential},
		{name: "RH-5 first of two", certificate: proxy, headers: []string{"X-Remote-User", "bob", "X-Remote-User", "carol"}, outcome: authn.Accepted, want: identity.Identity{Username: "bob"}},
		{name: "RH-4 other separator", certificate: proxy, headers: []string{"X_Remote_User", "bob"}, outcome: authn.NoCredential},
		{name: "RH-6 first uid", certificate: proxy, headers: append(bob, "X-Remote-Uid", "u1", "X-Remote-Uid", "u2"), outcome: authn.Accepted, want: identity.Identity{Username: "bob", UID: "u1"}},
		{name: "RH-7 groups", certificate: proxy, headers: append(bob, "X-Remote-Group", "a", "X-Remote-Group", "b", "X-Remote-Group", "", "X-Remote-Group", "a,c"), outcome: authn.Accepted, want: identity.Identity{Username: "bob", Groups: []string{"a", "b", "a,c"}}},
		{
			name: "RH-8 RH-9 extras", certificate: proxy, outcome: authn.Accepted,
			headers: append(bob, "X-Remote-Extra-Foo", "1", "X-Remote-Extra-foo", "2", "X-Remote-Extra-Acme.com%2fproject", "p", "X-Remote-Extra-Bad%zz", "z", "X-Remote-Extra-%41bc", "A", "X-Remote-Extra-E", "", "X-Remote-Extra-", "empty"),
			want: identity.Identity{Username: "bob", Extra: map[string][]string{
				"foo": {"1", "2"}, "acme.com/project": {"p"}, "bad%zz": {"z"}, "Abc": {"A"}, "e": {""}, "": {"empty"},
			}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var certificates []*x509.Certificate
			if tt.certificate != nil {
				certificates = append(certificates, tt.certificate)
			}
			got := proxyheader.New(standard(ca.Pool(), "front-proxy")).Authenticate(t.Context(), request(headers(tt.headers...), certificates...))
			if got.Outcome != tt.outcome {
				t.Fatalf("outcome %d, want %d (%v)", got.Outcome, tt.outcome, got.Cause)
			}
			if tt.outcome == authn.Accepted {
				if diff := cmp.Diff(tt.want, got.Credential.Identity, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestProxyHeaderNeedsNamesG31: without names nobody is believed, unless that is asked for.
func TestProxyHeaderNeedsNamesG31(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, "proxies")
	anybody := ca.Issue(t, testca.Subject("any")).Leaf
	config := standard(ca.Pool())
	if got := proxyheader.New(config).Authenticate(t.Context(), request(headers("X-Remote-User", "bob"), anybody)); !errors.Is(got.Cause, proxyheader.ErrName) {
		t.Errorf("%+v, want a refusal for the name", got)
	}
	config.AnyName = true
	if got := proxyheader.New(config).Authenticate(t.Context(), request(headers("X-Remote-User", "bob"), anybody)); got.Outcome != authn.Accepted {
		t.Errorf("the twin is refused: %v", got.Cause)
	}
}

// TestBehindBalancers: a certificate that a balancer told of proves no proxy; the twin is a direct connection.
func TestBehindBalancers(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, "proxies")
	r := request(headers("X-Remote-User", "bob"), ca.Issue(t, testca.Subject("front-proxy")).Leaf)
	mechanism := proxyheader.New(standard(ca.Pool(), "front-proxy"))
	if got := mechanism.Authenticate(t.Context(), r); got.Outcome != authn.Accepted {
		t.Errorf("the twin is refused: %v", got.Cause)
	}
	r.Relayed = true
	if got := mechanism.Authenticate(t.Context(), r); got.Outcome != authn.NoCredential {
		t.Errorf("%+v, want no credential", got)
	}
}

// TestCredentialsAreRemembered: policy knows credentials by their address, and two assertions are never one.
func TestCredentialsAreRemembered(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, "proxies")
	proxy := ca.Issue(t, testca.Subject("front-proxy")).Leaf
	mechanism := proxyheader.New(standard(ca.Pool(), "front-proxy"))
	ask := func(pairs ...string) *authn.Credential {
		return mechanism.Authenticate(t.Context(), request(headers(pairs...), proxy)).Credential
	}
	first := ask("X-Remote-User", "bob", "X-Remote-Group", "ab", "X-Remote-Group", "c")
	if again := ask("X-Remote-User", "bob", "X-Remote-Group", "ab", "X-Remote-Group", "c"); again != first {
		t.Error("the same assertion gave another credential")
	}
	for _, other := range [][]string{
		{"X-Remote-User", "bob", "X-Remote-Group", "a", "X-Remote-Group", "bc"},
		{"X-Remote-User", "boba", "X-Remote-Group", "b", "X-Remote-Group", "c"},
		{"X-Remote-User", "bob", "X-Remote-Uid", "ab", "X-Remote-Group", "c"},
		{"X-Remote-User", "bob", "X-Remote-Extra-Ab", "c"},
	} {
		if ask(other...) == first {
			t.Errorf("%q passes for another assertion", other)
		}
	}
}

// FuzzExtras: no headers make it fall, and none but those of the prefix get in.
func FuzzExtras(f *testing.F) {
	f.Add("X-Remote-Extra-Foo", "1")
	f.Add("X-Remote-Extra-%zz", "")
	f.Add("x-remote-extra-%25%32", "\xff")
	ca := testca.New(f, "proxies")
	proxy := ca.Issue(f, testca.Subject("front-proxy")).Leaf
	mechanism := proxyheader.New(standard(ca.Pool(), "front-proxy"))
	f.Fuzz(func(t *testing.T, name, value string) {
		got := mechanism.Authenticate(t.Context(), request(headers("X-Remote-User", "bob", name, value), proxy))
		if got.Outcome != authn.Accepted && name != "X-Remote-User" {
			t.Fatalf("%q: %v", name, got.Cause)
		}
	})
}

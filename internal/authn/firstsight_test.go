package authn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	webhookclient "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
	kubernetes "k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/clientcert"
	"github.com/ostiary/ostiary/internal/authn/jwt"
	"github.com/ostiary/ostiary/internal/authn/proxyheader"
	"github.com/ostiary/ostiary/internal/authn/statictoken"
	"github.com/ostiary/ostiary/internal/authn/webhook"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/testca"
)

// BenchmarkFirstSight measures what a credential costs that was never seen, beside the authenticators of k8s.io/apiserver
// (which has none for ServiceAccounts and bootstrap tokens), in one run: the ratio is what counts.
func BenchmarkFirstSight(b *testing.B) {
	for _, one := range []struct {
		name  string
		sides func(b *testing.B) (ours, theirs func(i int) bool)
	}{
		{"clientCertificate", firstCertificate},
		{"proxyHeader", firstAssertion},
		{"staticToken", firstStatic},
		{"jwt", firstJWT},
		{"webhook", firstWebhook},
	} {
		b.Run(one.name, func(b *testing.B) {
			ours, theirs := one.sides(b)
			for name, accepts := range map[string]func(int) bool{"ostiary": ours, "kubernetes": theirs} {
				b.Run(name, func(b *testing.B) {
					b.ReportAllocs()
					for i := 0; b.Loop(); i++ {
						if !accepts(i) {
							b.Fatal("refused")
						}
					}
				})
			}
		})
	}
}

// firstCertificate shows one certificate on connections that are new.
func firstCertificate(b *testing.B) (ours, theirs func(int) bool) {
	b.Helper()
	ca := testca.New(b, "users")
	leaf := ca.Issue(b, testca.Subject("alice", "dev")).Leaf
	mechanism := clientcert.New(ca.Pool())
	options := x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	reference := x509request.New(options, x509request.CommonNameUserConversion)
	request := &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}}
	return func(int) bool {
			r := &authn.Request{Certificates: []*x509.Certificate{leaf}, Conn: new(authn.Conn), Now: time.Now()}
			return mechanism.Authenticate(b.Context(), r).Outcome == authn.Accepted
		}, func(int) bool {
			_, ok, err := reference.AuthenticateRequest(request)
			return ok && err == nil
		}
}

// firstAssertion names people of whom no two are alike, on connections that are new.
func firstAssertion(b *testing.B) (ours, theirs func(int) bool) {
	b.Helper()
	ca := testca.New(b, "proxies")
	leaf := ca.Issue(b, testca.Subject("front-proxy")).Leaf
	names := []string{"X-Remote-User"}
	mechanism := proxyheader.New(proxyheader.Config{Roots: ca.Pool(), AllowedNames: []string{"front-proxy"}, UsernameHeaders: names, GroupHeaders: []string{"X-Remote-Group"}, ExtraHeaderPrefixes: []string{"X-Remote-Extra-"}})
	options := x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	list := func(values ...string) headerrequest.StringSliceProvider {
		return headerrequest.StaticStringSlice(values)
	}
	reference := headerrequest.NewDynamicVerifyOptionsSecure(func() (x509.VerifyOptions, bool) { return options, true },
		list("front-proxy"), list("X-Remote-User"), list(), list("X-Remote-Group"), list("X-Remote-Extra-"))
	header := func(i int) http.Header {
		return http.Header{"X-Remote-User": {fmt.Sprint("user", i)}, "X-Remote-Group": {"dev", "ops"}}
	}
	return func(i int) bool {
			r := &authn.Request{Certificates: []*x509.Certificate{leaf}, Conn: new(authn.Conn), Asserted: header(i), Now: time.Now()}
			return mechanism.Authenticate(b.Context(), r).Outcome == authn.Accepted
		}, func(i int) bool {
			_, ok, err := reference.AuthenticateRequest(&http.Request{Header: header(i), TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}})
			return ok && err == nil
		}
}

// tokens makes tokens of which no two are alike; a benchmark goes round in them faster than caches forget, which both sides
// are without here.
const tokens = 1000

func firstStatic(b *testing.B) (ours, theirs func(int) bool) {
	b.Helper()
	var content []byte
	all := make([]string, tokens)
	for i := range all {
		var random [32]byte
		_, _ = rand.Read(random[:])
		all[i] = fmt.Sprintf("%x", random)
		content = fmt.Appendf(content, "%s,user%d,uid,dev\n", all[i], i)
	}
	table, err := statictoken.Parse(content, statictoken.Options{AllowClearText: true})
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "tokens.csv")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		b.Fatal(err)
	}
	reference, err := tokenfile.NewCSV(file)
	if err != nil {
		b.Fatal(err)
	}
	// kube-apiserver has its cache in front of all token mechanisms. Here it remembers nothing, as for a new token.
	return accepts(b, statictoken.New(table), all), judges(b, cache.New(reference, false, time.Nanosecond, 0), all)
}

// accepts asks a mechanism about one token after the other.
func accepts(b *testing.B, mechanism authn.TokenMechanism, all []string) func(int) bool {
	b.Helper()
	return func(i int) bool {
		r := &authn.Request{Now: time.Now()}
		return mechanism.AuthenticateToken(b.Context(), r, secret.New(all[i%len(all)])).Outcome == authn.Accepted
	}
}

// judges asks an authenticator of Kubernetes.
func judges(b *testing.B, reference authenticator.Token, all []string) func(int) bool {
	b.Helper()
	return func(i int) bool {
		_, ok, err := reference.AuthenticateToken(b.Context(), all[i%len(all)])
		return ok && err == nil
	}
}

// firstJWT makes a new mechanism's worth of tokens; each is shown to the same issuer's keys.
func firstJWT(b *testing.B) (ours, theirs func(int) bool) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	provider := httptest.NewTLSServer(mux)
	b.Cleanup(provider.Close)
	answer := func(content any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(content)
		}
	}
	mux.HandleFunc("/.well-known/openid-configuration", answer(map[string]any{"issuer": provider.URL, "jwks_uri": provider.URL + "/keys"}))
	mux.HandleFunc("/keys", answer(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}}))
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: provider.Certificate().Raw}))
	configuration := fmt.Sprintf("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer: {url: %q, audiences: [a], certificateAuthority: %q}\n  claimMappings: {username: {claim: sub, prefix: ''}}\n", provider.URL, authority)
	parsed, err := jwt.Parse([]byte(configuration))
	if err != nil {
		b.Fatal(err)
	}
	mechanism, err := jwt.New(b.Context(), parsed)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(mechanism.Close)
	prefix := ""
	reference, err := oidc.New(b.Context(), oidc.Options{
		JWTAuthenticator: apiserver.JWTAuthenticator{
			Issuer:        apiserver.Issuer{URL: provider.URL, Audiences: []string{"a"}, CertificateAuthority: authority},
			ClaimMappings: apiserver.ClaimMappings{Username: apiserver.PrefixedClaimOrExpression{Claim: "sub", Prefix: &prefix}},
		},
		Client: provider.Client(), Compiler: authenticationcel.NewDefaultCompiler(), SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(),
	})
	if err != nil {
		b.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	// More than are judged in the ten seconds in which either side remembers one.
	all := make([]string, 60*tokens)
	for i := range all {
		payload := fmt.Appendf(nil, `{"iss":%q,"aud":"a","sub":"user%d","iat":%d,"exp":%d}`, provider.URL, i, time.Now().Unix(), time.Now().Add(time.Hour).Unix())
		signed, err := signer.Sign(payload)
		if err != nil {
			b.Fatal(err)
		}
		if all[i], err = signed.CompactSerialize(); err != nil {
			b.Fatal(err)
		}
	}
	wait(b, func() bool { return mechanism.Ready() == nil && reference.HealthCheck() == nil })
	return accepts(b, mechanism, all), judges(b, cache.New(reference, false, 10*time.Second, 0), all)
}

// wait waits until something is so.
func wait(b *testing.B, ready func() bool) {
	b.Helper()
	deadline, ticker := time.After(time.Minute), time.NewTicker(10*time.Millisecond)
	defer ticker.Stop()
	for !ready() {
		select {
		case <-ticker.C:
		case <-deadline:
			b.Fatal("not ready in time")
		}
	}
}

// firstWebhook asks a service over TLS on this machine.
func firstWebhook(b *testing.B) (ours, theirs func(int) bool) {
	b.Helper()
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":true,"user":{"username":"wendy"}}}`))
	}))
	b.Cleanup(service.Close)
	authority := filepath.Join(b.TempDir(), "ca.crt")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Certificate().Raw}), 0o600); err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "kubeconfig")
	content := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{}}],"clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority":%q}}]}`, service.URL, authority)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
	asked, err := webhook.New(webhook.Config{Kubeconfig: file, Version: "v1", CacheTTL: time.Minute, Timeout: time.Minute, MaxConcurrent: 10})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(asked.Close)
	mechanism, err := asked.For(nil)
	if err != nil {
		b.Fatal(err)
	}
	rest, err := webhookclient.LoadKubeconfig(file, nil)
	if err != nil {
		b.Fatal(err)
	}
	client, err := kubernetes.New(rest, "v1", nil, *kubernetes.DefaultRetryBackoff())
	if err != nil {
		b.Fatal(err)
	}
	reference := cache.New(client, false, time.Minute, time.Minute)
	return func(i int) bool {
			return mechanism.AuthenticateToken(b.Context(), &authn.Request{Now: time.Now()}, secret.New(fmt.Sprint("ours", i, b.Name()))).Outcome == authn.Accepted
		}, func(i int) bool {
			_, ok, err := reference.AuthenticateToken(context.WithoutCancel(b.Context()), fmt.Sprint("theirs", i))
			return ok && err == nil
		}
}

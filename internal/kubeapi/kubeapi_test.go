package kubeapi_test

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/kubeapi"
	"github.com/ostiary/ostiary/internal/testca"
)

// api is a TLS server that stands where an API server would.
type api struct {
	*httptest.Server
	ca *testca.CA
}

// serve starts an api that speaks HTTP/2 and asks for client certificates.
func serve(t *testing.T, handler http.HandlerFunc) *api {
	t.Helper()
	ca := testca.New(t, "api")
	server := httptest.NewUnstartedServer(handler)
	certificate := ca.Issue(t, testca.Usage(x509.ExtKeyUsageServerAuth))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = serverTLS(certificate)
	server.StartTLS()
	t.Cleanup(server.Close)
	return &api{server, ca}
}

// config is a good configuration for the server, with user as the kubeconfig's user.
func (a *api) config(t *testing.T, user string) kubeapi.Config {
	t.Helper()
	server, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	return kubeapi.Config{Kubeconfig: kubeconfig(user), Directory: t.TempDir(), Server: server, CertificateAuthority: a.ca.PEM()}
}

// access is an Access to the server by a token.
func (a *api) access(t *testing.T) *kubeapi.Access {
	t.Helper()
	return newAccess(t, a.config(t, "{token: gate-token}"))
}

func newAccess(t *testing.T, config kubeapi.Config) *kubeapi.Access {
	t.Helper()
	access, err := kubeapi.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(access.Close)
	return access
}

// kubeconfig is a whole one, whose user is given as YAML.
func kubeconfig(user string) []byte {
	return fmt.Appendf(nil, `
apiVersion: v1
kind: Config
current-context: gate
contexts: [{name: gate, context: {cluster: elsewhere, user: gate, namespace: default}}]
clusters: [{name: elsewhere, cluster: {server: "https://192.0.2.1"}}]
users: [{name: gate, user: %s}]
`, user)
}

func TestNewRefuses(t *testing.T) {
	a := serve(t, nil)
	chain, key := testca.PEM(t, a.ca.Issue(t, testca.Subject("gate")))
	_, otherKey := testca.PEM(t, a.ca.Issue(t))
	encode := base64.StdEncoding.EncodeToString
	const token = "hush-hush-token"
	edit := func(old, replacement string) []byte {
		return []byte(strings.ReplaceAll(string(kubeconfig("{token: "+token+"}")), old, replacement))
	}
	tests := []struct {
		name       string
		kubeconfig []byte
		change     func(*kubeapi.Config)
		want       string // what the error must name
	}{
		{name: "empty kubeconfig", kubeconfig: []byte{}, want: "apiVersion v1 and kind Config"},
		{name: "not YAML", kubeconfig: []byte("{"), want: "kubeconfig:"},
		{name: "another kind", kubeconfig: edit("kind: Config", "kind: Secret"), want: `"Secret"`},
		{name: "no current context", kubeconfig: edit("current-context: gate", "current-context: ''"), want: "current-context is not set"},
		{name: "unknown context", kubeconfig: edit("current-context: gate", "current-context: other"), want: `contexts: want exactly one named "other", found 0`},
		{name: "unknown user", kubeconfig: edit("user: gate,", "user: other,"), want: `users: want exactly one named "other", found 0`},
		{name: "unknown cluster", kubeconfig: edit("cluster: elsewhere,", "cluster: other,"), want: `clusters: want exactly one named "other"`},
		{name: "context without user", kubeconfig: edit("user: gate,", ""), want: "contexts[gate].context.user is not set"},
		{name: "two users of the name", kubeconfig: edit("users: [", "users: [{name: gate, user: {token: other}},"), want: "found 2"},
		{name: "unknown key", kubeconfig: kubeconfig("{token: " + token + ", tokn: x}"), want: `unknown field "tokn"`},
		{name: "doubled key", kubeconfig: kubeconfig("{token: " + token + ", token: x}"), want: `"token" already set`},
		{name: "no credential", kubeconfig: kubeconfig("{}"), want: "users[gate].user: want exactly one credential"},
		{name: "token and token file", kubeconfig: kubeconfig("{token: " + token + ", tokenFile: x}"), want: "exactly one credential"},
		{name: "token and certificate", kubeconfig: kubeconfig("{token: " + token + ", client-certificate: x, client-key: y}"), want: "exactly one credential"},
		{name: "token with a line feed", kubeconfig: kubeconfig(`{token: "` + token + `\nX: y"}`), want: "characters that no token has"},
		{name: "token with a blank", kubeconfig: kubeconfig(`{token: "` + token + ` x"}`), want: "characters that no token has"},
		{name: "exec", kubeconfig: kubeconfig("{exec: {command: sh, args: [], env: [], provideClusterInfo: false, apiVersion: client.authentication.k8s.io/v1}}"), want: "exec is refused"},
		{name: "auth provider", kubeconfig: kubeconfig("{auth-provider: {name: gcp, config: {}}}"), want: "auth-provider is refused"},
		{name: "basic authentication", kubeconfig: kubeconfig("{username: a, password: " + token + "}"), want: "username and password are refused"},
		{name: "as", kubeconfig: kubeconfig("{token: " + token + ", as: admin}"), want: "as, as-uid, as-groups and as-user-extra are refused"},
		{name: "as-groups", kubeconfig: kubeconfig("{token: " + token + ", as-groups: [a]}"), want: "as-groups"},
		{name: "insecure-skip-tls-verify", kubeconfig: edit("cluster: {", "cluster: {insecure-skip-tls-verify: true, "), want: "clusters[elsewhere].cluster: insecure-skip-tls-verify is refused"},
		{name: "proxy-url", kubeconfig: edit("cluster: {", "cluster: {proxy-url: 'http://x', "), want: "proxy-url is refused"},
		{name: "several at once", kubeconfig: []byte(strings.Replace(string(kubeconfig("{as: a, username: b}")), "cluster: {", "cluster: {insecure-skip-tls-verify: true, ", 1)), want: "insecure-skip-tls-verify"},
		{name: "certificate without key", kubeconfig: kubeconfig("{client-certificate-data: " + encode(chain) + "}"), want: "client-key is missing"},
		{name: "key without certificate", kubeconfig: kubeconfig("{client-key-data: " + encode(key) + "}"), want: "client-certificate is missing"},
		{name: "certificate twice", kubeconfig: kubeconfig("{client-certificate-data: " + encode(chain) + ", client-certificate: x, client-key-data: " + encode(key) + "}"), want: "both set"},
		{name: "another certificate's key", kubeconfig: kubeconfig("{client-certificate-data: " + encode(chain) + ", client-key-data: " + encode(otherKey) + "}"), want: "client-certificate and client-key"},
		{name: "missing certificate file", kubeconfig: kubeconfig("{client-certificate: none.crt, client-key-data: " + encode(key) + "}"), want: "none.crt"},
		{name: "missing token file", kubeconfig: kubeconfig("{tokenFile: none.token}"), want: "none.token"},
		{name: "no server", change: func(c *kubeapi.Config) { c.Server = nil }, want: "no server URL"},
		{name: "plain HTTP", change: func(c *kubeapi.Config) { c.Server.Scheme = "http" }, want: "want https://host"},
		{name: "no host", change: func(c *kubeapi.Config) { c.Server.Host = "" }, want: "want https://host"},
		{name: "server with a path", change: func(c *kubeapi.Config) { c.Server.Path = "/k8s" }, want: "want https://host"},
		{name: "server with a password", change: func(c *kubeapi.Config) { c.Server.User = url.UserPassword("a", token) }, want: "want https://host"},
		{name: "no CA: never the host's roots", change: func(c *kubeapi.Config) { c.CertificateAuthority = nil }, want: "no PEM certificate"},
		{name: "CA bundle without PEM", change: func(c *kubeapi.Config) { c.CertificateAuthority = []byte("x") }, want: "no PEM certificate"},
		{name: "key in the CA bundle", change: func(c *kubeapi.Config) { c.CertificateAuthority = append(c.CertificateAuthority, key...) }, want: `block 2 is a "PRIVATE KEY"`},
		{name: "bad certificate in the CA bundle", change: func(c *kubeapi.Config) {
			c.CertificateAuthority = []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		}, want: "block 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := a.config(t, "{token: "+token+"}")
			if test.kubeconfig != nil {
				config.Kubeconfig = test.kubeconfig
			}
			if test.change != nil {
				test.change(&config)
			}
			access, err := kubeapi.New(config)
			if access != nil || err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), token) {
				t.Errorf("error = %v, want it to say %q and no secret", err, test.want)
			}
		})
	}
}

func TestNewReportsEverythingAtOnce(t *testing.T) {
	_, err := kubeapi.New(kubeapi.Config{Kubeconfig: kubeconfig("{as: a, username: b, token: c}")})
	for _, want := range []string{"no server URL", "CA bundle", "as-uid", "username and password"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q in it", err, want)
		}
	}
}

// TestCredentials sends one request with every kind of credential and sees what arrives.
func TestCredentials(t *testing.T) {
	a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		name := ""
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		_, _ = fmt.Fprintf(w, "%s|%s", r.Header.Get("Authorization"), name)
	})
	chain, key := testca.PEM(t, testca.New(t, "another").Issue(t, testca.Subject("gate")))
	encode := base64.StdEncoding.EncodeToString
	tests := []struct {
		name, user, want string
		files            map[string][]byte
	}{
		{name: "token", user: "{token: t1}", want: "Bearer t1|"},
		{name: "token file, relative", user: "{tokenFile: sub/token}", files: map[string][]byte{"sub/token": []byte("t2\n")}, want: "Bearer t2|"},
		{name: "certificate data, whatever CAs the server names", user: "{client-certificate-data: " + encode(chain) + ", client-key-data: " + encode(key) + "}", want: "|gate"},
		{name: "certificate files, relative", user: "{client-certificate: c.crt, client-key: c.key}", files: map[string][]byte{"c.crt": chain, "c.key": key}, want: "|gate"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := a.config(t, test.user)
			for name, content := range test.files {
				path := filepath.Join(config.Directory, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			access := newAccess(t, config)
			if got := len(access.Files()); got != len(test.files) {
				t.Errorf("Files: %v", access.Files())
			}
			for _, file := range access.Files() {
				if _, err := os.Stat(file); err != nil {
					t.Error(err)
				}
			}
			general, upgrade := access.Transports()
			for _, transport := range []http.RoundTripper{general, upgrade} {
				if got := send(t, transport, newRequest(t, a.URL)); got != test.want {
					t.Errorf("arrived: %q, want %q", got, test.want)
				}
			}
		})
	}
}

// newRequest is a caller's request as the gateway sends it.
func newRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Impersonate-User", "jane")
	return r
}

// send returns the answer's body.
func send(t *testing.T, transport http.RoundTripper, r *http.Request) string {
	t.Helper()
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

package collect_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/facts/collect"
)

// server answers questions; paths that it does not know are 404.
type server map[string]func(collect.Question) collect.Answer

func (s server) Ask(_ context.Context, question collect.Question) (collect.Answer, error) {
	if answer, ok := s[question.Path]; ok {
		return answer(question), nil
	}
	return collect.Answer{Status: http.StatusNotFound}, nil
}

func says(object any) func(collect.Question) collect.Answer {
	return func(collect.Question) collect.Answer {
		body, err := json.Marshal(object)
		if err != nil {
			panic(err)
		}
		return collect.Answer{Status: http.StatusOK, Body: body}
	}
}

const accountsPath = "/api/v1/serviceaccounts"

// accounts is a page of a list of ServiceAccounts.
func accounts(next string, names ...string) map[string]any {
	items := []any{}
	for _, name := range names {
		items = append(items, map[string]any{"metadata": map[string]any{"namespace": "default", "name": name}})
	}
	return map[string]any{"metadata": map[string]any{"continue": next}, "items": items}
}

func gathered(t *testing.T, api server) *facts.Facts {
	t.Helper()
	g := collect.New(time.Now(), "test")
	if err := g.Live(t.Context(), collect.Live{API: api}); err != nil {
		t.Fatal(err)
	}
	return g.Facts()
}

func TestPages(t *testing.T) {
	t.Parallel()

	gone := true
	pages := func(q collect.Question) collect.Answer {
		if q.Query.Get("limit") == "" {
			t.Error("a list was asked for without a limit")
		}
		switch q.Query.Get("continue") {
		case "":
			return says(accounts("2", "a"))(q)
		case "2":
			if gone { // once: the page has gone stale
				gone = false
				return collect.Answer{Status: http.StatusGone}
			}
			return says(accounts("", "b"))(q)
		}
		return collect.Answer{Status: http.StatusBadRequest}
	}
	f := gathered(t, server{accountsPath: pages})
	var names []string
	for _, account := range f.ServiceAccounts {
		names = append(names, account.Name)
	}
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	if status := f.Status(facts.SourceServiceAccounts); status.State != facts.Read || status.Requests != 4 {
		t.Errorf("status %+v, want read with 4 requests", status)
	}
}

// TestBusy: a server that is busy is asked again, and not for ever.
func TestBusy(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		tries := 0
		f := gathered(t, server{accountsPath: func(q collect.Question) collect.Answer {
			if tries++; tries < 3 {
				return collect.Answer{Status: http.StatusTooManyRequests, RetryAfter: 7 * time.Second}
			}
			return says(accounts("", "a"))(q)
		}, "/api/v1/nodes": func(collect.Question) collect.Answer { return collect.Answer{Status: http.StatusServiceUnavailable} }})
		if len(f.ServiceAccounts) != 1 || tries != 3 {
			t.Errorf("%d accounts after %d tries, want 1 after 3", len(f.ServiceAccounts), tries)
		}
		if status := f.Status(facts.SourceNodes); status.State != facts.Unreadable {
			t.Errorf("nodes: %+v, want unreadable", status)
		}
	})
}

// TestHalfAListIsNone: what broke off is not taken for all.
func TestHalfAListIsNone(t *testing.T) {
	t.Parallel()

	f := gathered(t, server{accountsPath: func(q collect.Question) collect.Answer {
		if q.Query.Get("continue") == "" {
			return says(accounts("2", "a"))(q)
		}
		return collect.Answer{Status: http.StatusForbidden, Body: []byte(`{"message":"no"}`)}
	}})
	if len(f.ServiceAccounts) != 0 || f.Knows(facts.SourceServiceAccounts) {
		t.Errorf("accounts %v, known %v, want none that count", f.ServiceAccounts, f.Knows(facts.SourceServiceAccounts))
	}
	if status := f.Status(facts.SourceServiceAccounts); !strings.Contains(status.Detail, "no") || status.Needs == "" {
		t.Errorf("status %+v, want the server's reason and the right that is needed", status)
	}
}

// TestHandshakes: an old server is found out, and Go's own does not take what is old.
func TestHandshakes(t *testing.T) {
	t.Parallel()

	for _, row := range []struct {
		name string
		min  uint16
		want []string
	}{
		{"one that takes everything", tls.VersionTLS10, []string{"TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"}},
		{"one of today", tls.VersionTLS12, []string{"TLS 1.2", "TLS 1.3"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{MinVersion: row.min}
			server.StartTLS()
			t.Cleanup(server.Close)
			g := collect.New(time.Now(), "test")
			g.Handshakes(t.Context(), server.URL, "")
			var got []string
			for _, h := range g.Facts().Handshakes {
				if h.Accepted {
					got = append(got, h.Offered)
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("versions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()

	g := collect.New(time.Now(), "test")
	err := g.Live(t.Context(), collect.Live{API: server{"/version": func(collect.Question) collect.Answer { return collect.Answer{Status: http.StatusUnauthorized} }}})
	if collect.StatusOf(err) != http.StatusUnauthorized {
		t.Errorf("error %v, want one of status 401", err)
	}
}

// planted are secrets that no facts may hold.
func planted() []string {
	return []string{"hunter2hunter2", "s3cr3t-t0k3n-value", "plain-password", "refresh-me", "0123456789abcdef"}
}

// TestNothingSecret gathers from files full of secrets and looks for them in the snapshot.
func TestNothingSecret(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tokens := write("tokens.csv", "hunter2hunter2,alice,1,\"a,b\"\nhunter2hunter2,bob,2\n,carol,3\nshort,row\n")
	write("tokens.csv.bak", "hunter2hunter2,alice,1,\"a,b\"\n")
	webhook := write("webhook.yaml", "kind: Config\nclusters: [{name: h, cluster: {server: \"https://user:hunter2hunter2@hook\"}}]\nusers: [{name: u, user: {token: hunter2hunter2}}]\n")
	flags := write("flags", "--token-auth-file="+tokens+"\n--authentication-token-webhook-config-file="+webhook+"\n--etcd-servers=https://root:hunter2hunter2@etcd\n")
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:a:b"}`))
	kubeconfig := write("kubeconfig", fmt.Sprintf(`
kind: Config
users:
- {name: token, user: {token: s3cr3t-t0k3n-value}}
- {name: jwt, user: {token: eyJhbGciOiJub25lIn0.%s.hunter2hunter2}}
- {name: basic, user: {username: x, password: plain-password}}
- {name: provider, user: {auth-provider: {name: oidc, config: {refresh-token: refresh-me, idp-issuer-url: "https://idp"}}}}
`, claims))
	joins := write("cloud-init", "kubeadm join --token abcdef.0123456789abcdef\n")

	g := collect.New(time.Now(), "test")
	if err := g.Node(collect.Node{Manifests: []string{flags}, Texts: []string{joins}}); err != nil {
		t.Fatal(err)
	}
	g.Kubeconfigs([]string{kubeconfig})
	var snapshot bytes.Buffer
	if err := facts.Encode(&snapshot, g.Facts()); err != nil {
		t.Fatal(err)
	}
	for _, secret := range planted() {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(snapshot.String(), form) {
				t.Errorf("the snapshot holds %q", form)
			}
		}
	}

	s := g.Facts().APIServers[0]
	if got := len(s.StaticTokens.Entries); got != 2 {
		t.Fatalf("%d entries, want 2", got)
	}
	if a, b := s.StaticTokens.Entries[0], s.StaticTokens.Entries[1]; a.Token.Digest != b.Token.Digest || a.Token.Digest == "" {
		t.Error("one token on two lines has two digests")
	}
	if got := len(s.StaticTokens.Problems); got != 3 {
		t.Errorf("problems %q, want that of the same token twice, the empty one and the short line", s.StaticTokens.Problems)
	}
	if got := len(s.StaticTokens.Copies); got != 1 {
		t.Errorf("%d copies, want the one that an editor left", got)
	}
	if got := g.Facts().Texts[0].JoinTokens; got != 1 {
		t.Errorf("%d join tokens, want 1", got)
	}
	users := g.Facts().Kubeconfigs[0].Users
	if !users[1].Token.JWT || users[1].Token.Subject != "system:serviceaccount:a:b" || !users[2].Basic || len(users[3].ProviderSecrets) != 1 {
		t.Errorf("users %+v, want what each holds", users)
	}
	again := collect.New(time.Now(), "test")
	again.Kubeconfigs([]string{kubeconfig})
	if again.Facts().Kubeconfigs[0].Users[0].Token.Digest == users[0].Token.Digest {
		t.Error("two gatherings give one token one digest: it can be tried against lists")
	}
}

func TestAuthenticationConfiguration(t *testing.T) {
	t.Parallel()

	const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"
	got, err := collect.AuthenticationConfiguration([]byte(head + `
anonymous: {enabled: true, conditions: [{path: /livez}]}
jwt:
- issuer: {url: "https://idp", audiences: [a], certificateAuthority: x}
  claimValidationRules: [{claim: hd, requiredValue: example.com}, {expression: "claims.a == 'b'"}]
  claimMappings: {username: {expression: "claims.sub"}, groups: {claim: groups, prefix: "p:"}}
  userValidationRules: [{expression: "!user.username.startsWith('system:')"}]
`))
	if err != nil {
		t.Fatal(err)
	}
	got.SHA256 = ""
	want := &facts.AuthenticationConfiguration{
		APIVersion: "apiserver.config.k8s.io/v1", Anonymous: &facts.AnonymousSection{Enabled: true, Paths: []string{"/livez"}},
		Issuers: []facts.Issuer{{
			URL: "https://idp", Audiences: []string{"a"}, OwnCA: true,
			Username: facts.Mapping{Expression: "claims.sub"}, Groups: facts.Mapping{Claim: "groups", Prefix: "p:"},
			RequiredClaims: map[string]string{"hd": "example.com"}, ClaimRules: []string{"claims.a == 'b'"}, UserRules: []string{"!user.username.startsWith('system:')"},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"{", "kind: Pod\napiVersion: v1\n", ""} {
		if got, err := collect.AuthenticationConfiguration([]byte(bad)); err == nil {
			t.Errorf("%q is read as %+v, want an error", bad, got)
		}
	}
}

// TestClusterInfo: a signature by a token that everybody knows is found out, and one by a good token is not.
func TestClusterInfo(t *testing.T) {
	t.Parallel()

	// Made by the bootstrap signer's own library, k8s.io/cluster-bootstrap/token/jws, of the content "x".
	signature := func(id, secret string) string { return sign(t, "x", id, secret) }
	anonymous := server{"/api/v1/namespaces/kube-public/configmaps/cluster-info": says(map[string]any{"data": map[string]string{
		"kubeconfig": "x", "jws-kubeconfig-abcdef": signature("abcdef", "0123456789abcdef"), "jws-kubeconfig-zzzzzz": signature("zzzzzz", "zzzzzzzzzzzzzzzz"),
		"jws-kubeconfig-k3x9qz": signature("k3x9qz", "v7m2c8w4t1p6r0nd"), "jws-kubeconfig-broken": "x.y",
	}})}
	g := collect.New(time.Now(), "test")
	if err := g.Live(t.Context(), collect.Live{API: server{}, Anonymous: anonymous}); err != nil {
		t.Fatal(err)
	}
	info := g.Facts().ClusterInfo
	if !info.Public || len(info.Signatures) != 4 {
		t.Fatalf("cluster-info %+v, want four signatures that anybody can read", info)
	}
	for _, s := range info.Signatures {
		if want := s.TokenID == "abcdef" || s.TokenID == "zzzzzz"; s.Guessed != want {
			t.Errorf("token %s guessed: %v, want %v", s.TokenID, s.Guessed, want)
		}
	}
}

func FuzzFiles(f *testing.F) {
	for _, seed := range []string{
		"token,user,uid,\"a,b\"\n", "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: [{}]\n", "kind: Config\nusers: [{user: {token: a.b.c}}]\n",
		"kind: Policy\nrules: [{level: None}]\n", "username,active\na,true\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "kind: KubeletConfiguration\n",
		"kind: EncryptionConfiguration\nresources: [{resources: [secrets], providers: [{kms: {}}]}]\n", `{"keys":[{"kty":"RSA","n":"AQAB"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		flags := filepath.Join(t.TempDir(), "flags")
		all := "--token-auth-file=FILE\n--authentication-config=FILE\n--audit-policy-file=FILE\n--client-ca-file=FILE\n--service-account-key-file=FILE\n" +
			"--authentication-token-webhook-config-file=FILE\n--proxy-client-cert-file=FILE\n--proxy-client-key-file=FILE\n--encryption-provider-config=FILE\n"
		if err := os.WriteFile(flags, []byte(strings.ReplaceAll(all, "FILE", file)), 0o600); err != nil {
			t.Fatal(err)
		}
		g := collect.New(time.Now(), "fuzz")
		if err := g.Node(collect.Node{Manifests: []string{flags}, Texts: []string{file}}); err != nil {
			t.Fatal(err) // the flags are good; what they name may be anything
		}
		g.Kubeconfigs([]string{file})
		_ = g.Node(collect.Node{Manifests: []string{file}, Kubelets: []string{file}}) // must not panic
		_ = g.Roster(file)
		_ = g.KeySets(map[string]string{"https://idp": file})
		if err := facts.Encode(&bytes.Buffer{}, g.Facts()); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}

package collect_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/facts/collect"
)

// items is a list of objects as an API server gives it.
func items(all ...any) map[string]any {
	if all == nil {
		all = []any{}
	}
	return map[string]any{"metadata": map[string]any{}, "items": all}
}

type fields = map[string]any

func named(namespace, name string, more fields) fields {
	made := fields{"metadata": fields{"namespace": namespace, "name": name, "labels": fields{"app": name}}}
	maps.Copy(made, more)
	return made
}

// written writes a file for a test.
func written(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const providerHost = "idp.example.com"

// withProvider knows an API server that trusts a provider.
func withProvider(t *testing.T, g *collect.Gatherer) {
	t.Helper()
	flags := written(t, "flags", "--oidc-issuer-url=https://"+providerHost+" --oidc-client-id=k\n")
	if err := g.Node(collect.Node{Manifests: []string{flags}}); err != nil {
		t.Fatal(err)
	}
}

// TestSoftware finds the provider's pods by an Ingress, and what runs beside them; the twin keeps them apart.
func TestSoftware(t *testing.T) {
	t.Parallel()

	pod := func(namespace, name, account string) fields {
		return named(namespace, name, fields{"spec": fields{"serviceAccountName": account, "nodeName": "node-1"}})
	}
	world := func(neighbours []any, policies []any, taints []any, onNode ...any) server {
		return server{
			"/api/v1/services": says(items(named("auth", "idp", nil))),
			"/apis/networking.k8s.io/v1/ingresses": says(items(named("auth", "front", fields{"spec": fields{"rules": []any{
				fields{"host": "*.example.com", "http": fields{"paths": []any{fields{"path": "/", "backend": fields{"service": fields{"name": "idp"}}}}}},
			}}}))),
			"/api/v1/namespaces/auth/services/idp":                       says(named("auth", "idp", fields{"spec": fields{"selector": fields{"app": "idp-0"}}})),
			"/api/v1/namespaces/auth/pods":                               says(items(append([]any{pod("auth", "idp-0", "idp")}, neighbours...)...)),
			"/apis/networking.k8s.io/v1/namespaces/auth/networkpolicies": says(items(policies...)),
			"/api/v1/nodes/node-1":                                       says(named("", "node-1", fields{"spec": fields{"taints": taints}})),
			"/api/v1/pods":                                               says(items(append(onNode, pod("auth", "idp-0", "idp"))...)),
			"/apis/rbac.authorization.k8s.io/v1/clusterroles":            says(items()),
		}
	}
	policy := func(ingress ...any) fields {
		return named("auth", "p", fields{"spec": fields{"podSelector": fields{}, "ingress": ingress}})
	}
	from := fields{"from": []any{fields{"podSelector": fields{}}}}
	taint := fields{"key": "idp", "effect": "NoSchedule"}
	base := facts.Software{
		Host: providerHost, Purpose: "provider", Namespace: "auth", Service: "idp", Found: "the Ingress front",
		Pods: []facts.SoftwarePod{{Name: "idp-0", Account: "idp", Node: "node-1"}},
	}
	for _, row := range []struct {
		name   string
		world  server
		change func(*facts.Software)
	}{
		{"apart", world(nil, []any{policy(from)}, []any{taint}), func(s *facts.Software) { s.Guarded, s.Tainted = true, true }},
		{"among others", world([]any{pod("auth", "shop-0", "shop")}, nil, nil, pod("shop", "web-0", "web"), pod("kube-system", "dns", "dns")), func(s *facts.Software) {
			s.Neighbours, s.NodeNeighbours = []string{"shop-0"}, []string{"shop/web-0"}
		}},
		{"a policy that lets everybody in", world(nil, []any{policy(fields{})}, []any{fields{"key": "x", "effect": "PreferNoSchedule"}}), func(*facts.Software) {}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := collect.New(time.Now(), "test")
			withProvider(t, g)
			if err := g.Live(t.Context(), collect.Live{API: row.world}); err != nil {
				t.Fatal(err)
			}
			want := base
			row.change(&want)
			if diff := cmp.Diff([]facts.Software{want}, g.Facts().Software); diff != "" {
				t.Errorf("%v (-want +got):\n%s", g.Facts().Status(facts.SourceSoftware), diff)
			}
		})
	}
}

// TestSoftwareUnread: without the rights, nothing is said of what runs beside a provider.
func TestSoftwareUnread(t *testing.T) {
	t.Parallel()

	g := collect.New(time.Now(), "test")
	withProvider(t, g)
	refuses := func(collect.Question) collect.Answer { return collect.Answer{Status: http.StatusForbidden} }
	if err := g.Live(t.Context(), collect.Live{API: server{"/api/v1/services": refuses, "/metrics": refuses}}); err != nil {
		t.Fatal(err)
	}
	for _, source := range []facts.Source{facts.SourceSoftware, facts.SourceMetrics} {
		if status := g.Facts().Status(source); status.State != facts.Unreadable || status.Needs == "" {
			t.Errorf("%s: %+v, want unreadable and what is needed", source, status)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()

	got := collect.Metrics([]byte(`# HELP authentication_attempts [ALPHA] Counter of authenticated attempts.
authentication_attempts{result="error"} 7
authentication_attempts{result="failure"} 3
authentication_attempts{result="success"} 9000
serviceaccount_stale_tokens_total 2
apiserver_authentication_config_controller_automatic_reload_last_timestamp_seconds{apiserver_id_hash="sha256:a",status="failure"} 1.7e+09
apiserver_authentication_jwt_authenticator_jwks_fetch_last_timestamp_seconds{apiserver_id_hash="sha256:a",jwt_issuer_hash="sha256:i",result="success"} 1.7e+09
apiserver_authentication_jwt_authenticator_jwks_fetch_last_timestamp_seconds{apiserver_id_hash="sha256:a",jwt_issuer_hash="sha256:i",result="failure"} 1.8e+09
apiserver_request_total{resource="a,b",verb="x} 3
nothing here
authentication_attempts{result="failure"} NaN
`))
	want := facts.Metrics{
		FailedAttempts: 10, StaleTokens: 2, ReloadFailed: time.Unix(1.7e9, 0).UTC(),
		KeyFetches: []facts.KeyFetch{{IssuerHash: "sha256:i", Worked: time.Unix(1.7e9, 0).UTC(), Failed: time.Unix(1.8e9, 0).UTC()}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzMetrics(f *testing.F) {
	f.Add([]byte("authentication_attempts{result=\"failure\"} 3\n"))
	f.Add([]byte("serviceaccount_stale_tokens_total 1e400\nx{ 1\n{} -1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got := collect.Metrics(data); got.FailedAttempts < 0 || got.StaleTokens < 0 {
			t.Errorf("counted %+v", got)
		}
	})
}

// TestPodTokens: of pods, their tokens alone are kept, and only where that was asked for.
func TestPodTokens(t *testing.T) {
	t.Parallel()

	token := func(seconds int64, audience string) fields {
		return fields{"name": "v", "projected": fields{"sources": []any{fields{"serviceAccountToken": fields{"expirationSeconds": seconds, "audience": audience, "path": "token"}}}}}
	}
	pod := func(name, account string, volumes ...any) fields {
		return named("ci", name, fields{"spec": fields{"serviceAccountName": account, "volumes": volumes}})
	}
	api := server{"/api/v1/pods": says(items(pod("b", "default", token(3607, "")), pod("a", "default", token(3607, "")), pod("c", "default"), pod("d", "vault", token(604800, "vault"))))}
	for _, scan := range []bool{true, false} {
		g := collect.New(time.Now(), "test")
		if err := g.Live(t.Context(), collect.Live{API: api, ScanPods: scan}); err != nil {
			t.Fatal(err)
		}
		f := g.Facts()
		if !scan {
			if f.Knows(facts.SourcePods) || f.PodTokens != nil {
				t.Error("pods were looked at without being asked for")
			}
			continue
		}
		if diff := cmp.Diff([]facts.PodTokens{{Namespace: "ci", Account: "default", Mounted: 2, Without: 1, Example: "a"}, {Namespace: "ci", Account: "vault", Without: 1}}, f.PodTokens); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]facts.ProjectedToken{{Namespace: "ci", Pod: "d", Volume: "v", Audience: "vault", Seconds: 604800}}, f.ProjectedTokens); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// TestCost: every answer is counted, those without a credential too.
func TestCost(t *testing.T) {
	t.Parallel()

	g := collect.New(time.Now(), "test")
	api := server{"/version": says(fields{"gitVersion": "v1.37.2"})}
	if err := g.Live(t.Context(), collect.Live{API: api, Anonymous: api}); err != nil {
		t.Fatal(err)
	}
	if f := g.Facts(); f.Calls < 20 || f.Bytes != 2*int64(len(`{"gitVersion":"v1.37.2"}`)) {
		t.Errorf("%d calls, %d bytes", f.Calls, f.Bytes)
	}
}

// TestEncryption: which provider encrypts is known, and no key.
func TestEncryption(t *testing.T) {
	t.Parallel()

	const key = "c2VjcmV0LWtleS1vZi1lbmNyeXB0aW9u"
	for name, row := range map[string]struct {
		content string
		want    []string
	}{
		"encrypted": {"kind: EncryptionConfiguration\nresources: [{resources: [secrets], providers: [{aescbc: {keys: [{name: a, secret: " + key + "}]}}, {identity: {}}]}]\n", []string{"aescbc", "identity"}},
		"all":       {"kind: EncryptionConfiguration\nresources: [{resources: ['*.'], providers: [{kms: {}}]}]\n", []string{"kms"}},
		"others":    {"kind: EncryptionConfiguration\nresources: [{resources: [configmaps], providers: [{kms: {}}]}]\n", nil},
	} {
		g := collect.New(time.Now(), "test")
		flags := written(t, "flags", "--encryption-provider-config="+written(t, "encryption.yaml", row.content))
		if err := g.Node(collect.Node{Manifests: []string{flags}}); err != nil {
			t.Fatal(err)
		}
		got := g.Facts().APIServers[0].Encryption
		if got == nil || !slices.Equal(got.Secrets, row.want) {
			t.Errorf("%s: %+v, want %v", name, got, row.want)
		}
		var out strings.Builder
		if err := facts.Encode(&out, g.Facts()); err != nil || strings.Contains(out.String(), key) {
			t.Errorf("%s: a key is in the facts, or they cannot be written: %v", name, err)
		}
	}
}

// TestComplete: records of use count as whole only where somebody says so and nothing contradicts it.
func TestComplete(t *testing.T) {
	t.Parallel()

	event := func(minute int, id string) string {
		return fmt.Sprintf(`{"kind":"Event","stage":"ResponseComplete","verb":"get","user":{"username":"system:serviceaccount:ci:builder","extra":{"authentication.kubernetes.io/credential-id":[%q]}},`+
			`"responseStatus":{"code":200},"requestReceivedTimestamp":%q}`+"\n", id, time.Date(2026, 11, 1, 12, minute, 0, 0, time.UTC).Format(time.RFC3339))
	}
	whole := event(0, "JTI=1") + event(5, "JTI=1")
	const policy = "kind: Policy\nrules: [{level: Metadata}]\n"
	for name, row := range map[string]struct {
		log, policy string
		stated      bool
		why         string
	}{
		"whole":             {whole, policy, true, ""},
		"nobody says so":    {whole, policy, false, "--audit-log-complete"},
		"a hole":            {whole + event(30, "JTI=1"), policy, true, "a hole of 24m0s"},
		"a broken line":     {whole + "{\n", policy, true, "could not be read"},
		"no ids":            {event(0, ""), policy, true, "by its id"},
		"issues left out":   {whole, "kind: Policy\nrules: [{level: None, resources: [{resources: [serviceaccounts/token]}]}, {level: Metadata}]\n", true, "leaves out"},
		"ends left out":     {whole, "kind: Policy\nomitStages: [ResponseComplete]\nrules: [{level: Metadata}]\n", true, "leaves out"},
		"somebody left out": {whole, "kind: Policy\nrules: [{level: None, users: [eve]}, {level: Metadata}]\n", true, "leaves out"},
	} {
		g := collect.New(time.Now(), "test")
		flags := written(t, "flags", "--audit-log-path=/x --audit-policy-file="+written(t, "policy.yaml", row.policy))
		if err := g.Node(collect.Node{Manifests: []string{flags}}); err != nil {
			t.Fatal(err)
		}
		if err := g.AuditLogs(t.Context(), []string{written(t, "audit.log", row.log)}); err != nil {
			t.Fatal(err)
		}
		g.Judge(row.stated)
		usage := g.Facts().Usage
		if usage.Complete != (row.why == "") || !strings.Contains(usage.Incomplete, row.why) {
			t.Errorf("%s: complete %v, %q; want %q", name, usage.Complete, usage.Incomplete, row.why)
		}
	}
}

// TestKeySets: of a provider's keys their sizes are known.
func TestKeySets(t *testing.T) {
	t.Parallel()

	n := base64.RawURLEncoding.EncodeToString(append([]byte{0}, slices.Repeat([]byte{0xff}, 128)...))
	file := written(t, "jwks.json", `{"keys":[{"kid":"a","kty":"RSA","n":"`+n+`","e":"AQAB"},{"kid":"b","kty":"EC","crv":"P-256"}]}`)
	g := collect.New(time.Now(), "test")
	if err := g.KeySets(map[string]string{"https://idp": file}); err != nil {
		t.Fatal(err)
	}
	want := []facts.PublishedKey{{ID: "a", KeyType: "RSA", KeyBits: 1024}, {ID: "b", KeyType: "EC", KeyBits: 256}}
	if diff := cmp.Diff(want, g.Facts().KeySets[0].Keys); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := g.KeySets(map[string]string{"https://idp": written(t, "other.json", "{}")}); err == nil {
		t.Error("a file without keys was taken for a key set")
	}
}

// TestPlugins: of a credential plugin, what it is given that is secret is named, and not kept.
func TestPlugins(t *testing.T) {
	t.Parallel()

	const secret = "hunter2-hunter2"
	plugin := written(t, "login", "#!/bin/sh\n")
	if err := os.Chmod(plugin, 0o777); err != nil { // that others can change it is the fault
		t.Fatal(err)
	}
	file := written(t, "config", "kind: Config\nclusters: [{name: c, cluster: {server: \"https://c\"}}]\ncontexts: [{name: good, context: {cluster: c, user: u}}, {name: old, context: {cluster: gone, user: u}}]\n"+
		"users: [{name: u, user: {exec: {command: "+plugin+", args: [--oidc-issuer-url=x, --oidc-client-secret="+secret+"], env: [{name: REFRESH_TOKEN, value: "+secret+"}]}}}]\n")
	g := collect.New(time.Now(), "test")
	g.Kubeconfigs([]string{file})
	k := &g.Facts().Kubeconfigs[0]
	want := &facts.Exec{Command: plugin, Writable: true, Looked: true, Secrets: []string{"--oidc-client-secret", "REFRESH_TOKEN"}}
	if diff := cmp.Diff(want, k.Users[0].Exec); diff != "" || !slices.Equal(k.Dangling, []string{"old"}) {
		t.Errorf("contexts that lead nowhere: %v; plugin (-want +got):\n%s", k.Dangling, diff)
	}
	var out strings.Builder
	if err := facts.Encode(&out, g.Facts()); err != nil || strings.Contains(out.String(), secret) {
		t.Errorf("the secret is in the facts, or they cannot be written: %v", err)
	}
}

// TestUnreadFilesAreNamed: a file that could not be read makes its source partial, with its name and the reason. What of a
// kubeconfig stands in another file counts, too.
func TestUnreadFilesAreNamed(t *testing.T) {
	t.Parallel()

	missing := filepath.Join(t.TempDir(), "missing")
	noPEM := written(t, "notes.pem", "nothing\n")
	dangling := written(t, "dangling", "kind: Config\nusers: [{name: alice, user: {client-certificate: gone.crt}}]\n")
	broken := written(t, "broken", "kind: Config\nusers: [{name: bob, user: {client-certificate-data: bm90aGluZw==}}]\n")
	whole := written(t, "whole", "kind: Config\nusers: [{name: carol, user: {token: x}}]\n")

	for _, row := range []struct {
		name   string
		source facts.Source
		read   func(*collect.Gatherer) error
		want   []string
	}{
		{"kubeconfigs", facts.SourceKubeconfigs, func(g *collect.Gatherer) error {
			g.Kubeconfigs([]string{whole, missing, dangling, broken})
			return nil
		}, []string{
			"3 of 4 files", missing + ": it is not there", dangling + ": user alice: its client certificate: open " + filepath.Join(filepath.Dir(dangling), "gone.crt"),
			broken + ": user bob: its client certificate: holds no PEM certificate",
		}},
		{"certificates", facts.SourceCertificateFiles, func(g *collect.Gatherer) error {
			g.CertificateFiles([]string{missing, noPEM})
			return nil
		}, []string{"2 of 2 files", missing + ": it is not there", noPEM + ": holds no PEM certificate"}},
		{"texts", facts.SourceTexts, func(g *collect.Gatherer) error { return g.Node(collect.Node{Texts: []string{missing}}) }, []string{missing + ": it is not there"}},
		{"many", facts.SourceTexts, func(g *collect.Gatherer) error {
			return g.Node(collect.Node{Texts: []string{missing, missing, missing, missing}})
		}, []string{"4 of 4 files", "; ..."}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := collect.New(time.Now(), "test")
			if err := row.read(g); err != nil {
				t.Fatal(err)
			}
			status := g.Facts().Status(row.source)
			if status.State != facts.Partial {
				t.Errorf("state %q, want partial", status.State)
			}
			for _, want := range row.want {
				if !strings.Contains(status.Detail, want) {
					t.Errorf("detail %q, want %q in it", status.Detail, want)
				}
			}
		})
	}
}

// hangsUp gives no answer.
type hangsUp struct{}

func (hangsUp) Ask(context.Context, collect.Question) (collect.Answer, error) {
	return collect.Answer{}, errors.New("connection refused")
}

// TestOneReplicaUnasked: that one API server gave no answer is not forgotten over another that did.
func TestOneReplicaUnasked(t *testing.T) {
	t.Parallel()

	good := server{}
	for _, first := range []bool{true, false} {
		what := collect.Live{API: good, Server: "https://one", Anonymous: hangsUp{}, Replicas: []collect.Replica{{Name: "https://two", API: good, Anonymous: good}}}
		if !first {
			what.Anonymous, what.Replicas[0].Anonymous = good, hangsUp{}
		}
		g := collect.New(time.Now(), "test")
		if err := g.Live(t.Context(), what); err != nil {
			t.Fatal(err)
		}
		if status := g.Facts().Status(facts.SourceProbes); status.State != facts.Unreadable || !strings.Contains(status.Detail, "connection refused") {
			t.Errorf("the first hangs up: %t: requests without a credential: %+v, want unreadable", first, status)
		}
	}
}

// TestOneReplicaShakesNoHand is the same of TLS.
func TestOneReplicaShakesNoHand(t *testing.T) {
	t.Parallel()

	there := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(there.Close)
	gone := httptest.NewTLSServer(http.NotFoundHandler())
	gone.Close()
	g := collect.New(time.Now(), "test")
	g.Handshakes(t.Context(), gone.URL, "")
	g.Handshakes(t.Context(), there.URL, "")
	if status := g.Facts().Status(facts.SourceHandshake); status.State != facts.Unreadable || !strings.Contains(status.Detail, gone.URL) {
		t.Errorf("TLS handshake: %+v, want unreadable, with %s", status, gone.URL)
	}
}

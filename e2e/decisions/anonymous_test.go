package decisions_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAnonymous(t *testing.T) {
	basic := "Authorization: Basic YWxpY2U6cGFzc3dvcmQ="
	shared.open.run(t, []row{
		{name: "ANON-1 identity", want: anonymous().withNoExtra()},
		{name: "ANON-1 with basic credentials", call: call{headers: []string{basic}}, want: anonymous().withNoExtra()},
		{name: "ANON-5 bad token", call: call{headers: bearer("wrong")}, want: refused()},
	})
}

// TestAnonymousPaths is about anonymous access to /livez and /readyz alone.
func TestAnonymousPaths(t *testing.T) {
	get := func(target string, headers ...string) call {
		return call{method: http.MethodGet, target: target, headers: headers}
	}
	ok := outcome{Status: http.StatusOK}
	stranger := issue(t, newAuthority(t, "stranger"), clientLeaf())
	shared.pathwise.run(t, []row{
		{name: "ANON-4 named path", call: get("/livez"), want: ok},
		{name: "ANON-4 other named path", call: get("/readyz"), want: ok},
		{name: "ANON-4 query", call: get("/livez?verbose"), want: ok},
		{name: "ANON-4 empty query", call: get("/livez?"), want: ok},
		{name: "ANON-4 escaped letter", call: get("/%6civez"), want: ok},
		{name: "ANON-4 other method", call: call{method: http.MethodOptions, target: "/livez"}, want: outcome{Status: http.StatusForbidden}},
		{name: "ANON-4 slash after it", call: get("/livez/"), want: refused()},
		{name: "ANON-4 below it", call: get("/livez/ping"), want: refused()},
		{name: "ANON-4 two slashes", call: get("//livez"), want: refused()},
		{name: "ANON-4 upper case", call: get("/LIVEZ"), want: refused()},
		{name: "ANON-4 dot segment before it", call: get("/./livez"), want: refused()},
		{name: "ANON-4 dot segments that lead there", call: get("/api/../livez"), want: refused()},
		{name: "ANON-4 dot segments that lead away", call: get("/livez/../api"), want: refused()},
		{name: "ANON-4 escaped dot segments that lead away", call: get("/livez/%2e%2e/api"), want: refused()},
		{name: "ANON-4 escaped slash after it", call: get("/livez%2f"), want: refused()},
		{name: "ANON-4 escaped twice", call: get("/%256civez"), want: refused()},
		{name: "ANON-4 NUL after it", call: get("/livez%00"), want: refused()},
		{name: "ANON-4 semicolon", call: get("/livez;x"), want: refused()},
		{name: "ANON-4 escaped question mark", call: get("/livez%3fx"), want: refused()},
		{name: "ANON-4 backslash", call: get(`/livez%5c..%5capi`), want: refused()},
		{name: "ANON-4 other health path", call: get("/healthz"), want: refused()},
		{name: "ANON-4 version", call: get("/version"), want: refused()},
		{name: "ANON-4 root", call: get("/"), want: refused()},
		{name: "ANON-4 review", want: refused()},
		{name: "ANON-4 resource", call: get("/api/v1/secrets"), want: refused()},
		{name: "ANON-4 unknown path", call: get("/livezz"), want: refused()},
		{name: "ANON-4 authenticated callers are let in everywhere", call: call{headers: bearer(tokenAlice)}, want: alice()},
		{name: "ANON-4 authenticated callers find nothing there", call: get("/livez/nothing", bearer(tokenAlice)...), want: outcome{Status: http.StatusForbidden}},
		{name: "ANON-5 bad token on a named path", call: get("/livez", bearer("wrong")...), want: refused()},
		{name: "ANON-5 bad certificate on a named path", call: call{method: http.MethodGet, target: "/livez", certificate: stranger.certificate}, want: refused()},
		{name: "ANON-5 basic credentials on a named path", call: get("/livez", "Authorization: Basic YTpi"), want: ok},
		{name: "ANON-5 basic credentials elsewhere", call: get("/api", "Authorization: Basic YTpi"), want: refused()},
	})
}

// TestAnonymousPathsByCluster shows that conditions hold for the path as the cluster sees it, however the cluster is
// named.
func TestAnonymousPathsByCluster(t *testing.T) {
	for _, tt := range []struct {
		name, target string
		want         int
	}{
		{"ANON-4 named path", "/clusters/backend/livez", http.StatusOK},
		{"ANON-4 escaped letter", "/clusters/backend/%6civez", http.StatusOK},
		{"ANON-4 other path", "/clusters/backend/api", unauthorized},
		{"ANON-4 two slashes", "/clusters/backend//livez", unauthorized},
		{"ANON-4 cluster twice", "/clusters/backend/clusters/backend/livez", unauthorized},
		{"ANON-4 escaped name of the prefix", "/%63lusters/backend/livez", unauthorized},
		{"ANON-4 dot segments that lead there", "/clusters/x/../backend/livez", unauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, gate := range shared.pathwise.gates {
				if got := mustReview(t, gate, call{method: http.MethodGet, target: tt.target}); got.Status != tt.want {
					t.Errorf("%s answers %d, want %d", gate.name, got.Status, tt.want)
				}
			}
		})
	}
}

// TestForbidden is about answers to callers who were let in and may not do what they ask for: authorization is the
// cluster's, so what it says must arrive as it is.
func TestForbidden(t *testing.T) {
	token := bearer(tokenAlice)
	for _, tt := range []struct {
		name string
		call call
	}{
		{"ANON-6 list of secrets", call{method: http.MethodGet, target: "/api/v1/secrets"}},
		{"ANON-6 path that is no resource", call{method: http.MethodGet, target: "/metrics"}},
		{"ANON-6 unknown path", call{method: http.MethodGet, target: "/nowhere"}},
		{"IMP-11 acting as a user", call{headers: append(bearer(tokenAlice), "Impersonate-User: bob")}},
		{"IMP-11 acting as a user with groups", call{method: http.MethodGet, target: "/api/v1/pods", headers: append(bearer(tokenAlice), "Impersonate-User: bob", "Impersonate-Group: dev")}},
		{"IMP-11 acting as a ServiceAccount", call{method: http.MethodGet, target: "/version", headers: append(bearer(tokenAlice), "Impersonate-User: system:serviceaccount:default:default")}},
		{"IMP-11 acting as a node", call{headers: append(bearer(tokenAlice), "Impersonate-User: system:node:one")}},
		{"IMP-7 acting without a credential", call{headers: []string{"Impersonate-User: bob"}}},
		{"RESP-6 list of secrets by name", call{method: http.MethodGet, target: "/api/v1/namespaces/default/secrets/x", headers: token}},
		{"RESP-6 path that is no resource", call{method: http.MethodGet, target: "/metrics", headers: token}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := mustAnswer(t, shared.open.reference, tt.call)
			if want.status != http.StatusForbidden {
				t.Errorf("kube-apiserver answers %d, want 403", want.status)
			}
			for _, gate := range shared.open.gates {
				compareAnswers(t, gate, want, mustAnswer(t, gate, tt.call))
			}
		})
	}
}

// TestRefusal is about the one answer to all who are not let in (RESP-1 to RESP-4).
func TestRefusal(t *testing.T) {
	wrong := func(method, target string, headers ...string) call {
		return call{method: method, target: target, headers: append(bearer("wrong"), headers...)}
	}
	for _, tt := range []struct {
		name string
		call call
	}{
		{"RESP-1 unknown token", wrong("GET", "/api/v1/secrets")},
		{"RESP-1 expired JWT", shared.issuers.mapped.token(t, with{"exp": 1})},
		{"RESP-1 bad certificate", issue(t, newAuthority(t, "stranger"), clientLeaf())},
		{"RESP-1 two tokens as subprotocols", call{headers: upgrade(protocols(tokenAlice, tokenBob))}},
		{"RESP-2 JSON", wrong("GET", "/api", "Accept: application/json")},
		{"RESP-2 JSON for people", wrong("GET", "/api", "Accept: application/json;pretty=1")},
		{"RESP-2 by way of a browser", wrong("GET", "/api?pretty=true", "User-Agent: Mozilla/5.0")},
		{"RESP-2 YAML", wrong("GET", "/api", "Accept: application/yaml")},
		{"RESP-2 protobuf", wrong("GET", "/api", "Accept: application/vnd.kubernetes.protobuf")},
		{"RESP-2 CBOR", wrong("GET", "/api", "Accept: application/cbor")},
		{"RESP-2 what a table client sends", wrong("GET", "/api/v1/pods", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json")},
		{"RESP-2 table alone", wrong("GET", "/api/v1/pods", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")},
		{"RESP-2 unacceptable", wrong("GET", "/api", "Accept: image/png")},
		{"RESP-2 nonsense", wrong("GET", "/api", "Accept: ;;;")},
		{"RESP-2 anything", wrong("GET", "/api", "Accept: */*")},
		{"RESP-2 weights", wrong("GET", "/api", "Accept: application/json;q=0.1, application/yaml;q=0.9")},
		{"RESP-2 compressed", wrong("GET", "/api", "Accept-Encoding: gzip")},
		{"RESP-3 cross origin", wrong("GET", "/api", "Origin: https://stranger.example.com")},
		{"RESP-4 resource", wrong("GET", "/apis/apps/v1/deployments")},
		{"RESP-4 path that is no resource", wrong("GET", "/version")},
		{"RESP-4 unknown path", wrong("GET", "/nowhere")},
		{"RESP-4 health", wrong("GET", "/healthz")},
		{"RESP-4 root", wrong("GET", "/")},
		{"RESP-4 OPTIONS", wrong("OPTIONS", "/api")},
		{"RESP-4 HEAD", wrong("HEAD", "/api")},
		{"RESP-4 DELETE", wrong("DELETE", "/api/v1/namespaces/default")},
		{"RESP-4 unknown method", wrong("BREW", "/api")},
		{"RESP-4 watch", wrong("GET", "/api/v1/pods?watch=1")},
		{"RESP-4 upgrade to WebSocket", wrong("GET", "/api/v1/namespaces/default/pods/x/exec?command=id", upgrade("v5.channel.k8s.io")...)},
		{"RESP-4 upgrade to SPDY", wrong("POST", "/api/v1/namespaces/default/pods/x/exec?command=id", "Connection: Upgrade", "Upgrade: SPDY/3.1")},
		{"RESP-5 warning", call{headers: append(bearer(" wrong"), upgrade(protocols("wrong"))...)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := mustAnswer(t, shared.open.reference, tt.call)
			if want.status != unauthorized {
				t.Errorf("kube-apiserver answers %d, want 401", want.status)
			}
			for _, gate := range shared.open.gates {
				compareAnswers(t, gate, want, mustAnswer(t, gate, tt.call))
			}
		})
	}
}

// answer is a server's answer, byte for byte, but for the values of headers that differ each time.
type answer struct {
	status  int
	headers http.Header
	body    string
}

func mustAnswer(t *testing.T, to server, c call) answer {
	t.Helper()
	response, body, err := send(t.Context(), to, c)
	if err != nil {
		t.Fatal(err)
	}
	got := answer{status: response.StatusCode, headers: response.Header.Clone(), body: string(body)}
	for _, name := range []string{"Audit-Id", "Date", "X-Kubernetes-Pf-Flowschema-Uid", "X-Kubernetes-Pf-Prioritylevel-Uid"} {
		if got.headers.Get(name) != "" {
			got.headers.Set(name, "is there")
		}
	}
	return got
}

func compareAnswers(t *testing.T, gate server, want, got answer) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); diff != "" {
		t.Errorf("%s answers otherwise (-kube-apiserver +gate):\n%s", gate.name, diff)
	}
	if got.headers.Get("Www-Authenticate") != "" {
		t.Errorf("%s tells how to authenticate: %q", gate.name, got.headers)
	}
}

// TestRefusalStatus pins what RESP-1 says of the answer, which comparisons alone would not.
func TestRefusalStatus(t *testing.T) {
	want := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   "Failure", Message: "Unauthorized", Reason: "Unauthorized", Code: unauthorized,
	}
	for _, server := range shared.open.all() {
		t.Run(server.name, func(t *testing.T) {
			var got metav1.Status
			if err := json.Unmarshal([]byte(mustAnswer(t, server, call{headers: bearer("wrong")}).body), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("RESP-1 (-want +got):\n%s", diff)
			}
		})
	}
}

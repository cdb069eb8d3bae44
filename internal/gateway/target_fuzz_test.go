package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzRoute: a target either is refused, or goes on with the client's own bytes, less the cluster's prefix.
func FuzzRoute(f *testing.F) {
	for _, seed := range []string{"/", "/clusters/a/api?x=1", "/clusters/none", "//x", "/%2e%2e/", "/a;b?c;d", "/\"<", "*", "https://x/y", "/%zz", "/clusters//x"} {
		f.Add(seed)
	}
	clusters := []*Cluster{{Name: "first"}, {Name: "a"}}
	f.Fuzz(func(t *testing.T, raw string) {
		parsed, err := url.ParseRequestURI(raw)
		if err != nil || strings.ContainsAny(raw, " \r\n\t\x7f") || strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' }) {
			return // net/http refuses it before the gate sees it
		}
		got, err := route(&http.Request{Method: http.MethodGet, RequestURI: raw, URL: parsed}, clusters)
		if err != nil {
			return
		}
		sent := got.url.RequestURI()
		rest, named := strings.CutPrefix(raw, "/clusters/")
		if !named {
			if sent != raw || got.cluster != clusters[0] {
				t.Fatalf("%q goes on as %q to %v", raw, sent, got.cluster)
			}
			return
		}
		if !strings.HasPrefix(sent, "/") || !strings.HasSuffix(rest, strings.TrimPrefix(sent, "/")) {
			t.Fatalf("%q goes on as %q", raw, sent)
		}
		if got.cluster != nil && !strings.HasPrefix(rest, got.cluster.Name) {
			t.Fatalf("%q goes to cluster %s", raw, got.cluster.Name)
		}
	})
}

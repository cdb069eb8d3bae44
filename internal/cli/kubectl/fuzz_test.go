package kubectl

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/signin"
)

// FuzzExecInfo reads what stands in KUBERNETES_EXEC_INFO: what is taken names a server that proves who it is, in one spelling.
func FuzzExecInfo(f *testing.F) {
	for _, text := range []string{
		"", "{", "null", "[]",
		`{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":true,"cluster":{"server":"https://gate.example:443/clusters/prod","certificate-authority-data":"eA==","tls-server-name":"x"}}}`,
		`{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"cluster":{"server":"https://gate.example","insecure-skip-tls-verify":true}}}`,
		`{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"cluster":{"server":"http://gate.example"}}}`,
		`{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		asked, err := parseExecInfo(text)
		if err != nil {
			if asked != nil {
				t.Error("an answer beside an error")
			}
			return
		}
		address := asked.Spec.Cluster.address()
		again, err := signin.ParseURL(address.URL)
		switch {
		case asked.Spec.Cluster.Insecure:
			t.Errorf("%q: a server that need not prove who it is", text)
		case err != nil || again != address.URL || !strings.HasPrefix(address.URL, "https://"):
			t.Errorf("%q: the address %q, then %q, %v", text, address.URL, again, err)
		}
	})
}

// FuzzSignInDocument reads what a gate says of itself: no cluster that it names leads a kubeconfig to another server.
func FuzzSignInDocument(f *testing.F) {
	for _, body := range []string{
		`{"apiVersion":"ostiary.dev/v1alpha1","kind":"SignIn","providers":[{"name":"corp","issuer":"https://idp.example","clientID":"k","flows":["code"]}],"clusters":[{"name":"prod","path":"/clusters/prod"}]}`,
		`{"apiVersion":"ostiary.dev/v1alpha1","kind":"SignIn","clusters":[{"name":"a","path":"//evil.example"},{"name":"b","path":"@evil.example"},{"name":"c","path":"/x?y#z"},{"name":"","path":""}]}`,
		`{"kind":"SignIn"}`, `{"apiVersion":"ostiary.dev/v1alpha1","kind":"SignIn","clusters":[{"name":"d","path":""}]}`,
	} {
		f.Add([]byte(body))
	}
	address := signin.Address{URL: "https://gate.example:6443"}
	f.Fuzz(func(t *testing.T, body []byte) {
		document, err := adminapi.ParseSignIn(body)
		if err != nil {
			return
		}
		if provider, err := chooseProvider(document.Providers, ""); err == nil {
			if _, err := chooseFlow(provider, &loginFlags{}); err != nil && strings.Contains(err.Error(), "\x1b") {
				t.Errorf("an error that steers a terminal: %q", err)
			}
		} else if strings.Contains(err.Error(), "\x1b") {
			t.Errorf("an error that steers a terminal: %q", err)
		}
		clusters, err := chooseClusters(document.Clusters, nil)
		if err != nil {
			return
		}
		put, names, err := contextsFor(address, clusters, nil, "user")
		if err != nil {
			return
		}
		for _, name := range names {
			cluster := put.clusters[name]
			if cluster == nil || put.contexts[name].Cluster != name {
				t.Fatalf("%q: no cluster", name)
			}
			server, err := url.Parse(cluster.Server)
			if err != nil || server.Scheme != "https" || server.Host != "gate.example:6443" || server.User != nil || server.RawQuery != "" || server.Fragment != "" {
				t.Errorf("%q leads to %q, %v", name, cluster.Server, err)
			}
			if spelled, err := signin.ParseURL(cluster.Server); err != nil || spelled != address.URL {
				t.Errorf("%q leads to the gate %q, %v", name, spelled, err)
			}
		}
	})
}

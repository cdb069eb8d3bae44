package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/config/configtest"
)

// everyMechanism is added to the example configuration: all that it leaves out.
const everyMechanism = `  proxyHeader: {caFiles: [proxies-ca.crt], allowedNames: [portal]}
  serviceAccountSecret: {maxAge: 2160h, maxIdle: 720h}
  tokenRequest: {maxLifetime: 1h}
  bootstrapToken: {fromCluster: true, maxUses: 3}
  webhook: {kubeconfig: webhook.kubeconfig, version: v1}
`

const clusterTokens = `  access: {kubeconfig: gate.kubeconfig}
  serviceAccounts: {issuers: ["https://kubernetes.default.svc"], keyFiles: [sa.pub]}
`

const otherSections = `tokenRequests: {maxLifetime: 1h}
tokenReview:
  address: 127.0.0.1:0
  tls: {certFile: tls.crt, keyFile: tls.key}
  callers:
  - {name: prod, caFiles: [callers-ca.crt], allowedNames: [apiserver], mechanisms: [jwt, webhook]}
`

// everything makes a folder with a configuration that has all mechanisms, and the files it names.
func everything(t *testing.T, edits ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := configtest.WriteAll(dir); err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"proxies-ca", "callers-ca"} {
		authority, err := configtest.NewAuthority(name)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".crt", authority.PEM())
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	write("sa.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	write("bootstrap.yaml", []byte("- {}\n"))
	for name, server := range map[string]string{"webhook": "https://127.0.0.1:1/review", "plain": "http://127.0.0.1:1/review", "far": "http://10.0.0.1/review"} {
		write(name+".kubeconfig", []byte(`{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
"users":[{"name":"u","user":{"token":"x"}}],"clusters":[{"name":"c","cluster":{"server":"`+server+`","certificate-authority":"callers-ca.crt"}}]}`))
	}
	text := strings.Replace(configtest.Example(), "  clientCertificate:\n", everyMechanism+"  clientCertificate:\n", 1) + otherSections
	at := strings.Index(text, "\nauthentication:")
	text = text[:at+1] + clusterTokens + text[at+1:]
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("the configuration has no %q:\n%s", edits[i], text)
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	file := filepath.Join(dir, "ostiary.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestEveryMechanismLoads(t *testing.T) {
	t.Parallel()
	checked, err := config.Load(everything(t))
	if err != nil {
		t.Fatal(err)
	}
	if p := checked.ProxyHeader; p == nil || len(p.UsernameHeaders) != 1 || p.UsernameHeaders[0] != "X-Remote-User" || p.Kubernetes {
		t.Errorf("proxyHeader %+v", checked.ProxyHeader)
	}
	if s := checked.ServiceAccountSecret; s == nil || s.MaxAge != 2160*time.Hour || s.MaxIdle != 720*time.Hour {
		t.Errorf("serviceAccountSecret %+v", s)
	}
	if b := checked.BootstrapToken; b == nil || b.MaxUses != 3 || len(b.AllowedRequests) == 0 {
		t.Errorf("bootstrapToken %+v", b)
	}
	if w := checked.Webhook; w == nil || w.CacheTTL != config.DefaultWebhookCacheTTL || w.Timeout != config.DefaultWebhookTimeout || w.MaxConcurrent != config.DefaultWebhookConcurrency {
		t.Errorf("webhook %+v", w)
	}
	if checked.TokenRequests.MaxLifetime != time.Hour || checked.TokenReview == nil || len(checked.TokenReview.Callers) != 1 {
		t.Errorf("%+v %+v", checked.TokenRequests, checked.TokenReview)
	}
	last := checked.Clusters[len(checked.Clusters)-1]
	if last.Access == nil || last.ServiceAccounts == nil || len(last.ServiceAccounts.Keys) != 1 || !last.BootstrapTokens {
		t.Errorf("cluster %+v", last)
	}
}

// TestProfileKubernetes: the profile turns hardening off, and excludes what would harden.
func TestProfileKubernetes(t *testing.T) {
	t.Parallel()
	checked, err := config.Load(everything(t,
		"{fromCluster: true, maxUses: 3}", "{fromCluster: true, profile: kubernetes}",
		"allowedNames: [portal]}", "profile: kubernetes}",
		"webhook.kubeconfig, version: v1}", "webhook.kubeconfig, version: v1, profile: kubernetes}"))
	if err != nil {
		t.Fatal(err)
	}
	if checked.BootstrapToken.AllowedRequests != nil || !checked.ProxyHeader.Kubernetes || checked.Webhook.MaxConcurrent != 0 || checked.Webhook.Timeout != 30*time.Second {
		t.Errorf("%+v %+v %+v", checked.BootstrapToken, checked.ProxyHeader, checked.Webhook)
	}
}

func TestMechanismsRefuse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		edits []string
		want  string
	}{
		{"G-31 no names", []string{"caFiles: [proxies-ca.crt], allowedNames: [portal]", "caFiles: [proxies-ca.crt]"}, "authentication.proxyHeader.allowedNames: Required"},
		{"attack 39 CA of users", []string{"caFiles: [proxies-ca.crt]", "caFiles: [users-ca.crt]"}, "authentication.proxyHeader.caFiles: Invalid"},
		{"RH-13 uid header", []string{"allowedNames: [portal]}", "allowedNames: [portal], uidHeaders: [X-Other]}"}, "authentication.proxyHeader.uidHeaders"},
		{"RH-13 blank header", []string{"allowedNames: [portal]}", `allowedNames: [portal], groupHeaders: [" "]}`}, "authentication.proxyHeader.groupHeaders[0]"},
		{"unknown profile", []string{"allowedNames: [portal]}", "allowedNames: [portal], profile: lax}"}, "authentication.proxyHeader.profile: Unsupported"},
		{"profile and hardening", []string{"{maxLifetime: 1h}\n  bootstrap", "{maxLifetime: 1h, profile: kubernetes}\n  bootstrap"}, "authentication.tokenRequest.maxLifetime: Forbidden"},
		{"profile and uses", []string{"maxUses: 3}", "maxUses: 3, profile: kubernetes}"}, "authentication.bootstrapToken.maxUses: Forbidden"},
		{"bootstrap tokens from nowhere", []string{"{fromCluster: true, maxUses: 3}", "{maxUses: 3}"}, "authentication.bootstrapToken: Required"},
		{"bootstrap tokens from both", []string{"fromCluster: true, maxUses: 3", "fromCluster: true, file: bootstrap.yaml"}, "authentication.bootstrapToken: Forbidden"},
		{"requests without a verb", []string{"maxUses: 3}", "allowedRequests: [{resources: [pods], apiGroups: [apps]}]}"}, "allowedRequests[0].verbs: Required"},
		{"requests of paths and resources", []string{"maxUses: 3}", "allowedRequests: [{verbs: [get], resources: [pods], apiGroups: [apps], paths: [/x]}]}"}, "allowedRequests[0]: Required"},
		{"star in a name", []string{"maxUses: 3}", "allowedRequests: [{verbs: [get], resources: [pod*], apiGroups: [apps]}]}"}, "allowedRequests[0].resources[0]"},
		{"no issuer", []string{`issuers: ["https://kubernetes.default.svc"], `, ""}, "serviceAccounts.issuers: Required"},
		{"no keys", []string{", keyFiles: [sa.pub]", ""}, "serviceAccounts.keyFiles: Required"},
		{"keys from both", []string{"keyFiles: [sa.pub]", "keyFiles: [sa.pub], keysFromCluster: true"}, "serviceAccounts: Forbidden"},
		{"no key in the file", []string{"keyFiles: [sa.pub]", "keyFiles: [proxies-ca.crt, gate.kubeconfig]"}, "keyFiles[1]"},
		{"no cluster knows the tokens", []string{clusterTokens, "  access: {kubeconfig: gate.kubeconfig}\n"}, "authentication.tokenRequest: Required"},
		{"webhook over the network in clear", []string{"webhook.kubeconfig", "far.kubeconfig"}, "plain http"},
		{"webhook in clear without saying so", []string{"webhook.kubeconfig", "plain.kubeconfig"}, "plain http"},
		{"webhook of no version", []string{", version: v1}", "}"}, "authentication.webhook.version: Unsupported"},
		{"token requests without a bound", []string{"tokenRequests: {maxLifetime: 1h}", "tokenRequests: {}"}, "tokenRequests.maxLifetime: Required"},
		{"token requests below what is issued", []string{"tokenRequests: {maxLifetime: 1h}", "tokenRequests: {maxLifetime: 5m}"}, "tokenRequests.maxLifetime: Invalid"},
		{"caller by the users' CA", []string{"caFiles: [callers-ca.crt]", "caFiles: [users-ca.crt]"}, "tokenReview.callers[0].caFiles: Invalid"},
		{"caller without names", []string{"allowedNames: [apiserver], ", ""}, "tokenReview.callers[0].allowedNames: Required"},
		{"callers that are one", []string{"mechanisms: [jwt, webhook]}", "mechanisms: [jwt]}\n  - {name: other, caFiles: [callers-ca.crt], allowedNames: [apiserver], mechanisms: [jwt]}"}, "tokenReview.callers[1]: Invalid"},
		{"caller of a mechanism that needs the request", []string{"mechanisms: [jwt, webhook]", "mechanisms: [clientCertificate]"}, "tokenReview.callers[0].mechanisms[0]: Unsupported"},
		{"balancers from nowhere", []string{"listen:\n", "listen:\n  proxyProtocol: {from: []}\n"}, "listen.proxyProtocol.from: Required"},
		{"another header", []string{"listen:\n", "listen:\n  forwardedAddresses: {from: [10.0.0.0/8], header: X-Real-IP}\n"}, "listen.forwardedAddresses.header: Unsupported"},
		{"balancers without names", []string{"listen:\n", "listen:\n  clientCertificateHeader: {from: [10.0.0.0/8], caFiles: [callers-ca.crt], allowedNames: []}\n"}, "listen.clientCertificateHeader.allowedNames: Required"},
		{"balancers by the users' CA", []string{"listen:\n", "listen:\n  clientCertificateHeader: {from: [10.0.0.0/8], caFiles: [users-ca.crt], allowedNames: [edge]}\n"}, "listen.clientCertificateHeader.caFiles: Invalid"},
		{"caller of confined tokens", []string{"mechanisms: [jwt, webhook]", "mechanisms: [bootstrapToken]"}, "tokenReview.callers[0].mechanisms[0]: Unsupported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(everything(t, tt.edits...))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v\nwant %q", err, tt.want)
			}
		})
	}
	if _, err := config.Load(everything(t, "webhook.kubeconfig, version: v1}", "plain.kubeconfig, version: v1, allowPlainHTTP: true}")); err != nil {
		t.Errorf("plain http on loopback that was asked for: %v", err)
	}
}

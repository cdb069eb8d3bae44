package audit_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// weakOptions are those of an API server with faults: one CA for clients and proxies, a provider for everybody without
// prefixes, clear-text tokens, anybody let in, tokens in the audit log.
func weakOptions(dir string) (controlplane.Options, error) {
	front, err := issue(dir, "long-front-proxy", "front-proxy-client", 10*365*24*time.Hour)
	if err != nil {
		return controlplane.Options{}, err
	}
	return controlplane.Options{
		Anonymous: true, Audit: controlplane.AuditRequestResponse,
		TokenFile: weakStaticToken + ",system:admin,1,\"system:masters\"\n",
		ExtraArgs: []string{
			"--requestheader-client-ca-file=" + filepath.Join(dir, "client-ca.crt"),
			"--proxy-client-cert-file=" + front.Cert, "--proxy-client-key-file=" + front.Key,
			"--oidc-issuer-url=https://accounts.google.com", "--oidc-client-id=kubernetes",
			"--oidc-username-claim=email", "--oidc-groups-claim=groups",
			"--service-account-lookup=false",
			"--disable-admission-plugins=CertificateSubjectRestriction",
			"--tls-min-version=VersionTLS10", "--api-audiences=" + controlplane.Issuer + ",vault",
		},
	}, nil
}

// issue makes a certificate of an authority of its own.
func issue(dir, file, name string, lifetime time.Duration) (pki.Files, error) {
	authority, err := pki.NewAuthority(name + "-ca")
	if err != nil {
		return pki.Files{}, err
	}
	leaf := pki.Client(name)
	leaf.NotAfter = time.Now().Add(lifetime)
	pair, err := authority.Issue(leaf)
	if err != nil {
		return pki.Files{}, err
	}
	return pair.Write(dir, file)
}

// oddAuthentication has two providers that may name one user, and an anonymous section that opens everything.
const oddAuthentication = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
jwt:
- issuer: {url: "https://one.example.com", audiences: [kubernetes]}
  claimMappings:
    username: {claim: sub, prefix: "idp:"}
    groups: {expression: "claims.groups"}
- issuer: {url: "https://two.example.com", audiences: [kubernetes]}
  claimMappings:
    username: {claim: sub, prefix: "idp:"}
`

// oddWebhook is the kubeconfig of a webhook of which nothing is verified, and that knows nobody who asks.
func oddWebhook() string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- {name: hook, cluster: {server: %q, insecure-skip-tls-verify: true}}
users:
- {name: none}
contexts:
- {name: hook, context: {cluster: hook, user: none}}
current-context: hook
`, shared.hooks.old.URL)
}

// proxiesCA is the file of the odd API server's CA for proxies.
const proxiesCA = "proxies-ca.crt"

// oddOptions are those of an API server that authorizes everything, asks a webhook of which it knows nothing, and demands
// no name of proxies.
func oddOptions(dir string) (controlplane.Options, error) {
	webhook := filepath.Join(dir, "webhook.yaml")
	if err := os.WriteFile(webhook, []byte(oddWebhook()), 0o644); err != nil { // that everybody can read it is the fault
		return controlplane.Options{}, err
	}
	authority, err := pki.NewAuthority("proxies")
	if err != nil {
		return controlplane.Options{}, err
	}
	proxies := filepath.Join(dir, proxiesCA)
	if err := pki.WriteFile(proxies, authority.PEM()); err != nil {
		return controlplane.Options{}, err
	}
	return controlplane.Options{
		AuthenticationConfiguration: []byte(oddAuthentication), NoControllerManager: true, NoRequestHeader: true,
		ExtraArgs: []string{
			"--requestheader-client-ca-file=" + proxies, "--requestheader-username-headers=X-Remote-User",
			"--authorization-mode=AlwaysAllow", "--authentication-token-webhook-config-file=" + webhook,
			"--authentication-token-webhook-cache-ttl=1h", "--enable-bootstrap-token-auth=false",
		},
	}, nil
}

// providers are AuthenticationConfigurations: anonymous requests for health checks only, and one provider with prefixes.
func providers(issuer *minter.Minter) ([]byte, error) {
	type object = map[string]any
	content, err := yaml.Marshal(object{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
		"anonymous": object{"enabled": true, "conditions": []object{{"path": "/livez"}, {"path": "/readyz"}, {"path": "/healthz"}}},
		"jwt": []object{{
			"issuer":        object{"url": issuer.Issuer, "audiences": []string{"kubernetes"}, "certificateAuthority": string(issuer.CA)},
			"claimMappings": object{"username": object{"claim": "sub", "prefix": "idp:"}, "groups": object{"claim": "groups", "prefix": "idp:"}},
		}},
	})
	return append([]byte("# The section anonymous counts, and not the flag.\n"), content...), err
}

// looseOptions are those of an API server that asks a webhook in clear, which gives names of the cluster's own.
func looseOptions(dir string) (controlplane.Options, error) {
	authentication, err := providers(shared.issuer)
	if err != nil {
		return controlplane.Options{}, err
	}
	webhook := filepath.Join(dir, "webhook.yaml")
	if err := (kubectl.Access{Server: shared.hooks.clear.URL}).Write(webhook); err != nil {
		return controlplane.Options{}, err
	}
	return controlplane.Options{
		AuthenticationConfiguration: authentication, NoRequestHeader: true, Audit: controlplane.AuditRequestResponse,
		ExtraArgs: []string{"--authentication-token-webhook-config-file=" + webhook, "--authentication-token-webhook-version=v1"},
	}, nil
}

func soundOptions(dir string) (controlplane.Options, error) {
	authentication, err := providers(shared.issuer)
	if err != nil {
		return controlplane.Options{}, err
	}
	front, err := issue(dir, "front-proxy", "aggregator", 30*24*time.Hour)
	if err != nil {
		return controlplane.Options{}, err
	}
	authority, err := pki.NewAuthority("api-servers")
	if err != nil {
		return controlplane.Options{}, err
	}
	pair, err := authority.Issue(pki.Client("kube-apiserver"))
	if err != nil {
		return controlplane.Options{}, err
	}
	webhook, encryption := filepath.Join(dir, "webhook.yaml"), filepath.Join(dir, "encryption.yaml")
	if err := shared.hooks.access(shared.hooks.sound).WithCertificate(pair).Write(webhook); err != nil {
		return controlplane.Options{}, err
	}
	key := base64.StdEncoding.EncodeToString([]byte(rand.Text())[:16])
	if err := pki.WriteFile(encryption, []byte("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n"+
		"resources: [{resources: [secrets], providers: [{aesgcm: {keys: [{name: one, secret: "+key+"}]}}, {identity: {}}]}]\n")); err != nil {
		return controlplane.Options{}, err
	}
	return controlplane.Options{
		AuthenticationConfiguration: authentication,
		ExtraArgs: []string{
			"--service-account-max-token-expiration=24h", "--service-account-extend-token-expiration=false", "--tls-min-version=VersionTLS13",
			"--proxy-client-cert-file=" + front.Cert, "--proxy-client-key-file=" + front.Key, "--encryption-provider-config=" + encryption,
			"--authentication-token-webhook-config-file=" + webhook, "--authentication-token-webhook-version=v1",
		},
	}, nil
}

package audit_test

import (
	"os"
	"path/filepath"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
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
			"--tls-min-version=VersionTLS10",
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

// oddWebhook is asked in clear; the file can be read by everybody.
const oddWebhook = `apiVersion: v1
kind: Config
clusters:
- {name: hook, cluster: {server: "https://hook.auth.svc", insecure-skip-tls-verify: true}}
users:
- {name: none}
contexts:
- {name: hook, context: {cluster: hook, user: none}}
current-context: hook
`

// proxiesCA is the file of the odd API server's CA for proxies.
const proxiesCA = "proxies-ca.crt"

// oddOptions are those of an API server that authorizes everything, asks a webhook of which it knows nothing, and demands
// no name of proxies.
func oddOptions(dir string) (controlplane.Options, error) {
	webhook := filepath.Join(dir, "webhook.yaml")
	if err := os.WriteFile(webhook, []byte(oddWebhook), 0o644); err != nil { // that everybody can read it is the fault
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

// soundAuthentication has an anonymous section that names paths, and a provider with prefixes.
const soundAuthentication = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions: [{path: /livez}, {path: /readyz}, {path: /healthz}]
jwt:
- issuer: {url: "https://idp.example.com", audiences: [kubernetes]}
  claimMappings:
    username: {claim: sub, prefix: "idp:"}
    groups: {claim: groups, prefix: "idp:"}
`

const soundWebhook = `apiVersion: v1
kind: Config
clusters:
- {name: hook, cluster: {server: "https://hook.auth.svc", certificate-authority: serving-ca.crt}}
users:
- {name: none}
contexts:
- {name: hook, context: {cluster: hook, user: none}}
current-context: hook
`

func soundOptions(dir string) (controlplane.Options, error) {
	front, err := issue(dir, "front-proxy", "aggregator", 30*24*time.Hour)
	if err != nil {
		return controlplane.Options{}, err
	}
	webhook := filepath.Join(dir, "webhook.yaml")
	if err := pki.WriteFile(webhook, []byte(soundWebhook)); err != nil {
		return controlplane.Options{}, err
	}
	return controlplane.Options{
		AuthenticationConfiguration: []byte(soundAuthentication),
		ExtraArgs: []string{
			"--service-account-max-token-expiration=24h", "--service-account-extend-token-expiration=false", "--tls-min-version=VersionTLS12",
			"--proxy-client-cert-file=" + front.Cert, "--proxy-client-key-file=" + front.Key,
			"--authentication-token-webhook-config-file=" + webhook, "--authentication-token-webhook-version=v1",
		},
	}, nil
}

package config

import (
	"net/url"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// Webhook asks a TokenReview service about bearer tokens, as kube-apiserver does.
type Webhook struct {
	// Kubernetes' own kubeconfig for it (--authentication-token-webhook-config-file): the current context's cluster is the
	// service, its user the gate's credential there.
	Kubeconfig string `json:"kubeconfig"`
	// Version of TokenReview that the service speaks (--authentication-token-webhook-version).
	Version string `json:"version" jsonschema:"enum=v1,enum=v1beta1"`
	// How long an answer is remembered (--authentication-token-webhook-cache-ttl), 1s to 1h. Default 2m.
	CacheTTL Duration `json:"cacheTTL,omitzero" jsonschema:"default=2m"`
	// How long one question may take, with all repetitions, 100ms to 30s. Default 10s.
	Timeout Duration `json:"timeout,omitzero" jsonschema:"default=10s"`
	// How many questions may be under way at a time, 1 to 10000; further ones fail at once. Default 100.
	MaxConcurrent int `json:"maxConcurrent,omitempty" jsonschema:"minimum=1,maximum=10000,default=100"`
	// Take a service on this very machine that speaks plain http.
	AllowPlainHTTP  bool `json:"allowPlainHTTP,omitempty"`
	MechanismPolicy `json:",inline"`
}

// The defaults of a webhook, and the bounds of what may be written instead.
const (
	// DefaultWebhookCacheTTL is kube-apiserver's.
	DefaultWebhookCacheTTL = 2 * time.Minute
	minWebhookCacheTTL     = time.Second
	maxWebhookCacheTTL     = time.Hour
	// DefaultWebhookTimeout leaves room for two repetitions, and is far below what clients wait.
	DefaultWebhookTimeout = 10 * time.Second
	minWebhookTimeout     = 100 * time.Millisecond
	maxWebhookTimeout     = 30 * time.Second
	// DefaultWebhookConcurrency is more than a healthy service needs at a time, and little for the gate to keep waiting.
	DefaultWebhookConcurrency = 100
	maxWebhookConcurrency     = 10_000
)

// CheckedWebhook is the webhook mechanism.
type CheckedWebhook struct {
	// Kubeconfig is its absolute name; relative names inside it are relative to its folder.
	Kubeconfig string
	// Version is v1 or v1beta1.
	Version string
	// The bounds; none is zero. In profile kubernetes Timeout is 30s, and there is no bound on concurrency: 0.
	CacheTTL, Timeout time.Duration
	MaxConcurrent     int
	CheckedPolicy
	// Digest changes with the kubeconfig and the files that it names, too.
	Digest Digest
}

// setDefaults fills in what was left out.
func (w *Webhook) setDefaults() {
	setDefault(&w.CacheTTL, Duration(DefaultWebhookCacheTTL))
	if w.Profile == profileKubernetes {
		return
	}
	setDefault(&w.Timeout, Duration(DefaultWebhookTimeout))
	setDefault(&w.MaxConcurrent, DefaultWebhookConcurrency)
}

func (c *checker) webhook(p *field.Path, written *Webhook) *CheckedWebhook {
	policy := c.policy(p, written.MechanismPolicy)
	if written.Version != "v1" && written.Version != "v1beta1" {
		c.errs = append(c.errs, field.NotSupported(p.Child("version"), written.Version, []string{"v1", "v1beta1"}))
	}
	c.durationInRange(p.Child("cacheTTL"), written.CacheTTL, minWebhookCacheTTL, maxWebhookCacheTTL)
	c.durationInRange(p.Child("timeout"), written.Timeout, minWebhookTimeout, maxWebhookTimeout)
	c.inRange(p.Child("maxConcurrent"), written.MaxConcurrent, 1, maxWebhookConcurrency)
	if policy.Kubernetes && written.Timeout != 0 {
		c.excludedByProfile(p.Child("timeout"))
	}
	if policy.Kubernetes && written.MaxConcurrent != 0 {
		c.excludedByProfile(p.Child("maxConcurrent"))
	}
	at := p.Child("kubeconfig")
	data, path := c.read(at, written.Kubeconfig, maxKubeconfigBytes)
	if data == nil {
		return nil
	}
	c.warnReadable(at, path)
	var parsed kubeconfig
	if err := yaml.Unmarshal(data, &parsed); err != nil {
		c.invalid(at, written.Kubeconfig, "%s: is not a kubeconfig", path) // the decoder's words could quote a token
		return nil
	}
	refuse := func(detail string) { c.invalid(at, written.Kubeconfig, "%s: %s", path, detail) }
	parts := c.webhookService(&parsed, path, written.AllowPlainHTTP, policy.Kubernetes, refuse)
	full := *written
	full.setDefaults()
	checked := &CheckedWebhook{
		Kubeconfig: path, Version: written.Version, CacheTTL: time.Duration(full.CacheTTL), Timeout: time.Duration(full.Timeout),
		MaxConcurrent: full.MaxConcurrent, CheckedPolicy: policy,
		Digest: digestOf(append(parts, c.settings(p, written), data)...),
	}
	if policy.Kubernetes {
		checked.Timeout = maxWebhookTimeout
	}
	return checked
}

// webhookService checks what the kubeconfig says of the service, reads the files that it names, and returns their
// contents.
func (c *checker) webhookService(parsed *kubeconfig, path string, plain, kubernetes bool, refuse func(string)) (parts [][]byte) {
	user := c.currentUser(parsed, refuse)
	if user == nil {
		return nil
	}
	service := parsed.currentCluster()
	if service == nil {
		refuse("the current context names a cluster that is not in the file")
		return nil
	}
	server, err := url.Parse(service.Server)
	switch {
	case err != nil || server.Host == "":
		refuse("the cluster's server is not a URL")
	case server.Scheme == "http" && (!plain || !isLoopback(server.Hostname())):
		refuse("the service is asked in plain http, so that everybody on the way reads the tokens; use https (on this machine's own addresses allowPlainHTTP would do)")
	case server.Scheme != "http" && server.Scheme != "https":
		refuse("the cluster's server must start with https://")
	case server.Scheme == "https" && service.CertificateAuthority == "" && service.CertificateAuthorityData == "" && !kubernetes:
		refuse("the cluster names no certificate-authority: then any CA of this machine could vouch for the service; name the one that does")
	}
	if user.Exec != nil {
		refuse("the user has an exec plugin: the gate runs no programs for its credential")
	}
	for _, name := range []string{service.CertificateAuthority, user.ClientCertificate, user.ClientKey, user.TokenFile} {
		if name == "" {
			continue
		}
		content := c.fetch(besides(path, name), maxPEMBytes)
		if content.err != nil || len(content.data) == 0 {
			refuse("names the file " + name + ", which cannot be read or is empty; check the name and its permissions")
		}
		parts = append(parts, content.data)
	}
	return parts
}

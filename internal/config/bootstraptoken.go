package config

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// BootstrapToken accepts bootstrap tokens, with which machines join a cluster. Exactly one of fromCluster and file must be
// set.
type BootstrapToken struct {
	// Take the cluster's own: the Secrets of type bootstrap.kubernetes.io/token in kube-system, which the account in
	// clusters[].access watches. Each cluster takes its own tokens only.
	FromCluster bool `json:"fromCluster,omitempty" jsonschema:"oneof_required=fromCluster"`
	// Take those of a file that "ostiary config bootstrap-token" writes, which holds hashes; for clusters whose own
	// mechanism is off.
	File string `json:"file,omitempty" jsonschema:"oneof_required=file"`
	// What bootstrap tokens may be used for (G-16). Left out, what kubeadm join and a kubelet's TLS bootstrap need.
	AllowedRequests []AllowedRequest `json:"allowedRequests,omitempty"`
	// How many certificates may be requested with one token, as counted by this gate since it started; left out, there is
	// no bound (G-18).
	MaxUses         int `json:"maxUses,omitempty" jsonschema:"minimum=1,maximum=100000"`
	MechanismPolicy `json:",inline"`
}

// AllowedRequest is a set of requests. Within one list any entry may match, "*" stands for everything; an empty list of
// namespaces or names matches all. Exactly one of resources and paths must be set.
type AllowedRequest struct {
	// Verbs as RBAC has them, for example create or get.
	Verbs []string `json:"verbs" jsonschema:"minItems=1"`
	// API groups; "" is the core group.
	APIGroups []string `json:"apiGroups,omitempty"`
	// Resources, or resource/subresource.
	Resources []string `json:"resources,omitempty"`
	// Namespaces.
	Namespaces []string `json:"namespaces,omitempty"`
	// Names of objects. Requests without a name, such as list and create, do not match where there are any.
	Names []string `json:"names,omitempty"`
	// Paths of requests that are for no resource; a trailing "*" stands for any ending.
	Paths []string `json:"paths,omitempty"`
}

// maxBootstrapUses: a token that joins more machines than any cluster has is not bounded.
const maxBootstrapUses = 100_000

// CheckedBootstrapToken is the bootstrap-token mechanism.
type CheckedBootstrapToken struct {
	// FromCluster takes the cluster's own tokens; otherwise Content holds those of File.
	FromCluster bool
	File        string
	Content     []byte
	// AllowedRequests is nil in profile kubernetes, where all requests are allowed, and not empty otherwise.
	AllowedRequests []AllowedRequest
	// MaxUses is 0 where there is no bound.
	MaxUses int
	CheckedPolicy
}

func (c *checker) bootstrapToken(p *field.Path, written *BootstrapToken) *CheckedBootstrapToken {
	checked := &CheckedBootstrapToken{
		FromCluster: written.FromCluster, AllowedRequests: written.AllowedRequests, MaxUses: written.MaxUses,
		CheckedPolicy: c.policy(p, written.MechanismPolicy),
	}
	c.inRange(p.Child("maxUses"), written.MaxUses, 1, maxBootstrapUses)
	if checked.Kubernetes && written.MaxUses != 0 {
		c.excludedByProfile(p.Child("maxUses"))
	}
	if checked.Kubernetes && len(written.AllowedRequests) > 0 {
		c.excludedByProfile(p.Child("allowedRequests"))
	}
	for i := range written.AllowedRequests {
		c.allowedRequest(p.Child("allowedRequests").Index(i), &written.AllowedRequests[i])
	}
	if len(checked.AllowedRequests) == 0 && !checked.Kubernetes {
		checked.AllowedRequests = JoiningRequests()
	}
	switch {
	case written.FromCluster && written.File != "":
		c.forbidden(p, "fromCluster and file exclude each other; remove one")
	case written.File != "":
		if checked.Content, checked.File = c.read(p.Child("file"), written.File, maxPEMBytes); checked.Content == nil {
			return nil
		}
		c.warnReadable(p.Child("file"), checked.File)
	case !written.FromCluster:
		c.required(p, "set fromCluster, or name a file")
	}
	return checked
}

func (c *checker) allowedRequest(p *field.Path, written *AllowedRequest) {
	c.words(p.Child("verbs"), written.Verbs)
	if len(written.Verbs) == 0 {
		c.required(p.Child("verbs"), `name verbs, or "*"`)
	}
	if (len(written.Resources) == 0) == (len(written.Paths) == 0) {
		c.required(p, "write resources or paths, and not both")
	}
	if len(written.Resources) > 0 && len(written.APIGroups) == 0 {
		c.required(p.Child("apiGroups"), `name the API groups of the resources; "" is the core group`)
	}
	if len(written.Paths) > 0 && len(written.APIGroups)+len(written.Namespaces)+len(written.Names) > 0 {
		c.forbidden(p, "apiGroups, namespaces and names are for resources; paths have none")
	}
	c.words(p.Child("resources"), written.Resources)
	c.words(p.Child("namespaces"), written.Namespaces)
	c.words(p.Child("names"), written.Names)
	for i, path := range written.Paths {
		if !strings.HasPrefix(path, "/") {
			c.invalid(p.Child("paths").Index(i), path, "must start with \"/\"")
		}
		c.pattern(p.Child("paths").Index(i), path)
	}
}

// words checks a list in which "*" stands for everything, and for nothing else.
func (c *checker) words(p *field.Path, list []string) {
	c.names(p, list, "a name")
	for i, word := range list {
		if word != "*" && strings.Contains(word, "*") {
			c.invalid(p.Index(i), word, `"*" stands for everything and cannot be part of a name`)
		}
	}
}

// JoiningRequests are those that kubeadm join, and a kubelet that asks for its first certificate, make with a bootstrap
// token: discovery, the configuration that kubeadm keeps in the cluster, and the certificate signing request itself.
// Which of them are granted is for the cluster's RBAC to say, as ever.
func JoiningRequests() []AllowedRequest {
	return []AllowedRequest{
		{Verbs: []string{"create", "get", "list", "watch"}, APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"certificatesigningrequests"}},
		{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"configmaps"}, Namespaces: []string{"kube-public"}, Names: []string{"cluster-info"}},
		{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"configmaps"}, Namespaces: []string{"kube-system"}, Names: []string{"kubeadm-config", "kubelet-config", "kube-proxy"}},
		// kubeadm looks whether a node of that name is there already.
		{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"nodes"}},
		{Verbs: []string{"create"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"selfsubjectreviews"}},
		{Verbs: []string{"get"}, Paths: []string{"/api", "/api/*", "/apis", "/apis/*", "/version", "/version/", "/healthz", "/livez", "/readyz", "/openapi/*"}},
	}
}

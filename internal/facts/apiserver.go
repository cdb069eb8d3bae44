package facts

import (
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/apiserverflags"
)

// Evidence is where a fact was seen, from the best to the weakest. The zero value is none.
type Evidence string

// The levels of evidence.
const (
	EvidenceFlagz     Evidence = "flagz"     // the running process says so
	EvidencePod       Evidence = "pod"       // the mirror pod of a static pod
	EvidenceKubeadm   Evidence = "kubeadm"   // kubeadm's ConfigMap, which misses edits by hand
	EvidenceManifest  Evidence = "manifest"  // a file of the node: manifest, configuration or command line
	EvidenceFile      Evidence = "file"      // a file that the flags name
	EvidenceExtension Evidence = "extension" // the ConfigMap extension-apiserver-authentication
	EvidenceObject    Evidence = "object"    // an object of the API
	EvidenceBlackBox  Evidence = "blackbox"  // what anybody can see from outside
	EvidenceUse       Evidence = "use"       // the audit log, metrics, or the gate's own record
)

// Program is a program of the control plane and its flags.
type Program struct {
	// Name says where it was seen: a pod, a file or an address.
	Name     string   `json:"name"`
	Evidence Evidence `json:"evidence"`
	// Flags are those that matter here, by name; values of a flag that may be repeated are in order.
	Flags apiserverflags.Values `json:"flags"`
	// StartedAt is when it was started; zero where that is not known.
	StartedAt time.Time `json:"startedAt,omitzero"`
}

// APIServer is a kube-apiserver as it was seen at one place.
type APIServer struct {
	Program

	// Files are those that the flags name. A flag that names one and has no entry here: nobody looked.
	Files []File `json:"files,omitempty"`
	// Authentication is the file of --authentication-config; nil where there is none or it could not be read.
	Authentication *AuthenticationConfiguration `json:"authentication,omitempty"`
	// StaticTokens is the file of --token-auth-file; nil likewise.
	StaticTokens *StaticTokenFile `json:"staticTokens,omitempty"`
	// Webhook is the file of --authentication-token-webhook-config-file; nil likewise.
	Webhook *Kubeconfig `json:"webhook,omitempty"`
	// AuditPolicy is the file of --audit-policy-file; nil likewise.
	AuditPolicy *AuditPolicy `json:"auditPolicy,omitempty"`
	// ClientCAs, RequestHeaderCAs, EtcdCAs and OIDCCAs are the certificates of the bundles; nil likewise.
	ClientCAs        []Certificate `json:"clientCAs,omitempty"`
	RequestHeaderCAs []Certificate `json:"requestHeaderCAs,omitempty"`
	EtcdCAs          []Certificate `json:"etcdCAs,omitempty"`
	OIDCCAs          []Certificate `json:"oidcCAs,omitempty"`
	// FrontProxy is the certificate of --proxy-client-cert-file; nil likewise.
	FrontProxy *Certificate `json:"frontProxy,omitempty"`
	// Encryption is the file of --encryption-provider-config; nil likewise.
	Encryption *Encryption `json:"encryption,omitempty"`
	// TokenKeys describe the keys of --service-account-key-file.
	TokenKeys []PublicKey `json:"tokenKeys,omitempty"`
}

// File is the entry of the file that a flag names; the second result is false where nobody looked.
func (s *APIServer) File(flag string) (File, bool) {
	i := slices.IndexFunc(s.Files, func(f File) bool { return f.Flag == flag })
	if i < 0 {
		return File{}, false
	}
	return s.Files[i], true
}

// Readable reports whether the file that a flag names was read.
func (s *APIServer) Readable(flag string) bool {
	file, ok := s.File(flag)
	return ok && file.State == Read
}

// AnonymousByFlag reports whether the flags alone let callers in without a credential (ANON-1, ANON-2).
func (s *APIServer) AnonymousByFlag() bool {
	return s.Flags.Bool("anonymous-auth", true) && !slices.Contains(s.AuthorizationModes(), "AlwaysAllow")
}

// AuthorizationModes are those in force, as far as flags say; nil where --authorization-config names a file.
func (s *APIServer) AuthorizationModes() []string {
	if s.Flags.Text("authorization-config", "") != "" {
		return nil
	}
	if modes := s.Flags["authorization-mode"]; len(modes) > 0 {
		return modes
	}
	return []string{"AlwaysAllow"} // kube-apiserver's own default
}

// Extension is what the ConfigMap extension-apiserver-authentication in kube-system holds.
type Extension struct {
	ClientCAs        []Certificate `json:"clientCAs,omitempty"`
	RequestHeaderCAs []Certificate `json:"requestHeaderCAs,omitempty"`
	// HasRequestHeader says whether the header mechanism is on.
	HasRequestHeader bool     `json:"hasRequestHeader,omitempty"`
	AllowedNames     []string `json:"allowedNames,omitempty"`
	UsernameHeaders  []string `json:"usernameHeaders,omitempty"`
	UIDHeaders       []string `json:"uidHeaders,omitempty"`
	GroupHeaders     []string `json:"groupHeaders,omitempty"`
	ExtraPrefixes    []string `json:"extraPrefixes,omitempty"`
}

// Kubeadm is what a kubeadm configuration says besides the API server's flags.
type Kubeadm struct {
	// CertificateValidity and CAValidity are zero where they are kubeadm's defaults.
	CertificateValidity time.Duration `json:"certificateValidity,omitempty"`
	CAValidity          time.Duration `json:"caValidity,omitempty"`
	// LiteralTokens is how many bootstrap tokens stand in it.
	LiteralTokens int `json:"literalTokens,omitempty"`
	// EndlessTokens is how many of them have a ttl of 0.
	EndlessTokens int `json:"endlessTokens,omitempty"`
}

// AuthenticationConfiguration is what matters of the file of that kind.
type AuthenticationConfiguration struct {
	APIVersion string `json:"apiVersion"`
	// Anonymous is nil where the file has no such section, so that the flag counts.
	Anonymous *AnonymousSection `json:"anonymous,omitempty"`
	Issuers   []Issuer          `json:"issuers,omitempty"`
	// SHA256 is the digest of the file in hex, which tells whether replicas have the same.
	SHA256 string `json:"sha256,omitempty"`
}

// AnonymousSection is the section "anonymous" of an AuthenticationConfiguration.
type AnonymousSection struct {
	Enabled bool `json:"enabled"`
	// Paths are the only ones open; nil means all.
	Paths []string `json:"paths,omitempty"`
}

// Issuer is one OpenID Connect provider, from flags or from a file.
type Issuer struct {
	URL          string   `json:"url"`
	DiscoveryURL string   `json:"discoveryURL,omitempty"`
	Audiences    []string `json:"audiences,omitempty"`
	// OwnCA says whether a CA of its own is trusted for it, rather than the host's; CAs are those of the file.
	OwnCA    bool          `json:"ownCA,omitempty"`
	CAs      []Certificate `json:"cas,omitempty"`
	Username Mapping       `json:"username"`
	Groups   Mapping       `json:"groups,omitzero"`
	// RequiredClaims are claims that must have a given value; ClaimRules and UserRules are CEL expressions.
	RequiredClaims map[string]string `json:"requiredClaims,omitempty"`
	ClaimRules     []string          `json:"claimRules,omitempty"`
	UserRules      []string          `json:"userRules,omitempty"`
}

// Mapping says where a name comes from. The zero value maps nothing.
type Mapping struct {
	Claim string `json:"claim,omitempty"`
	// Prefix is what stands before the claim.
	Prefix     string `json:"prefix,omitempty"`
	Expression string `json:"expression,omitempty"`
}

// Encryption is how Secrets are kept at rest. Keys are not part of it.
type Encryption struct {
	// Secrets are the providers for Secrets, the one that writes first, for example "kms" or "identity"; empty where the
	// file has none for them.
	Secrets []string `json:"secrets,omitempty"`
}

// AuditPolicy is what matters of an audit policy: the level at which requests for a resource are written down.
type AuditPolicy struct {
	Rules []AuditRule `json:"rules,omitempty"`
}

// AuditRule is one rule; the first that matches decides.
type AuditRule struct {
	Level string `json:"level"`
	// Verbs, Users, Groups and Namespaces limit the rule; empty means all. Resources are "group/resource/subresource".
	Verbs           []string `json:"verbs,omitempty"`
	Users           []string `json:"users,omitempty"`
	Groups          []string `json:"groups,omitempty"`
	Namespaces      []string `json:"namespaces,omitempty"`
	Resources       []string `json:"resources,omitempty"`
	NonResourceURLs []string `json:"nonResourceURLs,omitempty"`
}

// LevelOf is the level at which requests of anybody for a resource, for example "serviceaccounts/token", are logged.
// Rules for some users or namespaces only count as if they matched where they log more than what comes after them: that
// somebody's requests are logged so is enough.
func (p *AuditPolicy) LevelOf(verb, group, resource string) string {
	worst := "None"
	for i := range p.Rules {
		rule := &p.Rules[i]
		if !rule.matches(verb, group, resource) {
			continue
		}
		if auditOrder(rule.Level) > auditOrder(worst) {
			worst = rule.Level
		}
		if len(rule.Users)+len(rule.Groups)+len(rule.Namespaces) == 0 {
			break
		}
	}
	return worst
}

// LeastLevelOf is the level at which everybody's requests for a resource are logged at least: rules for some users or
// namespaces only count where they log less.
func (p *AuditPolicy) LeastLevelOf(verb, group, resource string) string {
	least := ""
	for i := range p.Rules {
		rule := &p.Rules[i]
		if !rule.matches(verb, group, resource) {
			continue
		}
		if least == "" || auditOrder(rule.Level) < auditOrder(least) {
			least = rule.Level
		}
		if len(rule.Users)+len(rule.Groups)+len(rule.Namespaces) == 0 {
			return least
		}
	}
	return "None" // whoever no rule is about is not logged
}

// Logs reports whether a level is at least another.
func Logs(level, least string) bool { return auditOrder(level) >= auditOrder(least) }

func (r *AuditRule) matches(verb, group, resource string) bool {
	if len(r.Verbs) > 0 && !slices.Contains(r.Verbs, verb) && !slices.Contains(r.Verbs, "*") {
		return false
	}
	if len(r.Resources) == 0 {
		return len(r.NonResourceURLs) == 0
	}
	name, sub, _ := strings.Cut(resource, "/")
	for _, pattern := range r.Resources {
		patternGroup, pattern, _ := strings.Cut(pattern, "/")
		if patternGroup != group {
			continue
		}
		switch pattern {
		case resource, "*":
			return true
		case name + "/*", "*/" + sub:
			if sub != "" {
				return true
			}
		}
	}
	return false
}

// auditOrder is the order of levels; one that is not known counts as the most.
func auditOrder(level string) int {
	const most = 4
	levels := []string{"None", "Metadata", "Request", "RequestResponse"}
	if i := slices.Index(levels, level); i >= 0 {
		return i
	}
	return most
}

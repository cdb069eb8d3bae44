// Package facts is what is known of a cluster's authentication: objects of its API, the flags of its API servers, the
// files that they name, kubeconfigs, and what was observed of use. Package collect gathers it; packages hardening and
// inventory judge it, on the spot or later from a snapshot.
//
// Facts hold no secret. Whatever gathers them replaces a token by how hard it is to guess and by a keyed digest, whose
// key lives as long as the gathering, so that two of one token are known as such within one snapshot and a weak one
// cannot be found by trying. Certificates are public and are described, not kept.
//
// What was not looked at, or could not be read, is said for each source: nothing found is not the same as nothing there.
// Values are not changed once gathered and are then safe for concurrent use.
package facts

import (
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Facts is everything that one gathering found.
type Facts struct {
	// CollectedAt is when the gathering began. Ages are counted up to it, so that a snapshot is judged alike at any time.
	CollectedAt time.Time `json:"collectedAt"`
	// Tool is the version of the program that gathered it.
	Tool string `json:"tool,omitempty"`
	// Cluster says which cluster it is.
	Cluster Cluster `json:"cluster"`
	// Sources say, for each source, whether it was read. One that is not named was not looked at.
	Sources []SourceStatus `json:"sources"`

	// Calls and Bytes are how much API servers were asked for and answered, answers to requests without a credential too.
	Calls int   `json:"calls,omitempty"`
	Bytes int64 `json:"bytes,omitempty"`

	// APIServers are all that are known, one for each replica and place it was seen at.
	APIServers []APIServer `json:"apiServers,omitempty"`
	// ControllerManagers are those of kube-controller-manager that are known.
	ControllerManagers []Program `json:"controllerManagers,omitempty"`
	// Extension is the ConfigMap extension-apiserver-authentication, which holds the CAs in force.
	Extension *Extension `json:"extension,omitempty"`
	// Kubeadm is what kubeadm's configuration says besides flags.
	Kubeadm *Kubeadm `json:"kubeadm,omitempty"`
	// Probes are answers to requests without any credential.
	Probes []Probe `json:"probes,omitempty"`
	// Handshakes are what TLS handshakes showed.
	Handshakes []Handshake `json:"handshakes,omitempty"`
	// WebhookHandshakes are likewise, with the webhooks that are asked about tokens.
	WebhookHandshakes []Handshake `json:"webhookHandshakes,omitempty"`
	// Metrics are what API servers count.
	Metrics []Metrics `json:"metrics,omitempty"`
	// Gate is the gateway in front; nil where nothing is known of one.
	Gate *Gate `json:"gate,omitempty"`
	// ClusterInfo is what anybody learns of join tokens.
	ClusterInfo *ClusterInfo `json:"clusterInfo,omitempty"`
	// TokenTrackingSince is the day from which on the use of token Secrets is recorded; zero where it is not.
	TokenTrackingSince time.Time `json:"tokenTrackingSince,omitzero"`

	// Roles and what binds them.
	ClusterRoles        []rbacv1.ClusterRole        `json:"clusterRoles,omitempty"`
	ClusterRoleBindings []rbacv1.ClusterRoleBinding `json:"clusterRoleBindings,omitempty"`
	Roles               []rbacv1.Role               `json:"roles,omitempty"`
	RoleBindings        []rbacv1.RoleBinding        `json:"roleBindings,omitempty"`

	Namespaces      []string         `json:"namespaces,omitempty"`
	Nodes           []Node           `json:"nodes,omitempty"`
	ServiceAccounts []ServiceAccount `json:"serviceAccounts,omitempty"`
	// TokenSecrets are Secrets of type kubernetes.io/service-account-token, without their tokens.
	TokenSecrets []TokenSecret `json:"tokenSecrets,omitempty"`
	// BootstrapTokens are Secrets of type bootstrap.kubernetes.io/token.
	BootstrapTokens []BootstrapToken `json:"bootstrapTokens,omitempty"`
	// CertificateRequests are CertificateSigningRequests that are still there.
	CertificateRequests []CertificateRequest `json:"certificateRequests,omitempty"`
	APIServices         []APIService         `json:"apiServices,omitempty"`
	// MappedPrincipals are the entries of the ConfigMap aws-auth.
	MappedPrincipals []MappedPrincipal `json:"mappedPrincipals,omitempty"`
	// Software is what answers for providers and webhooks.
	Software []Software `json:"software,omitempty"`
	// PodTokens and ProjectedTokens say which pods have tokens; known where pods were looked at.
	PodTokens       []PodTokens      `json:"podTokens,omitempty"`
	ProjectedTokens []ProjectedToken `json:"projectedTokens,omitempty"`
	// StoredCredentials are credentials found inside ConfigMaps and Secrets.
	StoredCredentials []StoredCredential `json:"storedCredentials,omitempty"`

	// Kubeconfigs are the files that were given, and those that were found where they usually are.
	Kubeconfigs []Kubeconfig `json:"kubeconfigs,omitempty"`
	// CertificateFiles are files with certificates of clients.
	CertificateFiles []CertificateFile `json:"certificateFiles,omitempty"`
	// Keys are private keys of authorities and of front proxies, by their files; nothing of the keys themselves.
	Keys []KeyFile `json:"keys,omitempty"`
	// Texts are files such as cloud-init in which tokens were looked for.
	Texts []Text `json:"texts,omitempty"`
	// Kubelets are configurations of kubelets.
	Kubelets []Kubelet `json:"kubelets,omitempty"`
	// Roster is who belongs to the organisation; nil where none was given.
	Roster []Person `json:"roster,omitempty"`
	// NodeFolders are kubeadm's folders that were looked at for kubeconfigs, one for each control plane.
	NodeFolders []string `json:"nodeFolders,omitempty"`
	// KeySets are keys of providers that were given.
	KeySets []KeySet `json:"keySets,omitempty"`
	// Usage is what was observed of use; nil where nothing was.
	Usage *Usage `json:"usage,omitempty"`
}

// Cluster says which cluster the facts are of.
type Cluster struct {
	Context string `json:"context,omitempty"`
	Server  string `json:"server,omitempty"`
	// Version is the API server's, for example "v1.37.2".
	Version string `json:"version,omitempty"`
	// Caller is who asked.
	Caller Caller `json:"caller,omitzero"`
}

// Caller is who gathered facts, as the API server said.
type Caller struct {
	Username     string   `json:"username,omitempty"`
	Groups       []string `json:"groups,omitempty"`
	CredentialID string   `json:"credentialID,omitempty"`
}

// Source is a place that facts come from. The zero value names none.
type Source string

// The sources. Their texts are what people read in "could not be read".
const (
	SourceFlags             Source = "API server flags"
	SourceControllerManager Source = "controller manager flags"
	SourceExtension         Source = "extension-apiserver-authentication"
	SourceKubeadm           Source = "kubeadm-config"
	SourceProbes            Source = "requests without a credential"
	SourceHandshake         Source = "TLS handshake"
	SourceClusterInfo       Source = "cluster-info"
	SourceTokenTracking     Source = "token tracking"
	SourceRBAC              Source = "RBAC"
	SourceNamespaces        Source = "namespaces"
	SourceNodes             Source = "nodes"
	SourceServiceAccounts   Source = "service accounts"
	SourceTokenSecrets      Source = "service account token Secrets"
	SourceBootstrapTokens   Source = "bootstrap tokens"
	SourceCertificates      Source = "certificate signing requests"
	SourceAPIServices       Source = "API services"
	SourceAWSAuth           Source = "aws-auth"
	SourceConfigMaps        Source = "ConfigMaps"
	SourceSecrets           Source = "Secrets"
	SourceKubeconfigs       Source = "kubeconfig files"
	SourceCertificateFiles  Source = "certificate files"
	SourceKeys              Source = "private key files"
	SourceTexts             Source = "files with join commands"
	SourceKubelets          Source = "kubelet configurations"
	SourceRoster            Source = "roster"
	SourceUsage             Source = "records of use"
	SourceMetrics           Source = "metrics"
	SourceSoftware          Source = "software behind providers and webhooks"
	SourcePods              Source = "pods"
	SourceKeySets           Source = "key sets of providers"
	SourceWebhookHandshake  Source = "TLS handshake with webhooks"
)

// State says how reading a source went. The zero value is NotAsked.
type State string

// The states.
const (
	// NotAsked: nobody looked.
	NotAsked State = ""
	// Read: all of it was read.
	Read State = "read"
	// Partial: something was read, and something could not be.
	Partial State = "partial"
	// Absent: it was looked for, and is not there.
	Absent State = "absent"
	// Unreadable: it is or may be there, and could not be read.
	Unreadable State = "unreadable"
)

// SourceStatus is how reading one source went.
type SourceStatus struct {
	Source Source `json:"source"`
	State  State  `json:"state"`
	// Detail says what went wrong.
	Detail string `json:"detail,omitempty"`
	// Needs is the right or the option that would make it readable.
	Needs string `json:"needs,omitempty"`
	// Count is how many things were read, Requests how many calls it took.
	Count    int `json:"count,omitempty"`
	Requests int `json:"requests,omitempty"`
}

// Status is how reading a source went; NotAsked where nobody looked.
func (f *Facts) Status(source Source) SourceStatus {
	i := slices.IndexFunc(f.Sources, func(s SourceStatus) bool { return s.Source == source })
	if i < 0 {
		return SourceStatus{Source: source}
	}
	return f.Sources[i]
}

// Knows reports whether a source was read as a whole, or is known not to be there.
func (f *Facts) Knows(source Source) bool {
	state := f.Status(source).State
	return state == Read || state == Absent
}

// Note records how reading a source went, in place of what was recorded before.
func (f *Facts) Note(status SourceStatus) {
	i := slices.IndexFunc(f.Sources, func(s SourceStatus) bool { return s.Source == status.Source })
	if i < 0 {
		f.Sources = append(f.Sources, status)
		return
	}
	f.Sources[i] = status
}

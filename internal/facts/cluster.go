package facts

import "time"

// Node is a node of the cluster.
type Node struct {
	Name    string    `json:"name"`
	UID     string    `json:"uid,omitempty"`
	Created time.Time `json:"created,omitzero"`
	// ControlPlane says that it bears that role's label; Addresses are its own.
	ControlPlane bool     `json:"controlPlane,omitempty"`
	Addresses    []string `json:"addresses,omitempty"`
	// PodRanges are those of the addresses of its pods, where the node says them.
	PodRanges []string `json:"podRanges,omitempty"`
}

// ServiceAccount is an account of the cluster.
type ServiceAccount struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       string    `json:"uid,omitempty"`
	Created   time.Time `json:"created,omitzero"`
	// Secrets are the Secrets that it lists: the cleaner of token Secrets looks at no others.
	Secrets []string `json:"secrets,omitempty"`
	// NoAutomount says that pods get its token only where they ask for it.
	NoAutomount bool `json:"noAutomount,omitempty"`
}

// APIService is one that another server answers.
type APIService struct {
	Name     string `json:"name"`
	Service  string `json:"service"` // namespace/name
	Insecure bool   `json:"insecure,omitempty"`
}

// MappedPrincipal is an entry of aws-auth.
type MappedPrincipal struct {
	Principal string   `json:"principal"`
	Username  string   `json:"username,omitempty"`
	Groups    []string `json:"groups,omitempty"`
}

// GuardedPath is asked for without a credential: roles, which no role for everybody shows, and which hold no secret.
const GuardedPath = "/apis/rbac.authorization.k8s.io/v1/clusterroles"

// Probe is the answer to one request without a credential.
type Probe struct {
	Server string `json:"server"`
	Path   string `json:"path"`
	// Status is the HTTP status; 0 where there was no answer.
	Status int `json:"status,omitempty"`
	// Headers says which headers were sent along, for probes of what a proxy strips.
	Headers string `json:"headers,omitempty"`
}

// Handshake is what a TLS handshake showed.
type Handshake struct {
	Server string `json:"server"`
	// Offered is the highest version that was offered, and Accepted whether the server took it.
	Offered  string `json:"offered"`
	Accepted bool   `json:"accepted"`
	Cipher   string `json:"cipher,omitempty"`
	// AsksCertificate says that the server asked for a client's certificate, Authorities whose it names: the common names
	// of their CAs.
	AsksCertificate bool     `json:"asksCertificate,omitempty"`
	Authorities     []string `json:"authorities,omitempty"`
}

// Kubelet is the configuration of one node's kubelet.
type Kubelet struct {
	Node      string   `json:"node"`
	Evidence  Evidence `json:"evidence"`
	Anonymous bool     `json:"anonymous,omitempty"`
	// ClientCAFile is empty where certificates are not believed.
	ClientCAFile       string `json:"clientCAFile,omitempty"`
	ReadOnlyPort       int    `json:"readOnlyPort,omitempty"`
	AuthorizationMode  string `json:"authorizationMode,omitempty"`
	RotateCertificates bool   `json:"rotateCertificates,omitempty"`
}

// Person is somebody on the roster.
type Person struct {
	// Usernames are all names that the person has in the cluster.
	Usernames []string `json:"usernames"`
	Name      string   `json:"name,omitempty"`
	Active    bool     `json:"active"`
}

// Usage is what was seen of credentials in use.
type Usage struct {
	// From and Until bound what was looked at: nothing is known of other times.
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Complete says that the issue of every ServiceAccount's token of that time is among IssuedIDs. Incomplete says why it
	// does not.
	Complete   bool   `json:"complete,omitempty"`
	Incomplete string `json:"incomplete,omitempty"`
	// LongestGap is the longest time without any event.
	LongestGap time.Duration `json:"longestGap,omitempty"`
	Observed   []Observation `json:"observed,omitempty"`
	IssuedIDs  []IssuedToken `json:"issuedIDs,omitempty"`
	// Certificates are those whose issue was recorded.
	Certificates []IssuedCertificate `json:"certificates,omitempty"`
	// Failures are attempts that were answered with 401.
	Failures []FailedAttempts `json:"failures,omitempty"`
}

// IssuedCertificate is a certificate whose request, approval or issue was recorded.
type IssuedCertificate struct {
	// CredentialID is empty where the record does not hold the certificate.
	CredentialID string `json:"credentialID,omitempty"`
	// Request is the name of the CertificateSigningRequest.
	Request    string `json:"request"`
	SignerName string `json:"signerName,omitempty"`
	// IssuedBy asked, with ByCredential, from Source; ApprovedBy approved.
	IssuedBy     string    `json:"issuedBy,omitempty"`
	ByCredential string    `json:"byCredential,omitempty"`
	ApprovedBy   string    `json:"approvedBy,omitempty"`
	Source       string    `json:"source,omitempty"`
	At           time.Time `json:"at"`
}

// FailedAttempts are attempts from one address with one kind of credential that were refused.
type FailedAttempts struct {
	Source    string    `json:"source"`
	Attempted string    `json:"attempted,omitempty"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Count     int       `json:"count"`
}

// Observation is the use of one credential by one user from one address with one agent.
type Observation struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups,omitempty"`
	// CredentialID is as Kubernetes spells it, "JTI=..." or "X509SHA256=..."; empty where there was none.
	CredentialID string `json:"credentialID,omitempty"`
	// Mechanism is one of internal/identity; empty where it cannot be told.
	Mechanism string `json:"mechanism,omitempty"`
	Source    string `json:"source,omitempty"`
	Agent     string `json:"agent,omitempty"`
	// Secret is the token Secret that the audit annotation names, as namespace/name or name.
	Secret string `json:"secret,omitempty"`
	// Pod and Node are the extras of a token bound to them.
	Pod  string `json:"pod,omitempty"`
	Node string `json:"node,omitempty"`
	// Actions are "verb group/resource" of what it did, "verb resource" in the core group and "verb path" of what is no resource,
	// all without names; they are few.
	Actions []string  `json:"actions,omitempty"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Count   int       `json:"count"`
	// Lifetime is the token's, where it is known.
	Lifetime time.Duration `json:"lifetime,omitempty"`
	// ActedAs are users whom it impersonated; the first few.
	ActedAs []string `json:"actedAs,omitempty"`
}

// IssuedToken is a token whose issue was recorded.
type IssuedToken struct {
	CredentialID string `json:"credentialID"`
	Account      string `json:"account"`
	IssuedBy     string `json:"issuedBy"`
	// ByCredential is the credential that asked, Source where from.
	ByCredential string        `json:"byCredential,omitempty"`
	Source       string        `json:"source,omitempty"`
	At           time.Time     `json:"at"`
	Lifetime     time.Duration `json:"lifetime,omitempty"`
	// Bound is the object that it ends with, as "Pod name"; empty where there is none or it was not recorded.
	Bound string `json:"bound,omitempty"`
}

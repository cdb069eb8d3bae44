package facts

import "time"

// Certificate describes a certificate. It is public; the key is not part of it.
type Certificate struct {
	// Fingerprint is the SHA-256 of the certificate in hex, KeyDigest that of its public key (RFC 7469).
	Fingerprint string `json:"fingerprint"`
	KeyDigest   string `json:"keyDigest"`
	// KeyID is the subject's key identifier in hex, SignerKeyID the authority's (RFC 5280 section 4.2.1); empty where there is none.
	KeyID         string    `json:"keyID,omitempty"`
	SignerKeyID   string    `json:"signerKeyID,omitempty"`
	Serial        string    `json:"serial,omitempty"`
	CommonName    string    `json:"commonName,omitempty"`
	Organizations []string  `json:"organizations,omitempty"`
	Issuer        string    `json:"issuer,omitempty"`
	NotBefore     time.Time `json:"notBefore"`
	NotAfter      time.Time `json:"notAfter"`
	// KeyType is "RSA", "ECDSA", "Ed25519" or "other"; KeyBits is its size.
	KeyType   string `json:"keyType,omitempty"`
	KeyBits   int    `json:"keyBits,omitempty"`
	Signature string `json:"signature,omitempty"` // for example "SHA256-RSA"
	CA        bool   `json:"ca,omitempty"`
	// ClientAuth says whether it may be used by clients; ServerAuth likewise for servers.
	ClientAuth bool `json:"clientAuth,omitempty"`
	ServerAuth bool `json:"serverAuth,omitempty"`
}

// Lifetime is from the first to the last moment of validity.
func (c *Certificate) Lifetime() time.Duration { return c.NotAfter.Sub(c.NotBefore) }

// PublicKey describes a key that verifies tokens.
type PublicKey struct {
	File      string `json:"file"`
	KeyDigest string `json:"keyDigest"`
	KeyType   string `json:"keyType"`
	KeyBits   int    `json:"keyBits"`
}

// Token is what may be known of a token: never the token.
type Token struct {
	// Digest is keyed with a key that was thrown away after the gathering. Two equal ones are one token.
	Digest string `json:"digest,omitempty"`
	// Bits estimates from below how hard it is to guess.
	Bits float64 `json:"bits"`
	// Published says that it stands in a document that everybody can read.
	Published bool `json:"published,omitempty"`
}

// StaticTokenFile is a file of --token-auth-file.
type StaticTokenFile struct {
	Entries []StaticToken `json:"entries,omitempty"`
	// Problems are lines that kube-apiserver reads otherwise than people may think, or not at all.
	Problems []string `json:"problems,omitempty"`
	// Copies are files beside it that hold the same tokens.
	Copies []File `json:"copies,omitempty"`
}

// StaticToken is one line.
type StaticToken struct {
	Line   int      `json:"line"`
	User   string   `json:"user"`
	UID    string   `json:"uid,omitempty"`
	Groups []string `json:"groups,omitempty"`
	Token  Token    `json:"token"`
}

// BootstrapToken is a Secret of type bootstrap.kubernetes.io/token.
type BootstrapToken struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       string    `json:"uid,omitempty"`
	Created   time.Time `json:"created,omitzero"`
	// The rest is known only where values were read.
	ValuesRead bool      `json:"valuesRead,omitempty"`
	ID         string    `json:"id,omitempty"`
	Expires    time.Time `json:"expires,omitzero"`
	// Usages are "authentication" and "signing".
	Usages      []string `json:"usages,omitempty"`
	ExtraGroups []string `json:"extraGroups,omitempty"`
	Description string   `json:"description,omitempty"`
	// Token is the whole, Secret its second half, which is all that has to be guessed.
	Token  Token `json:"token,omitzero"`
	Secret Token `json:"secret,omitzero"`
}

// ClusterInfo is the ConfigMap cluster-info in kube-public, as somebody without a credential sees it.
type ClusterInfo struct {
	// Public says that it can be read without a credential.
	Public bool `json:"public"`
	// Signatures are those of join tokens, which prove a guess right.
	Signatures []JoinSignature `json:"signatures,omitempty"`
}

// JoinSignature is a signature of cluster-info by a join token, of which the id is public.
type JoinSignature struct {
	TokenID string `json:"tokenID"`
	// Guessed says that a token was found that made the signature. It is not kept.
	Guessed bool `json:"guessed,omitempty"`
	// How says what kind of guess was right, Tried how many were made.
	How   string `json:"how,omitempty"`
	Tried int    `json:"tried,omitempty"`
}

// TokenSecret is a Secret that holds a ServiceAccount's token, without the token.
type TokenSecret struct {
	Namespace      string    `json:"namespace"`
	Name           string    `json:"name"`
	UID            string    `json:"uid,omitempty"`
	ServiceAccount string    `json:"serviceAccount"`
	AccountUID     string    `json:"accountUID,omitempty"`
	Created        time.Time `json:"created,omitzero"`
	// LastUsed is a day, as Kubernetes records it; zero where it has none. A refused attempt counts as use, too.
	LastUsed time.Time `json:"lastUsed,omitzero"`
	// InvalidSince is set where the cleaner has shut it out.
	InvalidSince time.Time `json:"invalidSince,omitzero"`
}

// CertificateRequest is a CertificateSigningRequest.
type CertificateRequest struct {
	Name       string    `json:"name"`
	UID        string    `json:"uid,omitempty"`
	Created    time.Time `json:"created,omitzero"`
	SignerName string    `json:"signerName"`
	// Username and Groups are the requester's.
	Username string   `json:"username"`
	Groups   []string `json:"groups,omitempty"`
	Approved bool     `json:"approved,omitempty"`
	Denied   bool     `json:"denied,omitempty"`
	// Approver is what the condition says, which may be a reason rather than a name.
	Approver string `json:"approver,omitempty"`
	// RequestedName and RequestedGroups are the subject that was asked for.
	RequestedName   string   `json:"requestedName,omitempty"`
	RequestedGroups []string `json:"requestedGroups,omitempty"`
	// ExpirationSeconds is what was asked for; 0 for nothing.
	ExpirationSeconds int32 `json:"expirationSeconds,omitempty"`
	// Certificate is nil where none was issued.
	Certificate *Certificate `json:"certificate,omitempty"`
}

// StoredCredential is a credential inside a ConfigMap or Secret that is no token Secret.
type StoredCredential struct {
	// Kind is "ConfigMap" or "Secret".
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Key       string `json:"key"`
	// What is "kubeconfig" or "service account token" or "front proxy key".
	What string `json:"what"`
	// Subject is who it makes of its holder, where it says so.
	Subject string `json:"subject,omitempty"`
}

// Kubeconfig is a kubeconfig file, or the one of a webhook.
type Kubeconfig struct {
	File     File                `json:"file"`
	Clusters []KubeconfigCluster `json:"clusters,omitempty"`
	Users    []KubeconfigUser    `json:"users,omitempty"`
	// CurrentCluster and CurrentUser are those of the current context.
	CurrentCluster string `json:"currentCluster,omitempty"`
	CurrentUser    string `json:"currentUser,omitempty"`
	// Dangling are contexts that name a cluster or a user that is not in the file.
	Dangling []string `json:"dangling,omitempty"`
	// Problem says why it could not be understood.
	Problem string `json:"problem,omitempty"`
}

// KubeconfigCluster is a server, as a kubeconfig names it.
type KubeconfigCluster struct {
	Name     string `json:"name"`
	Server   string `json:"server"`
	Insecure bool   `json:"insecure,omitempty"` // insecure-skip-tls-verify
	OwnCA    bool   `json:"ownCA,omitempty"`
	ProxyURL string `json:"proxyURL,omitempty"` // without user and password
}

// KubeconfigUser is a credential, as a kubeconfig has it.
type KubeconfigUser struct {
	Name string `json:"name"`
	// Certificate is that of client-certificate or client-certificate-data.
	Certificate *Certificate `json:"certificate,omitempty"`
	// EmbeddedKey says that the private key stands in the file; KeyFile is the file's that holds it otherwise.
	EmbeddedKey bool   `json:"embeddedKey,omitempty"`
	KeyFile     string `json:"keyFile,omitempty"`
	// Token is set where there is a bearer token; TokenFile where another file holds it.
	Token     *HeldToken `json:"token,omitempty"`
	TokenFile string     `json:"tokenFile,omitempty"`
	Basic     bool       `json:"basic,omitempty"`
	// AuthProvider names a provider; ProviderSecrets are the names of its settings that hold secrets.
	AuthProvider    string   `json:"authProvider,omitempty"`
	ProviderSecrets []string `json:"providerSecrets,omitempty"`
	Exec            *Exec    `json:"exec,omitempty"`
	Impersonates    string   `json:"impersonates,omitempty"`
	// Problem says what of it could not be read; empty where all was.
	Problem string `json:"problem,omitempty"`
}

// Exec is a credential plugin.
type Exec struct {
	Command string `json:"command"`
	// Writable says that others than its owner may change the program; false too where it was not looked at.
	Writable bool `json:"writable,omitempty"`
	// Looked says that the program was found and looked at.
	Looked bool `json:"looked,omitempty"`
	// Secrets are the names of arguments and variables that hold a secret.
	Secrets []string `json:"secrets,omitempty"`
}

// HeldToken is a bearer token in a file. Claims are shown by the token itself and prove nothing.
type HeldToken struct {
	Token

	JWT      bool      `json:"jwt,omitempty"`
	Issuer   string    `json:"issuer,omitempty"`
	Subject  string    `json:"subject,omitempty"`
	ID       string    `json:"id,omitempty"`
	Audience []string  `json:"audience,omitempty"`
	Issued   time.Time `json:"issued,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
	// Bound says that it ends with a pod, node or Secret.
	Bound bool `json:"bound,omitempty"`
}

// File is a file of the host that was looked at.
type File struct {
	// Flag is the API server's that names it, without dashes; empty for others.
	Flag  string `json:"flag,omitempty"`
	Path  string `json:"path"`
	State State  `json:"state"`
	// Problem says why it could not be read.
	Problem string `json:"problem,omitempty"`
	// Mode holds the permission bits, UID the owner; they count where HasMode is true.
	HasMode bool   `json:"hasMode,omitempty"`
	Mode    uint32 `json:"mode,omitempty"`
	UID     uint32 `json:"uid,omitempty"`
	// DirMode and DirUID are those of its folder.
	DirMode uint32 `json:"dirMode,omitempty"`
	DirUID  uint32 `json:"dirUID,omitempty"`
	// Changed is when its content last changed.
	Changed time.Time `json:"changed,omitzero"`
	// Digest is keyed, as a Token's.
	Digest string `json:"digest,omitempty"`
}

// KeyFile is a file with a private key.
type KeyFile struct {
	File

	// KeyDigest is that of the public half.
	KeyDigest string `json:"keyDigest,omitempty"`
	// Use is "client CA", "request-header CA", "front proxy", "etcd CA" or "service account tokens".
	Use string `json:"use,omitempty"`
}

// CertificateFile is a file with a client's certificate.
type CertificateFile struct {
	File

	// Certificates are those in it that clients may use, CAs left out.
	Certificates []Certificate `json:"certificates,omitempty"`
	// HasKey says that the private key stands in the same file.
	HasKey bool `json:"hasKey,omitempty"`
}

// Text is a file in which tokens were looked for.
type Text struct {
	File

	// JoinTokens is how many join tokens stand in it.
	JoinTokens int `json:"joinTokens,omitempty"`
}

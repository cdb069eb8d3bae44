package adminapi

import "time"

// Where a gate issues credentials for others, and says to whom one belongs. Under a cluster's own prefix these are answered
// too.
const (
	// WhoAmIPath takes GET and answers every authenticated caller with a WhoAmI.
	WhoAmIPath = "/apis/" + GroupVersion + "/whoami"
	// IssuePath takes POST of an Issue.
	IssuePath = "/apis/" + GroupVersion + "/issue"
	// RotatePath takes POST of an empty Issue from the owner of a static token, and answers with one that holds a new token.
	RotatePath = "/apis/" + GroupVersion + "/rotate"
)

// The kinds of this file.
const (
	WhoAmIKind = "WhoAmI"
	IssueKind  = "Issue"
)

// IssueResource is the resource that roles name for those who may issue; the verb is create.
const IssueResource = "issue"

// IssueGroups is the subresource of IssueResource that roles name for the groups which those may give; the verb is create.
const IssueGroups = "groups"

// WhoAmI is a caller as the gate sees it, with the session that its credential belongs to.
type WhoAmI struct {
	TypeMeta `json:",inline"`
	Username string              `json:"username"`
	UID      string              `json:"uid,omitempty"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
	// Mechanism is how the caller proved who it is.
	Mechanism    string `json:"mechanism"`
	CredentialID string `json:"credentialID,omitempty"`
	// Session is empty for credentials that Ostiary did not issue at a sign-in.
	Session string `json:"session,omitempty"`
	// ExpiresAt is when the credential ends; zero where it states no end.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// Cluster is the one that the request's path addressed.
	Cluster string `json:"cluster"`
}

// Issue is a request for one credential, and in the answer the credential. Exactly one of Certificate, BootstrapToken and
// StaticToken is set.
type Issue struct {
	TypeMeta       `json:",inline"`
	Certificate    *IssueCertificate    `json:"certificate,omitempty"`
	BootstrapToken *IssueBootstrapToken `json:"bootstrapToken,omitempty"`
	StaticToken    *IssueStaticToken    `json:"staticToken,omitempty"`
	// Status is in answers only.
	Status *IssueStatus `json:"status,omitempty"`
}

// IssueCertificate asks for a client certificate.
type IssueCertificate struct {
	// CSR is the DER of a PKCS #10 request, of which the key alone is taken.
	CSR      []byte   `json:"csr"`
	Username string   `json:"username"`
	Groups   []string `json:"groups,omitempty"`
	// Lifetime is a wish, as Go writes durations; empty means the gate's default.
	Lifetime string `json:"lifetime,omitempty"`
}

// IssueBootstrapToken asks for a bootstrap token.
type IssueBootstrapToken struct {
	// Usages are "authentication" and "signing"; empty means authentication.
	Usages []string `json:"usages,omitempty"`
	// Groups are beside system:bootstrappers, and begin with "system:bootstrappers:".
	Groups      []string `json:"groups,omitempty"`
	Lifetime    string   `json:"lifetime,omitempty"`
	Description string   `json:"description,omitempty"`
}

// IssueStaticToken asks for a static token.
type IssueStaticToken struct {
	Username string   `json:"username"`
	UID      string   `json:"uid,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Lifetime string   `json:"lifetime,omitempty"`
}

// IssueStatus is what was issued. It is shown this once.
type IssueStatus struct {
	CredentialID string `json:"credentialID"`
	// Certificate is a chain in PEM, the leaf first.
	Certificate string `json:"certificate,omitempty"`
	Token       string `json:"token,omitempty"`
	// ExpiresAt is when it ends; zero where it has no end.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// OldExpiresAt is, after a rotation, when the token that was rotated ends.
	OldExpiresAt time.Time `json:"oldExpiresAt,omitzero"`
}

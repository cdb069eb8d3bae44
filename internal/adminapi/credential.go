package adminapi

import "time"

// CredentialsPath takes GET, POST, and GET below it by name. With the query watch=true it hands on changes as they come.
const CredentialsPath = "/apis/" + GroupVersion + "/credentials"

// The kinds of this file, and the resource.
const (
	CredentialKind      = "Credential"
	CredentialListKind  = "CredentialList"
	CredentialsResource = "credentials"
)

// Credential is the record of one credential. It holds nothing that lets anybody in.
type Credential struct {
	TypeMeta `json:",inline"`
	Metadata ObjectMeta       `json:"metadata,omitzero"`
	Spec     CredentialSpec   `json:"spec"`
	Status   CredentialStatus `json:"status,omitzero"`
}

// CredentialSpec is what the credential says, or its issuer.
type CredentialSpec struct {
	// ID, for example "X509SHA256=9f86…" or "JTI=4f3a…", and Issuer where it is unique only there.
	ID     string `json:"id"`
	Issuer string `json:"issuer,omitempty"`
	// Mechanism is the one that takes it, spelled as in the configuration.
	Mechanism string   `json:"mechanism"`
	Username  string   `json:"username"`
	UID       string   `json:"uid,omitempty"`
	Groups    []string `json:"groups,omitempty"`
	// GroupsLeftOut is how many more groups there are.
	GroupsLeftOut int `json:"groupsLeftOut,omitempty"`
	// NotBefore and NotAfter are what it says of itself; left out where it does not.
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	// Certificate is what a CRL calls it, where it is one.
	Certificate *CertificateTarget `json:"certificate,omitempty"`
	// Cluster is where it was issued or used first.
	Cluster string `json:"cluster,omitempty"`
}

// The states of credentials.
const (
	StateActive      = "active"
	StateNotYetValid = "notYetValid"
	StateExpired     = "expired"
	StateRevoked     = "revoked"
)

// States lists them all.
func States() []string { return []string{StateActive, StateNotYetValid, StateExpired, StateRevoked} }

// CredentialStatus is what the ledger knows of it.
type CredentialStatus struct {
	State string `json:"state,omitempty"`
	// Revocation is the name of the one that shuts it out.
	Revocation string `json:"revocation,omitempty"`
	// Origin is how the ledger came to know it: "seen" in use, "issued" through Ostiary, "found" at a
	// cluster, or "imported".
	Origin string `json:"origin,omitempty"`
	// IssuedTo is who had it issued, or imported it, as far as that is known.
	IssuedTo Actor `json:"issuedTo,omitzero"`
	// FirstUsed and LastUsed are exact to a minute; left out where it was never used.
	FirstUsed  time.Time `json:"firstUsed,omitzero"`
	LastUsed   time.Time `json:"lastUsed,omitzero"`
	LastSource string    `json:"lastSource,omitempty"`
	// LastCluster is where it was used last.
	LastCluster string `json:"lastCluster,omitempty"`
}

// CredentialList is several credentials. As a request it imports them.
type CredentialList struct {
	TypeMeta `json:",inline"`
	Metadata ListMeta     `json:"metadata,omitzero"`
	Items    []Credential `json:"items"`
}

// The types of watch events.
const (
	EventAdded    = "ADDED"
	EventModified = "MODIFIED"
	EventDeleted  = "DELETED"
	EventError    = "ERROR"
)

package adminapi

import (
	"errors"
	"time"
)

// Where the gate answers for its ledger. The paths are those that any Kubernetes client would build. Under a cluster's own
// prefix they are answered for the first cluster only: it is the one that says who may ask.
const (
	// RevocationsPath takes GET (list, watch), and POST of a Revocation or a RevocationList. Below it, a name takes GET; and
	// <name>/lift takes POST of a Lift.
	RevocationsPath = "/apis/" + GroupVersion + "/revocations"
	// StreamsPath takes GET.
	StreamsPath = "/apis/" + GroupVersion + "/streams"
)

// The kinds of this file.
const (
	RevocationKind     = "Revocation"
	RevocationListKind = "RevocationList"
	LiftKind           = "Lift"
	StreamListKind     = "StreamList"
)

// The resources, as roles name them in the API group Group.
const (
	RevocationsResource = "revocations"
	LiftSubresource     = "lift"
	StreamsResource     = "streams"
)

// TypeMeta says what an object is.
type TypeMeta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// Is returns an error unless the object says that it is of a kind.
func (t TypeMeta) Is(kind string) error {
	if t.APIVersion != GroupVersion || t.Kind != kind {
		return errors.New("want apiVersion " + GroupVersion + ", kind " + kind)
	}
	return nil
}

// TypeOf is the type of a kind of this group.
func TypeOf(kind string) TypeMeta { return TypeMeta{APIVersion: GroupVersion, Kind: kind} }

// ObjectMeta is what objects have in common. The server gives all of it.
type ObjectMeta struct {
	Name              string    `json:"name,omitempty"`
	CreationTimestamp time.Time `json:"creationTimestamp,omitzero"`
}

// ListMeta is what lists have in common.
type ListMeta struct {
	// Continue asks for the rest of a list; empty at its end.
	Continue string `json:"continue,omitempty"`
	// Missing are the replicas that did not answer in time: what they know is not in the list.
	Missing []string `json:"missing,omitempty"`
	// RemainingItemCount is how many items were left out.
	RemainingItemCount int `json:"remainingItemCount,omitempty"`
	// ResourceVersion is where a watch goes on after the list's last page.
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// Revocation shuts out credentials.
type Revocation struct {
	TypeMeta `json:",inline"`
	Metadata ObjectMeta       `json:"metadata,omitzero"`
	Spec     RevocationSpec   `json:"spec"`
	Status   RevocationStatus `json:"status,omitzero"`
}

// RevocationSpec says what is shut out, and why.
type RevocationSpec struct {
	Target Target `json:"target"`
	// Scope is "always" (what there is and what is to come, until lifted), which is also the meaning of none, or "soFar"
	// (what there is now).
	Scope string `json:"scope,omitempty"`
	// IssuedFrom and IssuedUntil narrow it to credentials that were issued in that time, by what they say themselves.
	IssuedFrom  time.Time `json:"issuedFrom,omitzero"`
	IssuedUntil time.Time `json:"issuedUntil,omitzero"`
	// Until is when it ends by itself. Left out, it stands until it is lifted.
	Until time.Time `json:"until,omitzero"`
	// Reason is for those who read the record. Required.
	Reason string `json:"reason"`
}

// The scopes.
const (
	ScopeAlways = "always"
	ScopeSoFar  = "soFar"
)

// Target is what is shut out. Exactly one field is set.
type Target struct {
	// Credential is one credential, by its id as the access log and Kubernetes' audit log have it.
	Credential *CredentialTarget `json:"credential,omitempty"`
	// Certificate is one certificate, by what a CRL has.
	Certificate *CertificateTarget `json:"certificate,omitempty"`
	// User is a user name; that of a ServiceAccount is system:serviceaccount:<namespace>:<name>.
	User string `json:"user,omitempty"`
	// Issuer is a CA's key ("SPKISHA256=<hex>"), or the URL of an OIDC provider or of a cluster.
	Issuer string `json:"issuer,omitempty"`
	// Mechanism is a whole mechanism, spelled as in the configuration.
	Mechanism string `json:"mechanism,omitempty"`
}

// CredentialTarget is one credential.
type CredentialTarget struct {
	// ID, for example "X509SHA256=9f86…" or "JTI=4f3a…".
	ID string `json:"id"`
	// Issuer scopes an id that is unique only there, such as a JTI; empty otherwise.
	Issuer string `json:"issuer,omitempty"`
}

// CertificateTarget is one certificate.
type CertificateTarget struct {
	// Serial is the serial number in hex.
	Serial string `json:"serial"`
	// Issuer is the issuer's distinguished name as RFC 2253 writes it, for example "CN=kubernetes".
	Issuer string `json:"issuer"`
}

// RevocationStatus is what the server says of a revocation.
type RevocationStatus struct {
	Actor Actor `json:"actor,omitzero"`
	// Lifted is set once it does not stand any more.
	Lifted *Lifted `json:"lifted,omitempty"`
	// Ended says that its time has passed.
	Ended bool `json:"ended,omitempty"`
	// InForce is set in the answer to the request that made it, or lifted it.
	InForce *InForce `json:"inForce,omitempty"`
	// WouldCut lists, in the answer to a dry run, the streams that it would cut.
	WouldCut []Stream `json:"wouldCut,omitempty"`
}

// Actor is who did something.
type Actor struct {
	Username     string `json:"username,omitempty"`
	Mechanism    string `json:"mechanism,omitempty"`
	CredentialID string `json:"credentialID,omitempty"`
	Source       string `json:"source,omitempty"`
}

// Lifted says how a revocation came to an end.
type Lifted struct {
	Reason string    `json:"reason"`
	Actor  Actor     `json:"actor"`
	At     time.Time `json:"at"`
}

// InForce says how a change came to be in force.
type InForce struct {
	// Complete: every replica has applied it. Otherwise some are fenced: they let nobody in by what they knew before, and
	// streams that are open there may go on for five seconds.
	Complete bool `json:"complete"`
	// TookMilliseconds is the time from the request to then.
	TookMilliseconds float64 `json:"tookMilliseconds"`
	// Replicas are those that have the ledger.
	Replicas []ReplicaInForce `json:"replicas"`
	// StreamsCut is how many streams fell.
	StreamsCut int `json:"streamsCut"`
}

// ReplicaInForce is one replica's part.
type ReplicaInForce struct {
	// Name is empty where there is one replica only.
	Name string `json:"name,omitempty"`
	// State is "applied" or "fenced".
	State string `json:"state"`
}

// RevocationList is several revocations. As a request it makes them all, and is answered when the last is in force.
type RevocationList struct {
	TypeMeta `json:",inline"`
	Metadata ListMeta     `json:"metadata,omitzero"`
	Items    []Revocation `json:"items"`
}

// Lift is a request to end a revocation.
type Lift struct {
	TypeMeta `json:",inline"`
	// Reason is for those who read the record. Required.
	Reason string `json:"reason"`
}

// Stream is a long-running request that is open: a watch, a log, an exec, a port-forward.
type Stream struct {
	// RequestID is the one in the access log, and the Audit-ID at the cluster.
	RequestID string    `json:"requestID"`
	Since     time.Time `json:"since"`
	Source    string    `json:"source"`
	// Replica is the gate that carries it; empty where there is one only.
	Replica      string `json:"replica,omitempty"`
	Cluster      string `json:"cluster"`
	Username     string `json:"username"`
	ActingAs     string `json:"actingAs,omitempty"`
	Mechanism    string `json:"mechanism"`
	CredentialID string `json:"credentialID,omitempty"`
	Issuer       string `json:"issuer,omitempty"`
	Verb         string `json:"verb"`
	APIGroup     string `json:"apiGroup,omitempty"`
	Resource     string `json:"resource,omitempty"`
	Namespace    string `json:"namespace,omitempty"`
	Name         string `json:"name,omitempty"`
	Path         string `json:"path,omitempty"`
}

// StreamList is the streams that are open.
type StreamList struct {
	TypeMeta `json:",inline"`
	Metadata ListMeta `json:"metadata,omitzero"`
	Items    []Stream `json:"items"`
}

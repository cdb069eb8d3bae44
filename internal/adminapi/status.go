// Package adminapi holds what Ostiary's own API group, ostiary.dev, says on the wire: the types that the gate writes and
// that kubectl-ostiary reads. It imports the standard library only, so that a client of the API links no server code.
package adminapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The API group of Ostiary, as every object of it states.
const (
	Group        = "ostiary.dev"
	Version      = "v1alpha1"
	GroupVersion = Group + "/" + Version
)

// StatusPath is where the gate answers GET with a GateStatus, to every authenticated caller and to nobody else: the
// anonymous are refused with 401. Under a cluster's own prefix (/clusters/<name>/) the answer is about that cluster.
// A server that is no gate answers 404, or 403 where it asks its authorizer first.
const StatusPath = "/apis/" + GroupVersion + "/status"

// GateStatusKind is the kind of a GateStatus.
const GateStatusKind = "GateStatus"

// The ways in which a gate hands a caller's identity to the API server. The spelling is that of the configuration.
const (
	IdentityModeRequestHeader = "requestHeader"
	IdentityModeImpersonation = "impersonation"
)

// ErrNotGateStatus says that an answer is no GateStatus of this API version. Match it with errors.Is.
var ErrNotGateStatus = errors.New("not a " + GateStatusKind + " of " + GroupVersion)

// GateStatus is what a gate says of itself and of the caller who asked. The zero value is no valid status: make one
// with NewGateStatus, read one with ParseGateStatus.
type GateStatus struct {
	// APIVersion is GroupVersion.
	APIVersion string `json:"apiVersion"`
	// Kind is GateStatusKind.
	Kind string `json:"kind"`
	// Version is the gate's own, for example "v0.3.0".
	Version string `json:"version"`
	// Ready is what the gate's /readyz says: it holds its keys and CAs, and the cluster's API server answers.
	Ready bool `json:"ready"`
	// Caller is whom the gate took the asker for, before any impersonation that the asker may have requested.
	Caller Caller `json:"caller"`
	// Cluster is the one that the request's path addressed.
	Cluster Cluster `json:"cluster"`
	// Notices are what the people who run the gate should know although it is ready.
	Notices []string `json:"notices,omitempty"`
}

// Caller is an identity and the credential that proved it. It holds nothing that helps to guess or replay that
// credential.
type Caller struct {
	Username string `json:"username"`
	// UID is empty where the mechanism knows none.
	UID string `json:"uid,omitempty"`
	// Groups are those handed on to the API server, after the gate's group rules.
	Groups []string `json:"groups,omitempty"`
	// Mechanism is how the caller proved who it is, for example "clientCertificate".
	Mechanism string `json:"mechanism"`
	// CredentialID names the credential, for example "X509SHA256=9f86…". Empty for callers without one.
	CredentialID string `json:"credentialID,omitempty"`
	// CredentialNotAfter is when the credential ends by its own statement; zero when it states no end.
	CredentialNotAfter time.Time `json:"credentialNotAfter,omitzero"`
}

// Cluster is the API server behind the gate that a request addressed.
type Cluster struct {
	// Name is the cluster's name in the gate's configuration.
	Name string `json:"name"`
	// IdentityMode is IdentityModeRequestHeader or IdentityModeImpersonation.
	IdentityMode string `json:"identityMode"`
}

// NewGateStatus returns a status with its type filled in and nothing else: not ready, nobody's, about no cluster.
func NewGateStatus() GateStatus {
	return GateStatus{APIVersion: GroupVersion, Kind: GateStatusKind}
}

// ParseGateStatus reads the body of an answer to GET StatusPath. What is not JSON or states another type is refused
// with ErrNotGateStatus, so that a login page with status 200 is never taken for a gate. Fields that it does not know
// are ignored: the gate may be newer than its client.
func ParseGateStatus(body []byte) (GateStatus, error) {
	var status GateStatus
	if err := json.Unmarshal(body, &status); err != nil {
		return GateStatus{}, fmt.Errorf("%w: %w", ErrNotGateStatus, err)
	}
	if status.APIVersion != GroupVersion || status.Kind != GateStatusKind {
		return GateStatus{}, fmt.Errorf("%w: it says apiVersion %q, kind %q", ErrNotGateStatus, status.APIVersion, status.Kind)
	}
	return status, nil
}

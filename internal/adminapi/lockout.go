package adminapi

import "time"

// Where the gate answers about guessing: who is locked out, and why a request was refused.
const (
	// LockoutsPath takes GET (list), and <name>/unlock below it POST of an UnlockRequest.
	LockoutsPath = "/apis/" + GroupVersion + "/lockouts"
	// RefusalsPath takes GET of one, by the refused request's id.
	RefusalsPath = "/apis/" + GroupVersion + "/refusals"
)

// The kinds of this file.
const (
	LockoutKind       = "Lockout"
	LockoutListKind   = "LockoutList"
	UnlockRequestKind = "UnlockRequest"
	RefusalKind       = "Refusal"
)

// The resources, as roles name them in the API group Group.
const (
	LockoutsResource  = "lockouts"
	UnlockSubresource = "unlock"
	RefusalsResource  = "refusals"
)

// Lockout is a source whose tokens are not looked at for a while, because too many of them were wrong.
type Lockout struct {
	TypeMeta `json:",inline"`
	Metadata ObjectMeta    `json:"metadata,omitzero"`
	Status   LockoutStatus `json:"status"`
}

// LockoutStatus is what is known of a lock.
type LockoutStatus struct {
	// Kind is "prefix", or "pair" for a lock on one claimed id from one source.
	Kind string `json:"kind"`
	// Source is the prefix that the guesses come from.
	Source string `json:"source"`
	// CredentialID is what they claim to be; it says nothing about whether there is such a credential.
	CredentialID string `json:"credentialID,omitempty"`
	// Until is when the lock ends by itself.
	Until time.Time `json:"until"`
	// Strikes is which lock of the pair it is; each is twice as long as the one before.
	Strikes int `json:"strikes,omitempty"`
	// InForce is set in the answer to an unlock.
	InForce *InForce `json:"inForce,omitempty"`
}

// LockoutList is the locks that hold at this gate, those that end last first.
type LockoutList struct {
	TypeMeta `json:",inline"`
	Metadata LockoutListMeta `json:"metadata,omitzero"`
	Items    []Lockout       `json:"items"`
}

// LockoutListMeta says how much of the list is there.
type LockoutListMeta struct {
	// RemainingItemCount is how many more locks there are than the list has.
	RemainingItemCount int `json:"remainingItemCount,omitempty"`
}

// UnlockRequest is a request to take a lock off.
type UnlockRequest struct {
	TypeMeta `json:",inline"`
	// Reason is for those who read the record. Required.
	Reason string `json:"reason"`
}

// Refusal says why a request was refused, with what its caller was not told. It is remembered for a short while, by the gate
// that refused it.
type Refusal struct {
	TypeMeta `json:",inline"`
	Metadata ObjectMeta    `json:"metadata,omitzero"` // its name is the request's id
	Status   RefusalStatus `json:"status"`
}

// RefusalStatus is what is known of a refusal.
type RefusalStatus struct {
	Code         int    `json:"code"`
	Reason       string `json:"reason"`
	Cause        string `json:"cause,omitempty"`
	Source       string `json:"source,omitempty"`
	Cluster      string `json:"cluster,omitempty"`
	Mechanism    string `json:"mechanism,omitempty"`
	CredentialID string `json:"credentialID,omitempty"`
	Username     string `json:"username,omitempty"`
	// Lockouts are those that hold for the request's source now.
	Lockouts []Lockout `json:"lockouts,omitempty"`
}

package authn

import (
	"time"

	"github.com/ostiary/ostiary/internal/identity"
)

// Outcome is what a mechanism says about one request. The zero value rejects.
type Outcome uint8

const (
	// Rejected: a credential of this mechanism was presented and is not valid, or could not be judged (a technical
	// failure). The mechanisms after it are still asked (CHAIN-2), but anonymous is not (CHAIN-3).
	Rejected Outcome = iota
	// NoCredential: nothing of this mechanism was presented; the next one is asked.
	NoCredential
	// Accepted: the credential proves an identity.
	Accepted
)

// Answer is a mechanism's verdict. The zero value rejects without a reason. Make one with Accept, Reject, Fail or
// None.
type Answer struct {
	Outcome    Outcome
	Credential *Credential // set exactly when Outcome is Accepted
	Cause      error       // for the log, never for the client; set when Outcome is Rejected
	// Failed marks a rejection for technical reasons: the credential may be good, but that could not be established.
	Failed bool
	// Final marks a rejection of a credential that was recognised and that the mechanism's own policy forbids: no other
	// mechanism is asked, which could only undo the refusal.
	Final bool
}

// Accept answers that the request proves cred.
func Accept(cred *Credential) Answer { return Answer{Outcome: Accepted, Credential: cred} }

// Reject answers that a credential was presented and is bad; cause says why, for the log.
func Reject(cause error) Answer { return Answer{Outcome: Rejected, Cause: cause} }

// Fail answers that a credential was presented and could not be judged. Like every failure it ends as 401 unless
// another mechanism accepts (CHAIN-9), but the log tells it apart from a bad credential.
func Fail(cause error) Answer { return Answer{Outcome: Rejected, Cause: cause, Failed: true} }

// Refuse answers that a credential was recognised and may not be used. It ends the request.
func Refuse(cause error) Answer { return Answer{Outcome: Rejected, Cause: cause, Final: true} }

// None answers that the request holds no credential of this mechanism.
func None() Answer { return Answer{Outcome: NoCredential} }

// Credential is a credential that its mechanism has verified. Mechanisms may return the same one for many requests:
// it is never changed after it was returned.
type Credential struct {
	ID        identity.CredentialID
	Mechanism identity.Mechanism
	// Identity is who the credential says the caller is, before policy: no group rules, no system:authenticated.
	Identity identity.Identity
	// NotBefore and NotAfter bound the time in which the credential was meant to be used: the certificate's validity,
	// the token's iat and exp. The zero time means that the credential states none.
	NotBefore, NotAfter time.Time
	// Leeway is how long after NotAfter the credential is still taken, where Kubernetes grants that (SAB-11). It does not
	// lengthen the lifetime that policy judges.
	Leeway time.Duration
	// Audiences are those the credential is good for, restricted to the request's target audiences; nil when the
	// mechanism knows none (AUD-4).
	Audiences []string
	// Certificate is the one that the credential is, or by which somebody vouched for it; nil where there is none.
	Certificate *Certificate
	// Basis is what a credential of Ostiary's own rests on; nil for all others, and where it rests on nothing.
	Basis *Basis
}

// Basis is another credential, by which the owner of this one signed in. What shuts that one out shuts this one out, and what
// policy says of it holds for this one, too: an exchange must not be a way around either.
type Basis struct {
	Mechanism identity.Mechanism `json:"mechanism"`
	// ID and Issuer are its credential id (identity.CredentialID).
	ID     string `json:"id"`
	Issuer string `json:"issuer,omitempty"`
}

// Certificate is what can be said of a verified certificate, by which it can be shut out.
type Certificate struct {
	// ID is its credential id (X509-9).
	ID string `json:"id"`
	// Serial is its serial number in lower-case hex without leading zeros, Issuer its issuer's distinguished name in the
	// form of RFC 2253: what a CRL names it by.
	Serial string `json:"serial"`
	Issuer string `json:"issuer"`
	// Chains are all the ways in which it was verified, each as the digests of the keys of its CAs (KeyDigest).
	Chains [][]string `json:"chains,omitempty"`
}

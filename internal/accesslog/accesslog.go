// Package accesslog records what the gateway decided: one event a request, two for a stream. The fields are a closed
// list, so that nothing from a request reaches the log without having been chosen: no header, no query, no body, no
// credential.
package accesslog

import "time"

// Kind says at which point of a request an event was recorded.
type Kind string

// The kinds of event.
const (
	Request     Kind = "request"      // a request that was answered
	StreamStart Kind = "stream_start" // a long-running request that was let through
	StreamEnd   Kind = "stream_end"   // the same, when it ended
	Review      Kind = "token_review" // a token that an API server asked about
	Locked      Kind = "lock"         // a source that guessed too much was locked out; about no single request
	Unlocked    Kind = "unlock"       // the same, undone by a person
)

// Verdict says what became of a request.
type Verdict string

// The verdicts. The zero value is none of them: an event without a verdict is a mistake that shows.
const (
	Allow Verdict = "allow" // forwarded
	Deny  Verdict = "deny"  // refused by the gate
	Fault Verdict = "fault" // let in, but the cluster could not be reached or the client went away
)

// Event is one decision. Empty fields are left out of the log line, but for those that every line has.
type Event struct {
	Kind      Kind
	Time      time.Time // of the record; the sink fills it in when zero
	RequestID string    // also the Audit-ID under which the API server audits the request
	Source    string    // the client's address, without port

	Mechanism        string
	CredentialID     string
	CredentialIssuer string
	User             string
	UID              string
	Groups           []string
	ActingAs         string // the user that the caller impersonates, where the gate judged that

	Cluster     string
	Verb        string // Kubernetes' own: get, list, watch, create, …
	Method      string
	APIGroup    string
	Resource    string
	Subresource string
	Namespace   string
	Name        string
	Path        string // decoded, for requests that are about no resource

	// What is known of a ServiceAccount token that the request had issued; the caller is who got it.
	IssuedID      string // its credential id
	IssuedIssuer  string
	IssuedTo      string // the account's user name
	IssuedExpires time.Time

	// Until is when a lock ends.
	Until time.Time

	Verdict        Verdict
	Reason         string // closed list, see authn.Reason, policy and gateway
	Cause          error  // why, for operators
	Status         int    // sent to the client
	UpstreamStatus int    // got from the API server; 0 if it was not asked
	Duration       time.Duration
}

// Sink takes events. Record must not keep the event after it returned, must not block for long, and is called
// concurrently.
type Sink interface{ Record(e *Event) }

// Sinks records in each of several sinks, in order.
type Sinks []Sink

// Record implements Sink.
func (s Sinks) Record(e *Event) {
	for _, sink := range s {
		sink.Record(e)
	}
}

// Package accesslog records what the gateway decided: one event a request, two for a stream. The fields are a closed
// list, so that nothing from a request reaches the log without having been chosen: no header, no query, no body, no
// credential.
package accesslog

import (
	"log/slog"
	"time"
)

// Kind says at which point of a request an event was recorded.
type Kind string

// The kinds of event.
const (
	Request     Kind = "request"      // a request that was answered
	StreamStart Kind = "stream_start" // a long-running request that was let through
	StreamEnd   Kind = "stream_end"   // the same, when it ended
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

// The keys of a log line, the closed list.
const (
	keyRequestID        = "request_id"
	keySource           = "source"
	keyMechanism        = "mechanism"
	keyCredentialID     = "credential_id"
	keyCredentialIssuer = "credential_issuer"
	keyUser             = "user"
	keyUID              = "uid"
	keyGroups           = "groups"
	keyActingAs         = "acting_as"
	keyCluster          = "cluster"
	keyVerb             = "verb"
	keyMethod           = "method"
	keyAPIGroup         = "api_group"
	keyResource         = "resource"
	keySubresource      = "subresource"
	keyNamespace        = "namespace"
	keyName             = "name"
	keyPath             = "path"
	keyVerdict          = "verdict"
	keyReason           = "reason"
	keyCause            = "cause"
	keyStatus           = "status"
	keyUpstreamStatus   = "upstream_status"
	keyDuration         = "duration_ms"
)

// attributes is how many a line can have at most; it sizes the buffer so that a line is built without growing it.
const attributes = 24

// attrs lists the event's fields in the order of the log line.
func (e *Event) attrs(buffer []slog.Attr) []slog.Attr {
	text := func(key, value string) {
		if value != "" {
			buffer = append(buffer, slog.String(key, value))
		}
	}
	number := func(key string, value int) {
		if value != 0 {
			buffer = append(buffer, slog.Int(key, value))
		}
	}
	text(keyRequestID, e.RequestID)
	text(keySource, e.Source)
	buffer = append(buffer, slog.String(keyVerdict, string(e.Verdict)), slog.String(keyReason, e.Reason))
	text(keyMechanism, e.Mechanism)
	text(keyCredentialID, e.CredentialID)
	text(keyCredentialIssuer, e.CredentialIssuer)
	text(keyUser, e.User)
	text(keyUID, e.UID)
	if len(e.Groups) > 0 {
		buffer = append(buffer, slog.Any(keyGroups, e.Groups))
	}
	text(keyActingAs, e.ActingAs)
	text(keyCluster, e.Cluster)
	text(keyVerb, e.Verb)
	text(keyMethod, e.Method)
	text(keyAPIGroup, e.APIGroup)
	text(keyResource, e.Resource)
	text(keySubresource, e.Subresource)
	text(keyNamespace, e.Namespace)
	text(keyName, e.Name)
	text(keyPath, e.Path)
	if e.Cause != nil {
		buffer = append(buffer, slog.String(keyCause, e.Cause.Error()))
	}
	number(keyStatus, e.Status)
	number(keyUpstreamStatus, e.UpstreamStatus)
	return append(buffer, slog.Float64(keyDuration, float64(e.Duration.Microseconds())/float64(time.Millisecond/time.Microsecond)))
}

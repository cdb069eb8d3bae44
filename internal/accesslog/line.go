package accesslog

import (
	"encoding/json"
	"strconv"
	"time"
)

// The keys of a log line, the closed list. The first three are those that log/slog gives its own lines.
const (
	keyTime             = "time"
	keyLevel            = "level"
	keyKind             = "msg"
	keyRequestID        = "request_id"
	keySource           = "source"
	keyVerdict          = "verdict"
	keyReason           = "reason"
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
	keyIssuedID         = "issued_id"
	keyIssuedIssuer     = "issued_issuer"
	keyIssuedTo         = "issued_to"
	keyIssuedExpires    = "issued_expires"
	keyUntil            = "until"
	keyCause            = "cause"
	keyStatus           = "status"
	keyUpstreamStatus   = "upstream_status"
	keyDuration         = "duration_ms"
)

// level is what log/slog calls lines that are no complaint.
const level = "INFO"

// maxTextBytes bounds each text of a line. Paths and causes can be as long as a request's headers, and anybody who can
// connect can send those; no name of Kubernetes' own comes near it.
const maxTextBytes = 4096

// cutMark ends a text that was cut.
const cutMark = "...[cut]"

// line is a JSON object in the making. It is written by hand because every request makes one: a general encoder took a
// tenth of the whole gate's CPU. What a line can hold is fixed below, and a test compares it with encoding/json.
type line []byte

// appendEvent appends the event as one line.
func (l line) appendEvent(e *Event, at time.Time) line {
	l = append(l, '{', '"')
	l = append(l, keyTime+`":"`...)
	l = at.AppendFormat(l, time.RFC3339Nano)
	l = append(l, '"')
	l = l.always(keyLevel, level).always(keyKind, string(e.Kind))
	l = l.text(keyRequestID, e.RequestID).text(keySource, e.Source)
	l = l.always(keyVerdict, string(e.Verdict)).always(keyReason, e.Reason)
	l = l.text(keyMechanism, e.Mechanism).text(keyCredentialID, e.CredentialID).text(keyCredentialIssuer, e.CredentialIssuer)
	l = l.text(keyUser, e.User).text(keyUID, e.UID).list(keyGroups, e.Groups).text(keyActingAs, e.ActingAs)
	l = l.text(keyCluster, e.Cluster).text(keyVerb, e.Verb).text(keyMethod, e.Method)
	l = l.text(keyAPIGroup, e.APIGroup).text(keyResource, e.Resource).text(keySubresource, e.Subresource)
	l = l.text(keyNamespace, e.Namespace).text(keyName, e.Name).text(keyPath, e.Path)
	l = l.text(keyIssuedID, e.IssuedID).text(keyIssuedIssuer, e.IssuedIssuer).text(keyIssuedTo, e.IssuedTo)
	if !e.IssuedExpires.IsZero() {
		l = append(l.key(keyIssuedExpires), '"')
		l = append(e.IssuedExpires.AppendFormat(l, time.RFC3339), '"')
	}
	if !e.Until.IsZero() {
		l = append(l.key(keyUntil), '"')
		l = append(e.Until.AppendFormat(l, time.RFC3339), '"')
	}
	if e.Cause != nil {
		l = l.always(keyCause, e.Cause.Error())
	}
	l = l.number(keyStatus, e.Status).number(keyUpstreamStatus, e.UpstreamStatus)
	l = l.key(keyDuration)
	milliseconds := float64(e.Duration.Microseconds()) / float64(time.Millisecond/time.Microsecond)
	l = strconv.AppendFloat(l, milliseconds, 'f', -1, 64) //nolint:mnd // the bits of a float64
	return append(l, '}', '\n')
}

// key appends a member's name. The names are constants that need no escaping.
func (l line) key(name string) line {
	l = append(l, ',', '"')
	l = append(l, name...)
	return append(l, '"', ':')
}

// always appends a member, also when it is empty.
func (l line) always(name, value string) line { return l.key(name).quote(value) }

// text appends a member unless it is empty.
func (l line) text(name, value string) line {
	if value == "" {
		return l
	}
	return l.always(name, value)
}

// list appends a list unless it is empty.
func (l line) list(name string, values []string) line {
	if len(values) == 0 {
		return l
	}
	l = append(l.key(name), '[')
	for i, value := range values {
		if i > 0 {
			l = append(l, ',')
		}
		l = l.quote(value)
	}
	return append(l, ']')
}

// number appends a number unless it is zero.
func (l line) number(name string, value int) line {
	if value == 0 {
		return l
	}
	return strconv.AppendInt(l.key(name), int64(value), 10) //nolint:mnd // decimal
}

// quote appends a JSON string. Plain ASCII, which names nearly always are, is copied; everything else is left to
// encoding/json.
func (l line) quote(value string) line {
	if len(value) > maxTextBytes {
		value = value[:maxTextBytes] + cutMark
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(value)
			if err != nil { // a string always has a JSON form
				return append(l, `""`...)
			}
			return append(l, quoted...)
		}
	}
	l = append(l, '"')
	l = append(l, value...)
	return append(l, '"')
}

package gate

import "time"

// Line is a line of the access log.
type Line struct {
	Time             time.Time `json:"time"`
	Kind             string    `json:"msg"` // request, stream_start, stream_end
	RequestID        string    `json:"request_id"`
	Source           string    `json:"source"`
	Verdict          string    `json:"verdict"` // allow, deny, fault
	Reason           string    `json:"reason"`
	Mechanism        string    `json:"mechanism"`
	CredentialID     string    `json:"credential_id"`
	CredentialIssuer string    `json:"credential_issuer"`
	User             string    `json:"user"`
	UID              string    `json:"uid"`
	Groups           []string  `json:"groups"`
	ActingAs         string    `json:"acting_as"`
	Cluster          string    `json:"cluster"`
	Verb             string    `json:"verb"`
	Method           string    `json:"method"`
	APIGroup         string    `json:"api_group"`
	Resource         string    `json:"resource"`
	Subresource      string    `json:"subresource"`
	Namespace        string    `json:"namespace"`
	Name             string    `json:"name"`
	Path             string    `json:"path"`
	IssuedID         string    `json:"issued_id"`
	IssuedTo         string    `json:"issued_to"`
	IssuedExpires    time.Time `json:"issued_expires"`
	Cause            string    `json:"cause"`
	Status           int       `json:"status"`
	UpstreamStatus   int       `json:"upstream_status"`
	Milliseconds     float64   `json:"duration_ms"`
}

// logLine is what this package reads of Ostiary's own log.
type logLine struct {
	Message  string `json:"msg"`
	Listener string `json:"listener"`
	Address  string `json:"address"`
}

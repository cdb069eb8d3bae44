package gateway

import (
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

// StreamInfo describes an open stream.
type StreamInfo struct {
	// RequestID is the one in the access log, and the Audit-ID at the cluster.
	RequestID string
	Began     time.Time
	Source    string
	Cluster   string
	// Username is who came in, and CredentialID and Mechanism by what; ActingAs is the user that it impersonates, if any.
	Username, ActingAs string
	CredentialID       identity.CredentialID
	Mechanism          identity.Mechanism
	// What it is for, as in the access log: Path for what is no resource.
	Verb, APIGroup, Resource, Subresource, Namespace, Name, Path string
}

// streamInfo describes the exchange's stream.
func (x *exchange) streamInfo() StreamInfo {
	info := StreamInfo{
		RequestID: x.id, Began: x.began, Source: x.source, Cluster: x.target.cluster.Name, Verb: x.info.Verb,
		Username: x.decision.Identity.Username, Mechanism: x.decision.Mechanism,
	}
	if cred := x.decision.Credential; cred != nil {
		info.CredentialID = cred.ID
	}
	if x.acting != nil && x.acting != x.decision.Identity {
		info.ActingAs = x.acting.Username
	}
	if !x.info.IsResourceRequest {
		info.Path = x.info.Path
		return info
	}
	info.APIGroup, info.Resource, info.Subresource = x.info.APIGroup, x.info.Resource, x.info.Subresource
	info.Namespace, info.Name = x.info.Namespace, x.info.Name
	return info
}

// Streams describes the open streams whose credential matches, all if matches is nil, in no order.
func (g *Gate) Streams(matches func(cred *authn.Credential) bool) []StreamInfo {
	var all []StreamInfo
	g.streams.each(func(one *stream) {
		if matches == nil || one.credential != nil && matches(one.credential) {
			all = append(all, one.StreamInfo)
		}
	})
	return all
}

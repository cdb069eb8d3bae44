package ledgerapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/localapi"
)

// maxStreams bounds what one replica tells another of its streams: what fits into one record of the store.
const maxStreams = 1000

// streamQuery says which streams are asked for; replicas ask each other so.
type streamQuery struct {
	User      string               `json:"user,omitempty"`
	Mechanism identity.Mechanism   `json:"mechanism,omitempty"`
	Under     []*ledger.Revocation `json:"under,omitempty"`
}

func (q *streamQuery) has(cred *authn.Credential, now time.Time) bool {
	return (q.User == "" || cred.Identity.Username == q.User) && (q.Mechanism == "" || cred.Mechanism == q.Mechanism) &&
		(q.Under == nil || slices.ContainsFunc(q.Under, func(one *ledger.Revocation) bool { return one.Matches(now)(cred) }))
}

// listStreams answers with the streams that are open at every replica.
func (a *API) listStreams(x *localapi.Exchange) {
	query := x.R.URL.Query()
	x.Answer(http.StatusOK, a.everyStream(x.R.Context(), &streamQuery{User: query.Get("user"), Mechanism: identity.Mechanism(query.Get("mechanism"))}))
}

// everyStream asks all replicas. Those that do not answer are named, and how many streams are left out.
func (a *API) everyStream(ctx context.Context, query *streamQuery) *adminapi.StreamList {
	list := &adminapi.StreamList{TypeMeta: adminapi.TypeOf(adminapi.StreamListKind), Items: a.ownStreams(query)}
	text, err := json.Marshal(query)
	if err != nil {
		list.Metadata.Missing = []string{err.Error()}
		return list
	}
	answers, missing, err := a.config.Ledger.Ask(ctx, text)
	if err != nil {
		missing = []string{"every other: the ledger's store does not answer"}
	}
	list.Metadata.Missing = missing
	for name, answer := range answers {
		var theirs adminapi.StreamList
		if json.Unmarshal(answer, &theirs) != nil || theirs.Is(adminapi.StreamListKind) != nil {
			list.Metadata.Missing = append(list.Metadata.Missing, name)
			continue
		}
		for i := range theirs.Items {
			theirs.Items[i].Replica = name
		}
		list.Items = append(list.Items, theirs.Items...)
		list.Metadata.RemainingItemCount += theirs.Metadata.RemainingItemCount
	}
	sortStreams(list.Items)
	return list
}

// Answer answers another replica's question about this one's streams. It implements ledger.Config.Answer.
func (a *API) Answer(question []byte) []byte {
	var query streamQuery
	if localapi.Strict(question, &query) != nil {
		return nil // of a later version
	}
	list := &adminapi.StreamList{TypeMeta: adminapi.TypeOf(adminapi.StreamListKind), Items: a.ownStreams(&query)}
	if left := len(list.Items) - maxStreams; left > 0 {
		list.Items, list.Metadata.RemainingItemCount = list.Items[:maxStreams], left
	}
	answer, err := json.Marshal(list)
	if err != nil {
		return nil
	}
	return answer
}

// ownStreams are those that are open at this replica, the oldest first.
func (a *API) ownStreams(query *streamQuery) []adminapi.Stream {
	now := time.Now()
	streams := a.config.Streams(func(cred *authn.Credential) bool { return query.has(cred, now) })
	all := make([]adminapi.Stream, 0, len(streams))
	for i := range streams {
		one := streamToAPI(&streams[i])
		one.Replica = a.config.Replica
		all = append(all, one)
	}
	sortStreams(all)
	return all
}

func streamToAPI(one *gateway.StreamInfo) adminapi.Stream {
	resource := one.Resource
	if one.Subresource != "" {
		resource += "/" + one.Subresource
	}
	return adminapi.Stream{
		RequestID: one.RequestID, Since: one.Began, Source: one.Source, Cluster: one.Cluster, Username: one.Username, ActingAs: one.ActingAs,
		Mechanism: string(one.Mechanism), CredentialID: one.CredentialID.Value, Issuer: one.CredentialID.Issuer,
		Verb: one.Verb, APIGroup: one.APIGroup, Resource: resource, Namespace: one.Namespace, Name: one.Name, Path: one.Path,
	}
}

func sortStreams(all []adminapi.Stream) {
	slices.SortFunc(all, func(a, b adminapi.Stream) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.RequestID, b.RequestID)
	})
}

package auditlog

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Limits of what is kept. With all of them reached, a Record takes about 200 MB.
const (
	// maxUses is how many credentials, and users without one, are told apart: the tokens of 4,000 pods over a day, each
	// renewed every hour, twice over.
	maxUses = 200_000
	// maxIssues is how many issues of tokens and certificates are kept.
	maxIssues = 200_000
	// maxPlaces and maxActions bound what is kept of one use: more show nothing new.
	maxPlaces  = 4
	maxActions = 12
	// maxFailures is how many sources of failed attempts are told apart.
	maxFailures = 10_000
	// maxWord bounds a name, an agent or an id in bytes: an object's name has at most 253, and a client may send a megabyte.
	// maxWords is how many of them are kept once only.
	maxWord  = 512
	maxWords = 1_000_000
	// maxMinutes is how many minutes with events are told apart: two years.
	maxMinutes = 2 * 365 * 24 * 60
)

// Record is what audit logs told. The zero value is a record of nothing; Read fills it. It is not safe for concurrent use
// while it is filled.
type Record struct {
	// Events is how many events were counted, Broken how many lines could not be read.
	Events, Broken int
	// FirstBroken says where the first of those was and what was wrong with it.
	FirstBroken string
	// From and Until are the first and the last moment that events tell of; zero where there were none.
	From, Until time.Time
	// Overflow says that something did not fit: what is not in the record may still have been in the log.
	Overflow bool
	// HasIDs says that some event named a credential by its id: older API servers name none.
	HasIDs bool

	uses     map[useKey]*Use
	issues   []Issue
	requests map[string]*request // certificate requests by name
	failures map[string]*Failure
	words    map[string]string
	minutes  map[int64]struct{} // those of which there is an event
}

type useKey struct{ id, user, secret string }

// Use is the use of one credential as one user.
type Use struct {
	// CredentialID is as Kubernetes spells it; empty where the log has none.
	CredentialID string
	Username     string
	Groups       []string
	UID          string
	// Mechanism is the one that the event can be told to be of, spelled as in package identity; empty where several are
	// possible: static tokens, webhooks and proxies look alike.
	Mechanism string
	// Secret is the token Secret, as namespace/name, where the API server noted one.
	Secret string
	// Pod and Node are those that the token is bound to.
	Pod, Node string
	First     time.Time
	Last      time.Time
	Count     int
	// Denied is how many requests were answered with 403.
	Denied int
	Places []Place
	// MorePlaces says that there were more than are listed.
	MorePlaces bool
	// Actions are "verb group/resource" of what it did, sorted; the first few.
	Actions []string
	// ActedAs are the users whom it impersonated; the first few.
	ActedAs []string
}

// Place is where requests came from, and with which program.
type Place struct {
	// Source is the address of the peer. What a client claims in front of it is left out.
	Source, Agent string
	First, Last   time.Time
	Count         int
}

// IssueKind is what was issued.
type IssueKind string

// The kinds of issue.
const (
	IssuedToken       IssueKind = "token"
	IssuedCertificate IssueKind = "certificate"
)

// Issue is the issue of one credential.
type Issue struct {
	Kind IssueKind
	// CredentialID is the new credential's; empty where the log does not hold it.
	CredentialID string
	// For is the user name that the credential is for; empty where the log does not hold it.
	For string
	// By is who asked, ByCredential with which credential. For certificates ApprovedBy is who approved.
	By, ByCredential, ApprovedBy string
	// Name is the certificate request's.
	Name   string
	Signer string
	Source string
	Agent  string
	At     time.Time
	// Lifetime is what was asked for or, where the answer is known, given; zero where neither is.
	Lifetime time.Duration
	// Bound is the object that the token ends with, as "Pod name"; empty for none or unknown.
	Bound string
	// Expires is when it ends; zero where that is not known.
	Expires time.Time
}

// request is what is known of one certificate request while its events are read.
type request struct {
	Issue

	requested bool
}

// Failure counts attempts from one source that were answered with 401.
type Failure struct {
	Source string
	// Attempted is what the API server says was tried, such as "bearer".
	Attempted   string
	First, Last time.Time
	Count       int
}

// LongestGap is the longest time without any event, to the minute. API servers that are up write something in every
// minute, so that a longer one is a hole in the log, or a time in which the API server was down.
func (r *Record) LongestGap() time.Duration {
	minutes := slices.Sorted(maps.Keys(r.minutes))
	longest := int64(0)
	for i := 1; i < len(minutes); i++ {
		longest = max(longest, minutes[i]-minutes[i-1]-1)
	}
	return time.Duration(longest) * time.Minute
}

// Uses are all uses, by their first moment.
func (r *Record) Uses() []*Use {
	all := make([]*Use, 0, len(r.uses))
	for _, use := range r.uses {
		all = append(all, use)
	}
	slices.SortFunc(all, func(a, b *Use) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.CredentialID, b.CredentialID), cmp.Compare(a.Username, b.Username), cmp.Compare(a.Secret, b.Secret))
	})
	return all
}

// Issues are all issues, by their moment.
func (r *Record) Issues() []Issue {
	all := slices.Clone(r.issues)
	for _, one := range r.requests {
		if one.CredentialID != "" || one.ApprovedBy != "" {
			all = append(all, one.Issue)
		}
	}
	slices.SortFunc(all, func(a, b Issue) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.CredentialID, b.CredentialID), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// Failures are all sources of failed attempts, by source.
func (r *Record) Failures() []Failure {
	all := make([]Failure, 0, len(r.failures))
	for _, failure := range r.failures {
		all = append(all, *failure)
	}
	slices.SortFunc(all, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Attempted, b.Attempted))
	})
	return all
}

// maxChain bounds how far back a chain is followed. Real ones have a few links.
const maxChain = 32

// Chain follows who made a credential: the first issue is that of the credential itself, the next that of the credential
// which asked for it, and so on. It is empty where the log does not tell; a circle, which only a forged log can hold,
// ends it.
func Chain(issues []Issue, id string) []Issue {
	byID := make(map[string]int, len(issues))
	for i := range issues {
		if issues[i].CredentialID != "" {
			byID[issues[i].CredentialID] = i
		}
	}
	return Follow(byID, issues, id)
}

// Follow is Chain for many credentials: byID gives the place of the issue of an id.
func Follow(byID map[string]int, issues []Issue, id string) []Issue {
	var chain []Issue
	seen := map[string]bool{}
	for id != "" && !seen[id] && len(chain) < maxChain {
		seen[id] = true
		i, found := byID[id]
		if !found {
			break
		}
		chain = append(chain, issues[i])
		id = issues[i].ByCredential
	}
	return chain
}

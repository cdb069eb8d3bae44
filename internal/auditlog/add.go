package auditlog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/identity"
)

// add counts one line.
func (r *Record) add(line *decoded) {
	if line.err != nil {
		if r.Broken++; r.FirstBroken == "" {
			r.FirstBroken = fmt.Sprintf("line %d: %s", line.line, describe(line.err))
		}
		return
	}
	for i := range line.events {
		r.event(&line.events[i])
	}
}

// describe says what is wrong with a line without repeating any of it: it may hold a secret.
func describe(err error) string {
	switch err {
	case errTooLong, errNoEvent: //nolint:errorlint // these very values, never wrapped
		return err.Error()
	default:
		return "no JSON, or not of an audit event's form"
	}
}

func (r *Record) event(e *event) {
	if e.Stage == stageReceived || e.At.IsZero() {
		return // the same request comes again with its answer
	}
	if r.From.IsZero() || e.At.Before(r.From) {
		r.From = e.At
	}
	if e.At.After(r.Until) {
		r.Until = e.At
	}
	r.Events++
	if minute := e.At.Unix() / int64(time.Minute/time.Second); len(r.minutes) < maxMinutes {
		if r.minutes == nil {
			r.minutes = map[int64]struct{}{}
		}
		r.minutes[minute] = struct{}{}
	} else {
		r.Overflow = true
	}
	if e.Status != nil && e.Status.Code == http.StatusUnauthorized {
		r.failure(e)
		return
	}
	if e.User.Username == "" {
		return
	}
	r.use(e)
	if e.Stage == stageStarted || e.Object == nil || e.Status == nil || e.Status.Code >= http.StatusMultipleChoices {
		return
	}
	switch {
	case e.Object.Resource == "serviceaccounts" && e.Object.Subresource == "token" && e.Verb == "create":
		r.tokenIssued(e)
	case e.Object.Resource == "certificatesigningrequests":
		r.certificateRequest(e)
	}
}

// source is the peer of the API server: whatever stands before it in the list is what a client says (X-Forwarded-For).
func (e *event) source() string {
	if len(e.SourceIPs) == 0 {
		return ""
	}
	return e.SourceIPs[len(e.SourceIPs)-1]
}

func (r *Record) failure(e *event) {
	attempted := ""
	if e.Status != nil {
		// The message is "Authentication failed, attempted: bearer".
		_, attempted, _ = strings.Cut(e.Status.Message, "attempted: ")
	}
	if len(attempted) > 64 || strings.ContainsFunc(attempted, func(c rune) bool { return (c < 'a' || c > 'z') && !strings.ContainsRune(" ,_509", c) }) {
		attempted = ""
	}
	key := e.source() + " " + attempted
	one := r.failures[key]
	if one == nil {
		if len(r.failures) >= maxFailures {
			r.Overflow = true
			return
		}
		one = &Failure{Source: strings.Clone(e.source()), Attempted: attempted, First: e.At}
		if r.failures == nil {
			r.failures = map[string]*Failure{}
		}
		r.failures[key] = one
	}
	one.Count++
	one.First, one.Last = earlier(one.First, e.At), later(one.Last, e.At)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// use counts a request for the credential that it came with.
func (r *Record) use(e *event) {
	id, user := r.word(e.User.extra(extraCredentialID)), r.word(e.User.Username)
	r.HasIDs = r.HasIDs || id != ""
	secret := orElse(e.Annotations[annotationManualSecret], e.Annotations[annotationAutoSecret])
	if secret != "" {
		if namespace, _, ok := strings.Cut(strings.TrimPrefix(e.User.Username, identity.ServiceAccountPrefix), ":"); ok {
			secret = namespace + "/" + secret
		}
		secret = r.word(secret)
	}
	key := useKey{id, user, secret}
	use := r.uses[key]
	if use == nil {
		if len(r.uses) >= maxUses {
			r.Overflow = true
			return
		}
		use = &Use{
			CredentialID: id, Username: user, UID: r.word(e.User.UID), Secret: secret, First: e.At, Last: e.At,
			Mechanism: mechanism(e, id, secret), Pod: r.word(e.User.extra(extraPodName)), Node: r.word(e.User.extra(extraNodeName)),
		}
		for _, group := range e.User.Groups {
			use.Groups = append(use.Groups, r.word(group))
		}
		if r.uses == nil {
			r.uses = map[useKey]*Use{}
		}
		r.uses[key] = use
	}
	use.First, use.Last = earlier(use.First, e.At), later(use.Last, e.At)
	if e.Stage == stageStarted {
		return // its end is counted
	}
	use.Count++
	if e.Status != nil && e.Status.Code == http.StatusForbidden {
		use.Denied++
	}
	r.place(use, e)
	if action := e.action(); len(use.Actions) < maxActions {
		if at, found := slices.BinarySearch(use.Actions, action); !found {
			use.Actions = slices.Insert(use.Actions, at, r.word(action))
		}
	}
	if e.Acting != nil && len(use.ActedAs) < maxActions && !slices.Contains(use.ActedAs, e.Acting.Username) {
		use.ActedAs = append(use.ActedAs, r.word(e.Acting.Username))
	}
}

func (r *Record) place(use *Use, e *event) {
	source, agent := r.word(e.source()), r.word(e.UserAgent)
	for i := range use.Places {
		if place := &use.Places[i]; place.Source == source && place.Agent == agent {
			place.First, place.Last = earlier(place.First, e.At), later(place.Last, e.At)
			place.Count++
			return
		}
	}
	if len(use.Places) >= maxPlaces {
		use.MorePlaces = true
		return
	}
	use.Places = append(use.Places, Place{Source: source, Agent: agent, First: e.At, Last: e.At, Count: 1})
}

// action is what a request does, without any name.
func (e *event) action() string {
	if e.Object == nil {
		return e.Verb + " path"
	}
	action := e.Verb + " "
	if e.Object.APIGroup != "" {
		action += e.Object.APIGroup + "/"
	}
	action += e.Object.Resource
	if e.Object.Subresource != "" {
		action += "/" + e.Object.Subresource
	}
	return action
}

// mechanism tells what it can from one event. Static tokens, webhooks and proxies look alike.
func mechanism(e *event, id, secret string) string {
	user := e.User.Username
	switch {
	case user == identity.Anonymous:
		return string(identity.AnonymousAccess)
	case strings.HasPrefix(id, "X509SHA256="):
		return string(identity.ClientCertificate)
	case strings.HasPrefix(user, identity.ServiceAccountPrefix) && secret != "":
		return string(identity.ServiceAccount)
	case strings.HasPrefix(user, identity.ServiceAccountPrefix) && strings.HasPrefix(id, "JTI="):
		return string(identity.TokenRequest)
	case strings.HasPrefix(user, identity.BootstrapPrefix):
		return string(identity.BootstrapToken)
	case strings.HasPrefix(id, "JTI="):
		return string(identity.JWT)
	default:
		return ""
	}
}

// tokenIssued notes the issue of a ServiceAccount's token.
func (r *Record) tokenIssued(e *event) {
	issue := Issue{
		Kind: IssuedToken, CredentialID: r.word(e.Annotations[annotationIssued]),
		For: r.word(identity.ServiceAccountPrefix + e.Object.Namespace + ":" + e.Object.Name),
		By:  r.word(e.User.Username), ByCredential: r.word(e.User.extra(extraCredentialID)), Source: r.word(e.source()), Agent: r.word(e.UserAgent), At: e.At,
	}
	var asked, answered tokenRequest
	if len(e.Request) > 0 && json.Unmarshal(e.Request, &asked) == nil {
		issue.Lifetime = time.Duration(min(max(asked.Spec.ExpirationSeconds, 0), maxSeconds)) * time.Second
		if asked.Spec.BoundObject != nil {
			issue.Bound = r.word(asked.Spec.BoundObject.Kind + " " + asked.Spec.BoundObject.Name)
		}
	}
	if len(e.Response) > 0 && json.Unmarshal(e.Response, &answered) == nil && answered.Status.Expires.After(e.At) {
		issue.Expires = answered.Status.Expires
		issue.Lifetime = issue.Expires.Sub(e.At).Round(time.Second)
	}
	r.issue(issue)
}

// maxSeconds is a hundred years, so that no multiplication runs over.
const maxSeconds = 100 * 365 * 24 * 3600

func (r *Record) issue(issue Issue) {
	if len(r.issues) >= maxIssues {
		r.Overflow = true
		return
	}
	r.issues = append(r.issues, issue)
}

// certificateRequest notes a step of a certificate request: who asked, who approved, what was issued.
func (r *Record) certificateRequest(e *event) {
	var body certificateRequest
	for _, raw := range []json.RawMessage{e.Request, e.Response} {
		var read certificateRequest
		if len(raw) > 0 && json.Unmarshal(raw, &read) == nil && read.Metadata.Name != "" {
			body = read
		}
	}
	name := orElse(e.Object.Name, body.Metadata.Name)
	if name == "" || e.Verb == "delete" || e.Verb == "get" || e.Verb == "list" || e.Verb == "watch" {
		return
	}
	one := r.requests[name]
	if one == nil {
		if len(r.requests) >= maxIssues {
			r.Overflow = true
			return
		}
		name = r.word(name)
		one = &request{Issue: Issue{Kind: IssuedCertificate, Name: name, At: e.At}}
		if r.requests == nil {
			r.requests = map[string]*request{}
		}
		r.requests[name] = one
	}
	one.Signer = orElse(one.Signer, r.word(body.Spec.SignerName))
	switch {
	case e.Verb == "create" && e.Object.Subresource == "":
		one.By, one.ByCredential, one.Source, one.Agent = r.word(e.User.Username), r.word(e.User.extra(extraCredentialID)), r.word(e.source()), r.word(e.UserAgent)
		one.At, one.requested = e.At, true
	case e.Object.Subresource == "approval":
		one.ApprovedBy = r.word(e.User.Username)
	}
	if block, _ := pem.Decode(body.Status.Certificate); block != nil && block.Type == "CERTIFICATE" {
		sum := sha256.Sum256(block.Bytes)
		one.CredentialID = "X509SHA256=" + hex.EncodeToString(sum[:])
	}
}

// word keeps one copy of a text that comes again and again, and cuts one that is longer than any honest name.
func (r *Record) word(text string) string {
	if text == "" {
		return ""
	}
	if len(text) > maxWord {
		text = text[:maxWord]
	}
	if known, ok := r.words[text]; ok {
		return known
	}
	if r.words == nil {
		r.words = map[string]string{}
	}
	text = strings.Clone(text) // not a part of the whole line
	if len(r.words) < maxWords {
		r.words[text] = text
	}
	return text
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

package tokenreview

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/certchain"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/memo"
	"github.com/ostiary/ostiary/internal/secret"
)

// Path is where reviews are asked for.
const Path = "/tokenreview"

const (
	// maxReviewBytes bounds a review: the longest token that any mechanism looks at, four times over.
	maxReviewBytes = 256 << 10
	// maxConcurrent bounds one caller's reviews under way. kube-apiserver itself lets 400 requests in at a time.
	maxConcurrent = 1000
	// reviewTimeout bounds one review, from its headers to the last byte of its answer. kube-apiserver waits 30 seconds.
	reviewTimeout = 30 * time.Second
	// rejectionHolds is how long a rejected certificate is not verified again on its connection.
	rejectionHolds = time.Second
)

// Decider judges a bare token.
type Decider interface {
	DecideToken(ctx context.Context, r *authn.Request, token secret.String) authn.Decision
}

// Caller is an API server that may ask. All fields but Audiences are required.
type Caller struct {
	// Name is the cluster's, for group rules and the log.
	Name string
	// Roots and AllowedNames say which client certificates are the caller's.
	Roots        *x509.CertPool
	AllowedNames []string
	// Decider judges by what is configured for this caller.
	Decider Decider
	// Audiences are the caller's API audiences, which count where a review names none (AUD-1). Without them audiences are
	// not looked at, and the answer names none: kube-apiserver then takes it for its own audiences alone (WH-4).
	Audiences []string

	slots *semaphore.Weighted
}

// State is what reviews are answered by. It is immutable: a reload makes a new one.
type State struct{ callers []*Caller }

// NewState returns a state for the callers. It refuses one that could answer nobody, or anybody.
func NewState(callers []Caller) (*State, error) {
	if len(callers) == 0 {
		return nil, errors.New("tokenreview: no callers")
	}
	s := &State{}
	for _, caller := range callers {
		if caller.Roots == nil || len(caller.AllowedNames) == 0 || caller.Decider == nil || caller.Name == "" {
			return nil, errors.New("tokenreview: caller " + caller.Name + " is not complete")
		}
		caller.slots = semaphore.NewWeighted(maxConcurrent)
		s.callers = append(s.callers, &caller)
	}
	return s, nil
}

// Server answers reviews. It is safe for concurrent use.
type Server struct {
	state atomic.Pointer[State]
	sink  accesslog.Sink
	users *memo.Memo[userKey, []byte]
}

// New returns a server that answers nobody until Use is called.
func New(sink accesslog.Sink) *Server {
	return &Server{sink: sink, users: memo.New[userKey, []byte]()}
}

// Use makes the server answer by state from the next review on; a nil state answers nobody. The state is the server's
// from then on. Callers that had their name before go on with their count of reviews under way. It must not be called
// concurrently with itself.
func (s *Server) Use(state *State) {
	if before := s.state.Load(); before != nil && state != nil {
		for _, caller := range state.callers {
			for _, known := range before.callers {
				if known.Name == caller.Name {
					caller.slots = known.slots
				}
			}
		}
	}
	s.state.Store(state)
}

// ServeHTTP answers one review.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	caller, err := s.caller(r, began)
	switch {
	case err != nil:
		w.Header().Set("Connection", "close") // over HTTP/2 too: nobody vouched for this client (attack 81)
		s.refuse(w, r, began, caller, http.StatusForbidden, err)
		return
	case r.URL.Path != Path:
		s.refuse(w, r, began, caller, http.StatusNotFound, errors.New("reviews are asked for at "+Path))
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		s.refuse(w, r, began, caller, http.StatusMethodNotAllowed, errors.New("reviews are asked for by POST"))
		return
	case !caller.slots.TryAcquire(1):
		w.Header().Set("Retry-After", "1")
		s.refuse(w, r, began, caller, http.StatusTooManyRequests, errors.New("too many reviews are under way"))
		return
	}
	defer caller.slots.Release(1)
	if r.ProtoMajor == 1 {
		// Over HTTP/2, pings find a caller that is gone, and a timer for each review would cost more than the review.
		control := http.NewResponseController(w)
		_, _ = control.SetReadDeadline(began.Add(reviewTimeout)), control.SetWriteDeadline(began.Add(reviewTimeout))
		defer func() { _, _ = control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{}) }()
	}
	review, status, err := read(w, r)
	if err != nil {
		s.refuse(w, r, began, caller, status, err)
		return
	}
	targets := review.Audiences
	if len(targets) == 0 || len(caller.Audiences) == 0 {
		targets = caller.Audiences
	}
	// There is no source, path or certificate to judge by: what depends on them refuses (TR-2).
	decision := caller.Decider.DecideToken(r.Context(), &authn.Request{
		Cluster: caller.Name, Audiences: targets, Now: began,
	}, review.Token)
	if locked, ok := errors.AsType[*authn.LockedError](decision.Cause); ok && !decision.Admitted() {
		// Not "no", which kube-apiserver would remember: the token was not looked at. It asks again by itself.
		w.Header().Set("Retry-After", "1")
		s.refuse(w, r, began, caller, http.StatusTooManyRequests, locked)
		return
	}
	if decision.Reason == authn.ReasonUnavailable {
		w.Header().Set("Retry-After", "1")
		s.refuse(w, r, began, caller, http.StatusServiceUnavailable, decision.Cause)
		return
	}
	s.answer(w, review.APIVersion, &decision)
	s.record(r, began, caller, &decision, http.StatusOK)
}

// verdict is what is remembered of a connection's certificate.
type verdict struct {
	by          *State
	caller      *Caller
	err         error
	from, until time.Time
}

// Errors of who asks.
var (
	errNoCertificate = errors.New("no client certificate was presented")
	errStranger      = errors.New("the client certificate is no caller's")
	errTwoCallers    = errors.New("the client certificate is that of more than one caller")
)

// caller tells who asks by the connection's certificate alone (G-28).
func (s *Server) caller(r *http.Request, now time.Time) (*Caller, error) {
	state := s.state.Load()
	if state == nil || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, errNoCertificate
	}
	conn := authn.ConnFrom(r.Context())
	if v, ok := conn.Verdict(authn.CallerSlot).(*verdict); ok && v.by == state && !now.Before(v.from) && !now.After(v.until) {
		return v.caller, v.err
	}
	v := state.identify(r.TLS.PeerCertificates, now)
	conn.SetVerdict(authn.CallerSlot, v)
	return v.caller, v.err
}

// identify looks for the one caller whose certificate was presented. One that two callers could have presented is
// nobody's: whoever stands first in the configuration must not be who is believed (attack 44).
func (s *State) identify(presented []*x509.Certificate, now time.Time) *verdict {
	var found *verdict
	errs := []error{errStranger}
	for _, caller := range s.callers {
		if !slices.Contains(caller.AllowedNames, presented[0].Subject.CommonName) {
			continue
		}
		verified, err := certchain.Verify(presented, caller.Roots, now)
		switch {
		case err != nil:
			errs = append(errs, err)
		case found != nil:
			return &verdict{by: s, err: errTwoCallers, from: now, until: now.Add(rejectionHolds)}
		default:
			found = &verdict{by: s, caller: caller, from: verified.From, until: verified.Until}
		}
	}
	if found != nil {
		return found
	}
	return &verdict{by: s, err: errors.Join(errs...), from: now, until: now.Add(rejectionHolds)}
}

// The reasons that this package itself gives.
const (
	reasonCaller    = "unknown_caller"
	reasonMalformed = "malformed"
	reasonBusy      = "too_many_requests"
)

// refuse answers what is no review at all, in a few words.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, began time.Time, caller *Caller, status int, cause error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(http.StatusText(status) + "\n"))
	reason := reasonMalformed
	switch status {
	case http.StatusForbidden:
		reason = reasonCaller
	case http.StatusTooManyRequests:
		reason = reasonBusy
		if locked, ok := errors.AsType[*authn.LockedError](cause); ok {
			reason = string(locked.RefusalReason())
		}
	}
	s.record(r, began, caller, &authn.Decision{Reason: authn.Reason(reason), Cause: cause}, status)
}

// record puts a review on record.
func (s *Server) record(r *http.Request, began time.Time, caller *Caller, d *authn.Decision, status int) {
	now := time.Now()
	event := accesslog.Event{
		Kind: accesslog.Review, Time: now, RequestID: uuid.NewString(), Method: r.Method, Mechanism: string(d.Mechanism),
		Verdict: accesslog.Deny, Reason: string(d.Reason), Cause: d.Cause, Status: status, Duration: now.Sub(began),
	}
	if address, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		event.Source = address.Addr().Unmap().String()
	}
	if caller != nil {
		event.Cluster = caller.Name
	}
	id := d.Identity
	if cred := d.Credential; cred != nil {
		event.CredentialID, event.CredentialIssuer = cred.ID.Value, cred.ID.Issuer
		if id == nil {
			id = &cred.Identity
		}
	}
	if d.Admitted() {
		event.Verdict = accesslog.Allow
	}
	if id != nil {
		event.User, event.UID, event.Groups = id.Username, id.UID, id.Groups
	}
	s.sink.Record(&event)
}

// userKey is what an encoded user depends on. Identities are shared, and never change.
type userKey struct{ identity *identity.Identity }

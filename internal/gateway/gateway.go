package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/balancer"
	"github.com/ostiary/ostiary/internal/frontproxy"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/impersonation"
	"github.com/ostiary/ostiary/internal/tokenrequest"
)

// Authenticator decides who a caller is and whether policy lets the credential count.
type Authenticator interface {
	Decide(ctx context.Context, r *authn.Request) authn.Decision
	// Readmit judges a credential anew that it has let in, and returns the identity as it would be now.
	Readmit(ctx context.Context, r *authn.Request, cred *authn.Credential) (*identity.Identity, error)
}

// State is what the gate decides by. It is immutable: a reload makes a new one, which takes effect with the next
// request.
type State struct {
	// Balancers are those in front whose word counts; nil believes nobody.
	Balancers *balancer.Balancers
	// Stripper knows the headers that speak of identities; nil knows the standard ones.
	Stripper *frontproxy.Stripper
	// TokenRequests bounds the ServiceAccount tokens that are requested through the gate. Nil leaves them alone.
	TokenRequests *tokenrequest.Limiter
	// Clusters has at least one; the first serves "/".
	Clusters []*Cluster
}

// Config is what a Gate is made of.
type Config struct {
	State *State
	// Sink takes the decisions. Required.
	Sink accesslog.Sink
	// Logger takes what operators should know of the gate itself. Required.
	Logger *slog.Logger
	// Instrument wraps what sends requests to clusters, to trace them; nil wraps nothing. What it adds to a request
	// is subject to everything that the gate does to the client's own headers.
	Instrument func(http.RoundTripper) http.RoundTripper
	// Local answers requests for the gate's own API, after authentication; it returns false for all others. May be nil.
	Local Local
	// Front answers requests below /.ostiary/, before authentication. May be nil.
	Front Front
	// Recorder is told of tokens that were issued through the gate. May be nil.
	Recorder Recorder
	// Brake holds up strangers who are not let in. May be nil.
	Brake *Brake
}

// Local is the gate's own API.
type Local interface {
	ServeLocal(w http.ResponseWriter, r *http.Request, caller Caller) (served bool)
}

// Caller is an authenticated caller, of the gate's own API or of another's.
type Caller struct {
	Identity   *identity.Identity
	Credential *authn.Credential
	Cluster    *Cluster
	// Path is the decoded path as the cluster would see it.
	Path string
	// Source is the caller's address.
	Source string
	// Open makes a stream of the request: the context ends when the stream is cut. An error means that the caller may not
	// have it. Set for the gate's own API.
	Open func() (context.Context, error)
}

// Gate is the data path. It is safe for concurrent use.
type Gate struct {
	state     atomic.Pointer[State]
	sink      accesslog.Sink
	local     Local
	front     Front
	recorder  Recorder
	brake     *Brake
	logger    *slog.Logger
	requests  request.RequestInfoResolver
	responder *responder
	proxy     *httputil.ReverseProxy
	streams   streams
}

// New returns a gate that decides by config.State until Use is called.
func New(config Config) (*Gate, error) {
	if config.Sink == nil || config.Logger == nil {
		return nil, errors.New("gateway: sink and logger are required")
	}
	g := &Gate{
		sink: config.Sink, local: config.Local, front: config.Front, recorder: config.Recorder, brake: config.Brake, logger: config.Logger, responder: newResponder(),
		requests: &request.RequestInfoFactory{
			APIPrefixes:          sets.NewString("api", "apis"),
			GrouplessAPIPrefixes: sets.NewString("api"),
		},
	}
	g.proxy = newProxy(g, config.Logger)
	if config.Instrument != nil {
		g.proxy.Transport = config.Instrument(g.proxy.Transport)
	}
	return g, g.Use(config.State)
}

// Use makes the gate decide by state from the next request on. It refuses a state that could not decide anything.
func (g *Gate) Use(state *State) error {
	if state == nil || len(state.Clusters) == 0 {
		return errors.New("gateway: a state needs a cluster")
	}
	for _, cluster := range state.Clusters {
		if cluster.Authenticator == nil || cluster.HTTP1 == nil || cluster.HTTP2 == nil || cluster.Assert == nil || cluster.Server == nil {
			return errors.New("gateway: cluster " + cluster.Name + " is not complete")
		}
	}
	g.state.Store(state)
	return nil
}

// ServeHTTP is the story of one request.
func (g *Gate) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	state := g.state.Load()
	x := &exchange{id: uuid.NewString(), began: time.Now()}
	w := &writer{ResponseWriter: out, closing: endIsDoubtful(r)}

	// Admit: nothing with two readings gets any further, and no identity header of the client's survives.
	if err := g.admit(x, r, state); err != nil {
		g.deny(w, r, x, reasonMalformed, err, err)
		return
	}

	// Sign in: who comes for a credential has none to show yet.
	if g.serveFront(w, r, x) {
		return
	}

	// Authenticate: who is it, and does policy let the credential count?
	entrance := x.target.entrance(state.Clusters)
	x.asked = &authn.Request{
		Certificates: x.peer.Certificates, Relayed: x.peer.Relayed, Conn: authn.ConnFrom(r.Context()), Header: r.Header, Asserted: x.asserted, Path: x.target.url.Path,
		Source: x.peer.Source, Cluster: x.clusterName(), Audiences: entrance.Audiences, Now: x.began,
	}
	x.decision = entrance.Authenticator.Decide(r.Context(), x.asked)
	authn.StripTokens(r.Header)
	x.asked.Header = nil // what is judged again later has no token
	w.warnings = x.decision.Warnings
	if !x.decision.Admitted() {
		if x.decision.Reason != authn.ReasonUnavailable {
			g.brake.hold(r.Context(), x.peer.Source)
		}
		public := shutOut(x.decision.Reason)
		if locked, ok := errors.AsType[*authn.LockedError](x.decision.Cause); ok {
			public = heldBack(locked, x.source)
			// Where kubectl asks what there is, it shows its own words instead of the answer's; warnings it always shows.
			w.warnings = append(w.warnings, public.ErrStatus.Message)
		}
		g.deny(w, r, x, string(x.decision.Reason), public, x.decision.Cause)
		return
	}
	w.closing = w.closing || r.ProtoMajor > 1 && x.decision.Identity.IsAnonymous()
	if x.target.cluster == nil {
		g.deny(w, r, x, reasonNoCluster, unknownCluster(), nil)
		return
	}

	// Confine: may this credential be used for this at all, whatever the cluster would allow?
	if err := x.target.cluster.confine(r, x); err != nil {
		g.deny(w, r, x, refusalReason(err), confined(), err)
		return
	}
	if g.serveLocal(w, r, x) {
		return
	}

	// Act: as oneself, or as somebody else where the caller asks for it and may.
	acting, err := g.impersonate(r, x)
	if err != nil {
		g.deny(w, r, x, reasonImpersonation, err, err)
		return
	}
	x.acting = acting

	// Shorten: no token is requested here that lives longer than is allowed.
	if err := g.limitToken(w, r, x, state.TokenRequests); err != nil {
		g.deny(w, r, x, reasonMalformed, err, err)
		return
	}

	// Forward.
	g.forward(w, r, x)
}

// admit settles where the request goes, refuses what has two readings, and strips every identity header.
func (g *Gate) admit(x *exchange, r *http.Request, state *State) error {
	direct := sourceOf(r)
	x.source = direct.String()
	target, err := route(r, state.Clusters)
	if err != nil {
		return malformed(err)
	}
	x.target = target
	x.asserted = state.Stripper.Take(r.Header)
	if x.peer, err = state.Balancers.Settle(r, direct, x.began); err != nil {
		return malformed(err)
	}
	x.source = x.peer.Source.String()
	if x.upgrade, err = screen(r); err != nil {
		return malformed(err)
	}
	if err := impersonation.Screen(r.Header); err != nil {
		return err
	}
	view := *r
	view.URL = &x.target.url
	if x.info, err = g.requests.NewRequestInfo(&view); err != nil {
		return malformed(err)
	}
	return nil
}

// impersonate returns the identity that goes on. In requestHeader mode that is always the caller's: the API server
// judges the Impersonate-* headers, which go on untouched (GW-6).
func (g *Gate) impersonate(r *http.Request, x *exchange) (*identity.Identity, error) {
	judge := x.target.cluster.Impersonator
	if judge == nil {
		return x.decision.Identity, nil
	}
	view := r.WithContext(request.WithRequestInfo(r.Context(), x.info))
	return judge.Check(view, x.decision.Identity)
}

// forward sends the request on, and records it: once if it is answered at once, at its start and its end otherwise.
func (g *Gate) forward(w *writer, r *http.Request, x *exchange) {
	ctx := r.Context()
	kind := accesslog.Request
	if x.upgrade != "" || isLongRunning(x.info) {
		kind = accesslog.StreamEnd
		opened, end, err := g.open(ctx, w, r, x, false)
		defer end()
		if err != nil {
			g.deny(w, r, x, refusalReason(err), shutOut(authn.Reason(refusalReason(err))), err)
			return
		}
		ctx = opened
	}
	g.judgeBody(r, x)
	defer func() {
		// The proxy panics when an answer breaks off, which net/http hands on to the client; the record must not call that
		// a success.
		panicked := recover()
		if panicked != nil {
			x.failure = errors.Join(x.failure, errBrokenOff)
			defer panic(panicked)
		}
		verdict, reason := accesslog.Allow, string(x.decision.Reason)
		if x.failure != nil {
			verdict, reason = accesslog.Fault, failureReason(ctx, x)
		}
		if end := x.stream.wasCut(); end != nil {
			reason = endReason(end.cause)
			x.failure = errors.Join(end.cause, x.failure)
		}
		g.record(r, x, kind, verdict, reason, x.failure, w.status)
	}()
	g.proxy.ServeHTTP(w, r.WithContext(withExchange(ctx, x)))
}

// open registers a request as a stream, so that it can be cut, and judges its caller once more now that it can: a change
// between the first time and the registration reached neither. The stream's context ends when it is cut; end forgets it.
// local says that the gate answers it itself.
func (g *Gate) open(ctx context.Context, w *writer, r *http.Request, x *exchange, local bool) (opened context.Context, end func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	x.stream = newStream(x, cancel)
	x.stream.local = local
	w.stream = x.stream
	g.streams.add(x.stream)
	end = func() {
		g.streams.remove(x.stream)
		cancel(nil)
	}
	if err := x.stream.readmit(ctx, g.state.Load(), time.Now(), false); err != nil {
		return nil, end, err
	}
	g.record(r, x, accesslog.StreamStart, accesslog.Allow, string(x.decision.Reason), nil, 0)
	return ctx, end, nil
}

// localPrefix is what the paths of the gate's own API begin with.
const localPrefix = "/apis/" + adminapi.Group + "/"

// serveLocal answers a request for the gate's own API, and records it.
func (g *Gate) serveLocal(w *writer, r *http.Request, x *exchange) bool {
	if g.local == nil || !strings.HasPrefix(x.target.url.Path, localPrefix) {
		return false
	}
	caller := x.caller()
	ends := func() {}
	defer func() { ends() }()
	caller.Open = func() (context.Context, error) {
		ctx, end, err := g.open(r.Context(), w, r, x, true)
		ends = end
		return ctx, err
	}
	if !g.local.ServeLocal(w, r, caller) {
		return false
	}
	kind, reason := accesslog.Request, string(authn.ReasonAccepted)
	if x.stream != nil {
		kind = accesslog.StreamEnd
	}
	if end := x.stream.wasCut(); end != nil {
		reason = endReason(end.cause)
	}
	g.record(r, x, kind, accesslog.Allow, reason, nil, w.status)
	return true
}

// errBrokenOff is recorded of an answer that ended before it was whole.
var errBrokenOff = errors.New("the answer broke off")

// deny refuses the request: public is what the client is told, cause what the log says.
func (g *Gate) deny(w *writer, r *http.Request, x *exchange, reason string, public, cause error) {
	g.responder.refuse(w, r, x, public)
	g.record(r, x, accesslog.Request, accesslog.Deny, reason, cause, w.status)
}

// record puts an event on record.
func (g *Gate) record(r *http.Request, x *exchange, kind accesslog.Kind, verdict accesslog.Verdict, reason string, cause error, status int) {
	event := accesslog.Event{
		Kind: kind, Time: time.Now(), Verdict: verdict, Reason: reason, Cause: cause,
		Status: status, UpstreamStatus: x.upstreamStatus,
	}
	event.Duration = event.Time.Sub(x.began)
	x.describe(&event, r)
	g.sink.Record(&event)
}

// clusterName is the name of the cluster that the request is for; empty when there is none of that name.
func (x *exchange) clusterName() string {
	if x.target.cluster == nil {
		return ""
	}
	return x.target.cluster.Name
}

// sourceOf is the address of the connection's other end. No header can change it.
func sourceOf(r *http.Request) netip.Addr {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap()
}

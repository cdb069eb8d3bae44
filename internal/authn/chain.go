package authn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

// Reason says why a decision fell as it did. It is a closed list, used in logs and metrics; policy adds its own.
type Reason string

// The reasons that the chain itself gives.
const (
	ReasonAccepted     Reason = "accepted"
	ReasonNoCredential Reason = "no_credential" // nothing presented, and anonymous access is not given
	ReasonRejected     Reason = "rejected"      // presented and bad
	ReasonFailed       Reason = "failed"        // presented, and could not be judged
	ReasonAudience     Reason = "audience"      // good, but for somebody else (AUD-6)
	ReasonForbidden    Reason = "forbidden"     // recognised, and forbidden by the mechanism's own policy
	// ReasonUnavailable is an Admitter's: it cannot judge just now, and asking again in a second may help.
	ReasonUnavailable Reason = "ledger_unavailable"
)

// Decision is the outcome of a whole chain. The zero value refuses.
type Decision struct {
	// Identity is who the caller is after policy, nil when the request is refused. It is shared: never change it.
	Identity *identity.Identity
	// Credential is the accepted credential, also when policy then refused it. Nil when none was accepted.
	Credential *Credential
	// Mechanism is the one that accepted, or the last one that rejected; empty when nothing was presented.
	Mechanism identity.Mechanism
	Reason    Reason
	// Cause is for the log only.
	Cause error
	// Warnings are for the client, as Warning headers, whatever the outcome (BEAR-4).
	Warnings []string
	// Audiences are the response audiences (AUD-2); nil where the credential knows none.
	Audiences []string
}

// Admitted reports whether the caller may go on.
func (d *Decision) Admitted() bool { return d.Identity != nil }

// Admitter judges a verified credential before it counts: networks, lifetimes, reserved names, group rules. It returns
// the identity that goes on; an error ends the request.
type Admitter interface {
	Admit(r *Request, cred *Credential) (*identity.Identity, error)
}

// Refusal is what an Admitter's error may be to name its own reason; other errors count as ReasonRejected.
type Refusal interface {
	error
	RefusalReason() Reason
}

// RequestStep is one mechanism that reads the whole request.
type RequestStep struct {
	Name      identity.Mechanism
	Mechanism Mechanism
	// AudienceAgnostic mechanisms are good for the API audiences only (AUD-2).
	AudienceAgnostic bool
}

// TokenStep is one mechanism that reads a bearer token.
type TokenStep struct {
	Name             identity.Mechanism
	Mechanism        TokenMechanism
	AudienceAgnostic bool
}

// Config is what a Chain is made of. Order is behaviour: steps are asked as they stand here.
type Config struct {
	// Requests are asked first: authenticating proxy, then client certificate.
	Requests []RequestStep
	// Tokens are asked for each token that the request carries, in Authorization first, then as a WebSocket
	// subprotocol.
	Tokens []TokenStep
	// Anonymous is asked when nothing was presented; nil means that such requests are refused.
	Anonymous Mechanism
	// Audiences are the API audiences (AUD-1).
	Audiences []string
	// Admitter is required.
	Admitter Admitter
	// Guard holds back who guesses tokens. Required where there are Tokens; Unguarded is the one that does nothing.
	Guard Guard
}

// Chain asks the mechanisms in order. It is immutable and safe for concurrent use.
type Chain struct{ config Config }

// New returns a chain. It refuses a nil Admitter and nil mechanisms, so that a wiring mistake cannot let anyone in.
func New(config Config) (*Chain, error) {
	if config.Admitter == nil {
		return nil, errors.New("authn: a chain needs an admitter")
	}
	for _, step := range config.Requests {
		if step.Mechanism == nil || step.Name == "" {
			return nil, fmt.Errorf("authn: step %q has no mechanism or no name", step.Name)
		}
	}
	for _, step := range config.Tokens {
		if step.Mechanism == nil || step.Name == "" {
			return nil, fmt.Errorf("authn: step %q has no mechanism or no name", step.Name)
		}
	}
	if len(config.Tokens) > 0 && config.Guard == nil {
		return nil, errNoGuard
	}
	if config.Guard == nil {
		config.Guard = Unguarded() // every token is refused
	}
	return &Chain{config: config}, nil
}

// Decide asks the mechanisms and then policy. It never returns an admitted decision together with an error.
func (c *Chain) Decide(ctx context.Context, r *Request) Decision {
	var d Decision
	token, warning := bearerToken(r.Header)
	if warning != "" {
		// Whoever wins: kube-apiserver reads the header first of all, for its own loopback token.
		d.Warnings = append(d.Warnings, warning)
	}
	for i := range c.config.Requests {
		step := &c.config.Requests[i]
		audiences, ok := c.audiences(r, step.AudienceAgnostic)
		if !ok {
			continue
		}
		if c.settle(r, &d, step.Name, audiences, step.Mechanism.Authenticate(ctx, r)) {
			return d
		}
	}
	// The Authorization header first, then the WebSocket subprotocol.
	if !token.IsEmpty() && c.tokens(ctx, r, &d, token) || c.webSocket(ctx, r, &d) {
		return d
	}
	if d.Cause != nil { // CHAIN-3: a bad credential never falls through to anonymous.
		return d
	}
	if c.config.Anonymous != nil && c.settle(r, &d, identity.AnonymousAccess, r.Audiences, c.config.Anonymous.Authenticate(ctx, r)) {
		return d
	}
	if d.Reason == "" {
		d.Reason, d.Cause = ReasonNoCredential, ErrNoCredential
	}
	return d
}

// DecideToken asks the token mechanisms about a bare token, as a TokenReview brings one, and then policy. The token is
// judged exactly as it is: who asks has taken it out of a header already. One that is empty or blank is no credential, as
// anonymous access is not for others to hand out (TR-3).
func (c *Chain) DecideToken(ctx context.Context, r *Request, token secret.String) Decision {
	var d Decision
	if strings.TrimSpace(token.Reveal()) == "" {
		d.Reason, d.Cause = ReasonNoCredential, ErrNoCredential
		return d
	}
	c.tokens(ctx, r, &d, token)
	return d
}

// Readmit judges a credential anew that an open stream was let in with: by policy and, where it came with the connection's
// certificate, by the mechanism. Tokens are not kept, so that they cannot be asked about again. It returns the
// identity as it would go on now, or why the stream may not. A mechanism that knows its tokens without seeing them again is
// asked about them, too (TokenReadmitter).
func (c *Chain) Readmit(ctx context.Context, r *Request, cred *Credential) (*identity.Identity, error) {
	for i := range c.config.Requests {
		step := &c.config.Requests[i]
		if step.Name != cred.Mechanism {
			continue
		}
		answer := step.Mechanism.Authenticate(ctx, r)
		if answer.Outcome != Accepted || answer.Credential == nil || answer.Credential.ID != cred.ID {
			return nil, errors.Join(ErrNoLonger, answer.Cause)
		}
	}
	for i := range c.config.Tokens {
		step := &c.config.Tokens[i]
		if again, ok := step.Mechanism.(TokenReadmitter); ok && step.Name == cred.Mechanism {
			if err := again.Readmit(ctx, r, cred); err != nil {
				return nil, errors.Join(ErrNoLonger, err)
			}
		}
	}
	return c.config.Admitter.Admit(r, cred)
}

// ErrNoLonger ends a stream whose credential its mechanism does not accept any more.
var ErrNoLonger = errors.New("the credential is not accepted any more")

// Causes that the chain itself gives.
var (
	ErrNoCredential = errors.New("no credential was presented, and anonymous access is not given")
	ErrInvalidToken = errors.New("no mechanism knows the bearer token")
	ErrAudience     = errors.New("the credential is for another audience")
)

// webSocket offers the token of a WebSocket subprotocol to the token mechanisms (WS-1 to WS-6).
func (c *Chain) webSocket(ctx context.Context, r *Request, d *Decision) (done bool) {
	token, err := webSocketToken(r.Header)
	switch {
	case err != nil:
		d.reject("", Reject(err))
		return false
	case token.IsEmpty():
		return false
	default:
		return c.tokens(ctx, r, d, token)
	}
}

// tokens has a token judged unless its sender guessed too much.
func (c *Chain) tokens(ctx context.Context, r *Request, d *Decision, token secret.String) (done bool) {
	attempt, err := c.config.Guard.Enter(ctx, r, token)
	if err != nil {
		d.Reason, d.Cause = ReasonLockedOut, err
		if refusal, ok := errors.AsType[Refusal](err); ok {
			d.Reason = refusal.RefusalReason()
		}
		return true
	}
	// Also when a mechanism panics: what was reserved must not stay so.
	defer func() {
		c.config.Guard.Leave(r, token, attempt, Ending{
			Credential: d.Credential, Known: d.Reason == ReasonForbidden, Unjudged: d.Reason == ReasonFailed,
		})
	}()
	if attempt.Stranger {
		strange := *r
		strange.Stranger = true
		return c.judge(ctx, &strange, d, token)
	}
	return c.judge(ctx, r, d, token)
}

// judge asks every token mechanism; a token that nobody accepts is a rejection even where all passed (BEAR-6).
func (c *Chain) judge(ctx context.Context, r *Request, d *Decision, token secret.String) (done bool) {
	rejected := d.Cause
	for i := range c.config.Tokens {
		step := &c.config.Tokens[i]
		audiences, ok := c.audiences(r, step.AudienceAgnostic)
		if !ok {
			continue
		}
		if c.settle(r, d, step.Name, audiences, step.Mechanism.AuthenticateToken(ctx, r, token)) {
			return true
		}
	}
	if d.Cause == rejected { //nolint:errorlint // the same error value means that nothing was added to it
		d.reject("", Reject(ErrInvalidToken))
	}
	return false
}

// audiences gives the response audiences of a step, and whether it may be asked at all (AUD-2).
func (c *Chain) audiences(r *Request, agnostic bool) (audiences []string, ask bool) {
	if !agnostic || len(r.Audiences) == 0 {
		return nil, true
	}
	common := intersect(r.Audiences, c.config.Audiences)
	return common, len(common) > 0
}

// settle takes one answer into the decision and reports whether that ends the search.
func (c *Chain) settle(r *Request, d *Decision, name identity.Mechanism, audiences []string, answer Answer) (done bool) {
	switch {
	case answer.Outcome == NoCredential:
		return false
	case answer.Outcome != Accepted || answer.Credential == nil:
		d.reject(name, answer)
		return answer.Final
	}
	cred := answer.Credential
	d.Credential, d.Mechanism = cred, cred.Mechanism
	d.Audiences = audiences
	if audiences == nil {
		d.Audiences = cred.Audiences
	}
	if len(c.config.Audiences) > 0 && len(d.Audiences) > 0 && name != identity.AnonymousAccess &&
		len(r.Audiences) > 0 && len(intersect(r.Audiences, d.Audiences)) == 0 {
		d.Reason, d.Cause = ReasonAudience, ErrAudience
		return true
	}
	r.Accepted = ReasonAccepted
	id, err := c.config.Admitter.Admit(r, cred)
	if err != nil || id == nil {
		d.Reason, d.Cause = ReasonRejected, err
		if refusal, ok := errors.AsType[Refusal](err); ok {
			d.Reason = refusal.RefusalReason()
		}
		return true
	}
	// CHAIN-1: what earlier mechanisms rejected no longer matters.
	d.Identity, d.Reason, d.Cause = id, r.Accepted, nil
	return true
}

// reject remembers a rejection; causes accumulate, for the log.
func (d *Decision) reject(name identity.Mechanism, answer Answer) {
	cause := answer.Cause
	if cause == nil {
		cause = errors.New("rejected without a reason")
	}
	if name != "" {
		d.Mechanism = name
		cause = fmt.Errorf("%s: %w", name, cause)
	}
	d.Cause = errors.Join(d.Cause, cause)
	if answer.Failed || d.Reason == ReasonFailed {
		d.Reason = ReasonFailed
		return
	}
	if answer.Final {
		d.Reason = ReasonForbidden
		return
	}
	d.Reason = ReasonRejected
}

// intersect keeps the entries of target that are also in other, in target's order (AUD-3). It returns target itself
// when nothing falls out, so that the usual case allocates nothing.
func intersect(target, other []string) []string {
	for i, audience := range target {
		if slices.Contains(other, audience) {
			continue
		}
		common := slices.Clone(target[:i])
		for _, audience := range target[i+1:] {
			if slices.Contains(other, audience) {
				common = append(common, audience)
			}
		}
		return common
	}
	return target
}

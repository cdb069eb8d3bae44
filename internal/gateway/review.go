package gateway

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

// Errors that end a stream, or a request that is still being sent, beside those of the chain.
var (
	errChanged    = errors.New("the identity is another by now")
	errUnserved   = errors.New("the cluster is not served any more")
	errStandsOpen = errors.New("gateway: a stream without a credential") // New wires none
)

const (
	// wakeAtOnce of the streams that were cut end at a time, and more of them each wakeEvery: thousands that end in one moment
	// would keep the processors from what tells others that they are cut.
	wakeAtOnce = 64
	wakeEvery  = 5 * time.Millisecond
)

// Review judges every open stream anew, as a new request of its caller would be, and cuts those that may not go on. It
// hands on why each fell, and returns when the last one was cut: nothing goes through it from then on. Their clients learn of it
// at once, or some at a time where they are many. Who else changes what streams are judged by calls it after the change.
func (g *Gate) Review(ctx context.Context, fell func(cause error)) {
	state, now := g.state.Load(), time.Now()
	var cut []*stream
	g.streams.each(func(one *stream) {
		if one.wasCut() != nil {
			return
		}
		err := one.readmit(ctx, state, now, true)
		if err == nil || !one.end(refusedText(err), err) {
			return
		}
		fell(err)
		if one.local {
			one.wake() // nothing stands in the way of its bytes
			return
		}
		cut = append(cut, one)
	})
	first := cut[:min(len(cut), wakeAtOnce)]
	for _, one := range first {
		one.wake()
	}
	if rest := cut[len(first):]; len(rest) > 0 {
		go wake(rest)
	}
}

// wake wakes streams, some at a time.
func wake(cut []*stream) {
	ticker := time.NewTicker(wakeEvery)
	defer ticker.Stop()
	for some := range slices.Chunk(cut, wakeAtOnce) {
		<-ticker.C
		for _, one := range some {
			one.wake()
		}
	}
}

// readmit judges the caller of a stream by state. Whoever would come in as somebody else must come in anew.
func (s *stream) readmit(ctx context.Context, state *State, now time.Time, open bool) error {
	if s.asked == nil || s.credential == nil {
		return errStandsOpen
	}
	asked := *s.asked
	asked.Now, asked.Open = now, open
	admitted, err := readmit(ctx, state, s.cluster, &asked, s.credential)
	if err != nil {
		return err
	}
	if admitted == s.admitted.Load() {
		return nil
	}
	if !same(admitted, s.admitted.Load()) {
		return errChanged
	}
	s.admitted.Store(admitted)
	return nil
}

// readmit asks the cluster's present chain.
func readmit(ctx context.Context, state *State, cluster string, asked *authn.Request, cred *authn.Credential) (*identity.Identity, error) {
	for _, one := range state.Clusters {
		if one.Name == cluster {
			return one.Authenticator.Readmit(ctx, asked, cred)
		}
	}
	return nil, errUnserved
}

// same reports whether two identities say the same to a cluster.
func same(a, b *identity.Identity) bool {
	return a.Username == b.Username && a.UID == b.UID && slices.Equal(a.Groups, b.Groups) &&
		maps.EqualFunc(a.Extra, b.Extra, slices.Equal[[]string])
}

// refusedText is what the client of a stream is told that may not go on. Like every refusal it says no more than the
// client needs to know what to do.
func refusedText(cause error) string {
	refusal, ok := errors.AsType[authn.Refusal](cause)
	switch {
	case errors.Is(cause, errChanged):
		return "the groups or other attributes of this identity changed; please connect again"
	case errors.Is(cause, errUnserved):
		return "this gate does not serve the cluster any more"
	case ok && refusal.RefusalReason() == authn.ReasonUnavailable:
		return "the gate cannot tell whether the credential is still good; please try again"
	default:
		return "the credential is not accepted any more: it expired, was revoked or is no longer allowed; sign in again"
	}
}

// endReason is a cut stream's reason in the record.
func endReason(cause error) string {
	if _, ok := errors.AsType[authn.Refusal](cause); ok {
		return refusalReason(cause)
	}
	return reasonCut
}

// judgedBody is the body of a request that was let in, and is judged anew with every piece that arrives: a request that
// dawdles must not bring to its end what its caller may not do any more.
type judgedBody struct {
	io.ReadCloser
	judge func() error
	// refused is set for whoever answers; the transport reads in a goroutine of its own.
	refused *atomic.Pointer[error]
}

// Read implements io.Reader.
func (b *judgedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if refused := b.judge(); refused != nil {
		b.refused.Store(&refused)
		return 0, refused
	}
	return n, err
}

// judgeBody puts a judge in the way of the request's body, if it has one.
func (g *Gate) judgeBody(r *http.Request, x *exchange) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 || x.stream != nil {
		return
	}
	ctx := r.Context()
	r.Body = &judgedBody{ReadCloser: r.Body, refused: &x.refused, judge: func() error {
		asked := *x.asked
		asked.Now = time.Now()
		_, err := readmit(ctx, g.state.Load(), x.target.cluster.Name, &asked, x.decision.Credential)
		return err
	}}
}

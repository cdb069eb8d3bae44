package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"
)

const (
	// failuresToOpen is how many questions must fail in a row, for technical reasons, before the service is left alone.
	failuresToOpen = 5
	// openFor is how long it is left alone then, before one question tries again: short, as everybody whom the service
	// knows is shut out meanwhile.
	openFor = 5 * time.Second
	// maxAnswerBytes bounds an answer: a user in ten thousand groups has less.
	maxAnswerBytes = 1 << 20
)

// Errors of the guard. The client's cause in the log holds them.
var (
	errBusy     = errors.New("too many questions to the webhook are under way")
	errOpen     = errors.New("the webhook failed repeatedly and is left alone for a moment")
	errRedirect = errors.New("the webhook answers with a redirect, which would take the token elsewhere")
	errTooLarge = fmt.Errorf("the webhook's answer is longer than %d bytes", maxAnswerBytes)
)

// guard bounds what a service can do to the gate. It is safe for concurrent use.
type guard struct {
	slots   *semaphore.Weighted // nil: no bound
	breaker *gobreaker.CircuitBreaker[*http.Response]
	next    http.RoundTripper
}

// newGuard returns a guard; without a bound on concurrency it has no breaker either.
func newGuard(concurrent int) *guard {
	g := &guard{}
	if concurrent == 0 {
		return g
	}
	g.slots = semaphore.NewWeighted(int64(concurrent))
	g.breaker = gobreaker.NewCircuitBreaker[*http.Response](gobreaker.Settings{ //nolint:bodyclose // answers are the client's to close
		Name: "webhook", MaxRequests: 1, Timeout: openFor,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= failuresToOpen },
	})
	return g
}

// wrap puts the guard in front of the client's transport.
func (g *guard) wrap(next http.RoundTripper) http.RoundTripper {
	own := *g
	own.next = next
	g.next = next
	return &own
}

// close lets go of idle connections.
func (g *guard) close() {
	if closer, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// errStatus makes the breaker count an answer that is a failure; the client sees the answer itself.
var errStatus = errors.New("the webhook failed")

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if g.slots == nil {
		return g.send(r)
	}
	if !g.slots.TryAcquire(1) {
		return nil, errBusy
	}
	defer g.slots.Release(1)
	response, err := g.breaker.Execute(func() (*http.Response, error) {
		response, err := g.send(r)
		if err == nil && response.StatusCode >= http.StatusInternalServerError {
			return response, errStatus
		}
		return response, err
	})
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return nil, errOpen
	case errors.Is(err, errStatus):
		return response, nil
	default:
		return response, err
	}
}

// answeredKey is the context key of whether the service answered, which Kubernetes' client does not tell.
type answeredKey struct{}

// withAnswered returns a context in which the guard notes that the last question was answered.
func withAnswered(ctx context.Context) (context.Context, *atomic.Bool) {
	answered := new(atomic.Bool)
	return context.WithValue(ctx, answeredKey{}, answered), answered
}

// send sends one request and bounds its answer.
func (g *guard) send(r *http.Request) (*http.Response, error) {
	response, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusMultipleChoices && response.StatusCode < http.StatusBadRequest {
		_ = response.Body.Close()
		return nil, errRedirect
	}
	if answered, ok := r.Context().Value(answeredKey{}).(*atomic.Bool); ok {
		answered.Store(response.StatusCode < http.StatusMultipleChoices)
	}
	if response.StatusCode >= http.StatusBadRequest {
		// Kubernetes' client logs what a failing service says, which may be the token that it was asked about.
		_ = response.Body.Close()
		response.Body = http.NoBody
		response.ContentLength = 0
		return response, nil
	}
	response.Body = &bounded{ReadCloser: response.Body, left: maxAnswerBytes}
	return response, nil
}

// bounded is an answer that must end.
type bounded struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

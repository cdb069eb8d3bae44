package gateway

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/frontproxy"
	"github.com/ostiary/ostiary/internal/identityheader"
)

// copyBufferBytes is the size of the buffers that carry answers, the one httputil uses itself; keeping them saves an
// allocation of this size for each request.
const copyBufferBytes = 32 << 10

// flushInterval is the longest that bytes of an ordinary answer wait for more to come. Streams do not wait at all.
const flushInterval = 20 * time.Millisecond

// newProxy returns the part that carries requests whose identity is settled. Nothing in it can fail in a way that lets
// a request through: Rewrite only copies, and identities are asserted by the transport.
func newProxy(g *Gate, logger *slog.Logger) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		FlushInterval:  flushInterval,
		Transport:      carrier{},
		BufferPool:     &buffers{pool: sync.Pool{New: func() any { return new([copyBufferBytes]byte) }}},
		ModifyResponse: observe,
		ErrorHandler:   g.unreachable,
		ErrorLog:       log.New(proxyLog{logger}, "", 0),
	}
}

// rewrite points the request at its cluster. The path and query go on as the client sent them.
func rewrite(p *httputil.ProxyRequest) {
	x := exchangeFrom(p.In.Context())
	server := x.target.cluster.Server
	url := x.target.url
	url.Scheme, url.Host = server.Scheme, server.Host
	p.Out.URL, p.Out.Host = &url, ""
	p.Out.Trailer = nil // trailers could carry what headers may not, and the Kubernetes API has none
	p.Out.Header.Set("X-Forwarded-For", x.source)
	p.Out.Header.Set("Audit-Id", x.id)
}

// errNoIdentity refuses to send a request that nobody was authenticated for: an API server would take it as the gate's
// own.
var errNoIdentity = errors.New("gateway: a request without an identity reached the wire")

// errWithheld keeps an issued token from the caller.
var errWithheld = errors.New("gateway: the issued token is withheld")

// carrier sends a request to its cluster. It is the last step before the wire: whatever identity headers are on the
// request by then are removed, and those of the settled identity are set. Hop-by-hop headers are gone already, so none
// of ours can be named away by a Connection header.
//
// Anonymous callers share no HTTP/2 connection with others: the API server ends it after the answer to one of theirs
// (RESP-7), and what others have under way on it would fail.
type carrier struct{}

// RoundTrip implements http.RoundTripper.
func (carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	x := exchangeFrom(r.Context())
	if x == nil || x.acting == nil || x.acting.Username == "" || x.target.cluster == nil {
		return nil, errNoIdentity
	}
	cluster := x.target.cluster
	frontproxy.Strip(r.Header)
	authn.StripTokens(r.Header)
	if err := cluster.Assert(r.Header, x.acting); err != nil {
		return nil, err
	}
	if x.upgrade != "" || x.acting.IsAnonymous() || x.stream == nil && r.Body == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		return cluster.HTTP1.RoundTrip(r)
	}
	return cluster.HTTP2.RoundTrip(r)
}

// observe notes the API server's answer, and puts the gate in the way of a stream's bytes so that it can be ended.
func observe(response *http.Response) error {
	x := exchangeFrom(response.Request.Context())
	x.upstreamStatus = response.StatusCode
	if x.limiter != nil {
		if err := x.noteIssued(response); err != nil {
			return err
		}
	}
	if x.stream == nil {
		if response.ContentLength < 0 {
			// The proxy would flush after every piece and start a goroutine to flush the headers. An answer that is no
			// stream is written as a whole; should it dawdle all the same, flushInterval sees to it. The header that the
			// client sees is another field, and stays.
			response.ContentLength = 0
		}
		return nil
	}
	between := body{ReadCloser: response.Body, stream: x.stream, farewell: farewellFor(response, x.stream.watch, x.info.Subresource == "log", x.upgrade)}
	if response.StatusCode != http.StatusSwitchingProtocols {
		response.Body = &between
		return nil
	}
	backend, ok := response.Body.(io.ReadWriteCloser)
	if !ok {
		return errors.New("gateway: the API server switched protocols on a connection that cannot be written to")
	}
	response.Body = &tunnel{body: between, backend: backend}
	return nil
}

// unreachable answers when the API server could not be asked, or the client did not wait for it. It answers in any case:
// a client that only closed its sending side counts as gone, still reads, and would be told 200 if nothing was written.
func (g *Gate) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeFrom(r.Context())
	x.failure = err
	out, ok := w.(*writer)
	if !ok {
		return // New makes no other
	}
	if errors.Is(err, errNoIdentity) || errors.Is(err, identityheader.ErrInexpressible) {
		g.responder.refuse(out, r, x, inexpressible())
		return
	}
	if errors.Is(err, errWithheld) {
		g.responder.refuse(out, r, x, withheld())
		return
	}
	if refused := x.refused.Load(); refused != nil {
		g.responder.refuse(out, r, x, shutOut(authn.Reason(refusalReason(*refused))))
		return
	}
	g.responder.refuse(out, r, x, unreachable(x.target.cluster.Name))
}

// failureReason says why an exchange that was forwarded failed.
func failureReason(ctx context.Context, x *exchange) string {
	if refused := x.refused.Load(); refused != nil {
		return refusalReason(*refused)
	}
	switch {
	case errors.Is(x.failure, errNoIdentity), errors.Is(x.failure, identityheader.ErrInexpressible):
		return reasonInexpressible
	case errors.Is(x.failure, errWithheld):
		return reasonWithheld
	case x.stream.wasCut() != nil:
		return reasonCut
	case ctx.Err() != nil:
		return reasonClientGone
	default:
		return reasonUnreachable
	}
}

// buffers is the pool that answers are copied through.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if array, ok := b.pool.Get().(*[copyBufferBytes]byte); ok {
		return array[:]
	}
	return make([]byte, copyBufferBytes)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(buffer []byte) {
	if len(buffer) == copyBufferBytes {
		b.pool.Put((*[copyBufferBytes]byte)(buffer))
	}
}

// proxyLog brings the proxy's own lines into the structured log. They name broken connections, never credentials.
type proxyLog struct{ logger *slog.Logger }

// Write implements io.Writer.
func (l proxyLog) Write(p []byte) (int, error) {
	l.logger.Debug("proxy", slog.String("cause", string(p)))
	return len(p), nil
}

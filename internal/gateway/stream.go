package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

// goodbye is how long the far side of a cut tunnel may take to answer its close before its connection is closed too.
const goodbye = time.Second

// errCut is the cause with which the gate ends a stream; it wraps the reason that the client sees.
var errCut = errors.New("ended by the gate")

// isLongRunning tells requests that end when the client or the cluster wants from those that are answered at once
// (LONG-1).
func isLongRunning(info *request.RequestInfo) bool {
	if info.Verb == "watch" || info.Verb == "proxy" {
		return true
	}
	if !info.IsResourceRequest {
		return strings.HasPrefix(info.Path, "/debug/pprof/")
	}
	switch info.Subresource {
	case "attach", "exec", "proxy", "log", "portforward":
		return true
	default:
		return false
	}
}

// stream is one long-running request under way. It is registered before it is forwarded, so that a cut cannot miss it.
type stream struct {
	StreamInfo

	watch  bool
	cancel context.CancelCauseFunc
	// What it is judged by, again and again.
	asked      *authn.Request
	credential *authn.Credential
	cluster    string
	admitted   atomic.Pointer[identity.Identity] // as it was let in

	local bool // answered by the gate itself
	ended atomic.Pointer[ending]

	mu     sync.Mutex
	woken  bool
	client net.Conn // the client's side of a tunnel, after the switch of protocols
}

// ending is why a stream was cut.
type ending struct {
	reason string // for the client
	cause  error  // set where the caller may not go on
}

// newStream makes the stream of a request that was let in.
func newStream(x *exchange, cancel context.CancelCauseFunc) *stream {
	s := &stream{
		StreamInfo: x.streamInfo(), watch: x.info.Verb == "watch", cancel: cancel,
		asked: x.asked, credential: x.decision.Credential, cluster: x.target.cluster.Name,
	}
	s.admitted.Store(x.decision.Identity)
	return s
}

// cut ends the stream. The client is told reason in the terms of the stream's protocol, where that has any: a final
// event for a watch, a close frame for WebSocket, GOAWAY for SPDY. Others just end. It does not wait, and may be called
// more than once.
func (s *stream) cut(reason string) {
	if s.end(reason, nil) {
		s.wake()
	}
}

// end cuts the stream: no byte of either side is handed on from then on. It reports whether it was open until then. Whoever
// waits for bytes learns of it by wake.
func (s *stream) end(reason string, cause error) bool {
	return s.ended.CompareAndSwap(nil, &ending{reason, cause})
}

// wake has whoever waits on a stream that was cut end it.
func (s *stream) wake() {
	s.cancel(errCut)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.woken = true
	if s.client != nil {
		_ = s.client.SetDeadline(time.Now().Add(goodbye))
	}
}

// hijacked tells the stream its client's connection.
func (s *stream) hijacked(client net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = client
	if s.woken {
		_ = client.SetDeadline(time.Now().Add(goodbye))
	}
}

// wasCut returns why the stream was cut, or nil if it was not. A nil stream never was.
func (s *stream) wasCut() *ending {
	if s == nil {
		return nil
	}
	return s.ended.Load()
}

// farewell is a protocol's way to say that the stream ends.
type farewell interface {
	// observe sees every byte of the answer on its way to the client.
	observe(p []byte)
	// last returns the bytes that may follow what was observed, or nil when nothing may. refused says that the caller may not
	// go on, and that asking again is of no use.
	last(reason string, refused bool) []byte
}

// body stands in the way of an answer's bytes. When the stream was cut, it hands out the farewell and then a clean end; what
// arrived meanwhile is dropped.
type body struct {
	io.ReadCloser
	stream   *stream
	farewell farewell
	rest     []byte
	ended    bool
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if !b.ended {
		n, err := b.ReadCloser.Read(p)
		end := b.stream.wasCut()
		if end == nil {
			b.farewell.observe(p[:n])
			return n, err
		}
		b.ended, b.rest = true, b.farewell.last(end.reason, end.cause != nil)
	}
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// tunnel is a body that can be written to: the API server's side of a connection that switched protocols. It never fails, as the
// proxy would then close the client's connection at once, with what is still on its way to the client: the end of a file, of
// which the client is not told that it lacks. The API server closes its side when it has sent all, and clients go on to send, such as
// pings.
type tunnel struct {
	body
	backend io.ReadWriteCloser
}

// Read implements io.Reader. However the API server's side ends, the client reads all that came before, and then the end.
func (t *tunnel) Read(p []byte) (int, error) {
	n, err := t.body.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// Write implements io.Writer. What the client sends after a cut, or when the API server takes no more, is dropped.
func (t *tunnel) Write(p []byte) (int, error) {
	if t.stream.wasCut() == nil {
		_, _ = t.backend.Write(p)
	}
	return len(p), nil
}

// CloseWrite hands on that the client will send no more.
func (t *tunnel) CloseWrite() error {
	if half, ok := t.backend.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	return nil
}

// streams are all long-running requests under way. The zero value is ready; it is safe for concurrent use.
type streams struct {
	mu    sync.Mutex
	open  map[*stream]struct{}
	ended string        // why watches are cut as soon as they come, once draining has begun
	empty chan struct{} // closed when the last one ends, while somebody waits for that
}

// add registers a stream, and cuts it at once if it is a watch and watches have ended; remove forgets it.
func (s *streams) add(one *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*stream]struct{})
	}
	s.open[one] = struct{}{}
	if s.ended != "" && one.watch {
		one.cut(s.ended)
	}
}

// remove forgets a stream that ended.
func (s *streams) remove(one *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, one)
	if len(s.open) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// wait returns when no stream is open any more, or with ctx's error.
func (s *streams) wait(ctx context.Context) error {
	s.mu.Lock()
	if len(s.open) == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// endWatches cuts every watch, those to come included, and returns how many there were.
func (s *streams) endWatches(reason string) int {
	s.mu.Lock()
	s.ended = reason
	s.mu.Unlock()
	return s.cut(reason, func(one *stream) bool { return one.watch })
}

// cut ends every stream that matches, and returns how many.
func (s *streams) cut(reason string, matches func(*stream) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for one := range s.open {
		if matches(one) {
			one.cut(reason)
			n++
		}
	}
	return n
}

// each hands on every open stream.
func (s *streams) each(visit func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.open {
		visit(one)
	}
}

// count returns how many streams are open.
func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

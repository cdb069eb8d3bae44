// Package server puts the parts together: it is the only importer of the mechanisms and adapters, builds them from a
// checked configuration, runs the listeners, and takes over changed configuration while requests go on.
//
// mechanisms.go is the one list of mechanisms, in Kubernetes' order. generation.go builds what the gate decides by;
// reload.go replaces it.
package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/lockout"
	"github.com/ostiary/ostiary/internal/metrics"
	"github.com/ostiary/ostiary/internal/tlspolicy"
	"github.com/ostiary/ostiary/internal/tokenreview"
	"github.com/ostiary/ostiary/internal/tracing"
)

const (
	// headerTimeout bounds the TLS handshake and the reading of a request's headers: a slow sender of either holds a
	// connection, and nothing else.
	headerTimeout = 10 * time.Second
	// idleTimeout ends connections that nobody uses; kubectl and client-go keep theirs for 90 seconds.
	idleTimeout = 2 * time.Minute
	// pingAfter and pingTimeout find HTTP/2 clients that vanished without a word, so that their watches end.
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
)

// Options are what a server is made of.
type Options struct {
	// ConfigFile is the configuration's path. Required.
	ConfigFile string
	// Version is shown in metrics and status.
	Version string
	// Logger takes what operators should know. Required.
	Logger *slog.Logger
	// AccessLog takes decisions where the configuration names no file. Required.
	AccessLog io.Writer
}

// Server is one running gate.
type Server struct {
	options  Options
	logger   *slog.Logger
	metrics  *metrics.Metrics
	accesses *accessSink
	gate     *gateway.Gate
	reviewer *tokenreview.Server
	tls      atomic.Pointer[tls.Config]
	limiter  *gateway.Listener
	probes   *probes
	draining atomic.Bool
	tracing  *tracing.Provider
	current  atomic.Pointer[generation]
	keeper   *keeper
	bureau   *bureau
	exposed  exposed
	lockout  *lockout.Engine
	recent   *accesslog.Recent
	life     context.Context //nolint:containedctx // the life of what is done for no request
}

// Run serves until ctx ends, then drains and returns nil. It returns an error when the configuration is bad at the
// start, a listener cannot be had, or a part fails for good.
func Run(ctx context.Context, options Options) error {
	if options.Logger == nil || options.AccessLog == nil {
		return errors.New("server: logger and access log are required")
	}
	checked, err := config.Load(options.ConfigFile)
	if err != nil {
		return err
	}
	s := &Server{options: options, logger: options.Logger, metrics: metrics.New(options.Version)}
	s.probes = newProbes(s.metrics, s.logger)
	if err := s.newLockout(&checked.Lockout); err != nil {
		return err
	}
	if s.tracing, err = tracing.New(ctx, checked.Tracing, options.Version); err != nil {
		return err
	}
	if s.accesses, err = newAccessSink(checked.AccessLog.File, options.AccessLog, func(err error) {
		s.logger.Error("access log lines are lost", slog.String("cause", err.Error()))
	}); err != nil {
		return err
	}
	defer s.accesses.close()
	// Parts outlive ctx: requests under way at its end still need them.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	s.life = life
	if s.keeper, err = s.openLedger(checked); err != nil { //nolint:contextcheck // the store lives until it is closed
		return err
	}
	defer s.keeper.close()
	if s.bureau, err = s.newBureau(checked.Issuer); err != nil {
		return err
	}
	first, err := build(life, checked, nil, s.keeper, s.bureau, s.lockout, s.logger)
	if err != nil {
		return err
	}
	front, err := s.front()
	if err != nil {
		return err
	}
	local := locals{&statusAPI{version: options.Version, ready: s.ready, notices: s.notices}}
	lockouts, err := s.lockoutAPI()
	if err != nil {
		return err
	}
	local = append(local, lockouts)
	issues, err := s.issueAPI()
	if err != nil {
		return err
	}
	local = append(local, issues)
	if s.keeper != nil {
		api, err := s.ledgerAPI()
		if err != nil {
			return err
		}
		local = append(local, api)
	}
	if s.gate, err = gateway.New(gateway.Config{
		State: first.state, Sink: s.sinks(), Logger: s.logger,
		Local: local, Front: front, Recorder: s.keeper.recorder(checked.Ledger), Instrument: s.tracing.Transport,
		Brake: gateway.NewBrake(s.unsuspected),
	}); err != nil {
		return err
	}
	s.reviewer = tokenreview.New(s.sinks())
	s.take(first)
	s.keeper.run(life)
	s.bureau.run(life)
	go func() { _ = s.lockout.Run(life) }()
	go s.reviewing(life) // while requests are drained too
	return s.serve(ctx, life, checked)
}

// serve opens the listeners and runs everything until ctx ends or a part fails.
func (s *Server) serve(ctx, life context.Context, checked *config.Checked) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", checked.Listen.Address)
	if err != nil {
		return fmt.Errorf("listen.address: %w", err)
	}
	s.limiter = s.bounded(listener, checked.Listen.Limits.ConnectionsPerSource)
	s.limiter.SetRelays(checked.Listen.Balancers.ProxyProtocolFrom)
	s.logger.Info("listening", slog.String("listener", "gate"), slog.String("address", listener.Addr().String()))
	admin, err := s.newAdmin(ctx, checked.Admin)
	if err != nil {
		_ = listener.Close()
		return err
	}
	asked, err := s.newReviews(ctx, life, checked.TokenReview)
	if err != nil {
		_ = listener.Close()
		admin.close()
		return err
	}
	gate := s.gateServer(life, checked)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serveUntilClosed(gate, gateway.NewLane(s.lockout.Knows).Wrap(s.limiter)) })
	group.Go(admin.serve)
	group.Go(asked.serve)
	group.Go(func() error { return s.watch(ctx, life) })
	group.Go(func() error { return s.probes.run(ctx) })
	group.Go(func() error { return s.keeper.failed(ctx) })
	group.Go(func() error { return s.watchRoom(ctx) })
	group.Go(func() error {
		// Probes are answered while the gate drains, so that it is seen to do so.
		defer admin.close()
		return s.drain(ctx, gate, asked, checked.Listen.DrainTimeout)
	})
	return group.Wait()
}

// bounded bounds the connections that each source may have open at a listener.
func (s *Server) bounded(listener net.Listener, limit int) *gateway.Listener {
	return gateway.NewListener(listener, limit, func(source netip.Addr) {
		s.metrics.ConnectionRefused()
		s.logger.Warn("connection refused: its source has too many open", slog.String("source", source.String()))
	})
}

// gateServer is the HTTP server of the data path.
func (s *Server) gateServer(life context.Context, checked *config.Checked) *http.Server {
	limits := checked.Listen.Limits
	return &http.Server{
		Handler:                      s.tracing.Handler(s.gate),
		BaseContext:                  func(net.Listener) context.Context { return life },
		ConnContext:                  authn.ConnContext,
		TLSConfig:                    tlspolicy.Reloading(s.tls.Load),
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               limits.HeaderBytes,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is refused by the gate like any target that is no path
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: limits.StreamsPerConnection,
			SendPingTimeout:      pingAfter,
			PingTimeout:          pingTimeout,
		},
		ErrorLog: log.New(serverLog{s.logger}, "", 0),
	}
}

// serveUntilClosed serves TLS, and takes the end that Shutdown makes as a good one.
func serveUntilClosed(server *http.Server, listener net.Listener) error {
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// drain waits for ctx, then ends the gate in good order: no new connections, watches end at once, the rest has until
// timeout, and what is left then is cut.
func (s *Server) drain(ctx context.Context, gate *http.Server, asked *reviews, timeout time.Duration) error {
	<-ctx.Done()
	s.draining.Store(true)
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	var group errgroup.Group
	group.Go(func() error {
		if err := gate.Shutdown(deadline); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		asked.close(deadline)
		return nil
	})
	group.Go(func() error {
		s.gate.Drain(deadline)
		return nil
	})
	err := group.Wait()
	_ = gate.Close()
	s.tracing.Shutdown(context.WithoutCancel(ctx))
	s.logger.Info("stopped")
	return err
}

// take makes a generation the one in force.
func (s *Server) take(next *generation) {
	s.tls.Store(next.tls)
	s.useLockout(&next.checked.Lockout)
	s.reviewer.Use(next.reviews)
	s.current.Store(next)
	go s.exposed.look(s.life, next.checked, s.logger)
	s.probes.watch(next.clusters)
	for use, at := range next.expirations() {
		s.metrics.CertificateExpires(use, at)
	}
	s.metrics.Reloaded(nil)
}

// serverLog brings net/http's own lines into the structured log. Failed handshakes and the like are debug: anybody who can
// connect can cause them. A panic is a mistake of ours.
type serverLog struct{ logger *slog.Logger }

// Write implements io.Writer.
func (l serverLog) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("http: panic")) || bytes.HasPrefix(p, []byte("http2: panic")) {
		l.logger.Error("a request made the gate panic", slog.String("cause", string(p)))
		return len(p), nil
	}
	l.logger.Debug("http server", slog.String("cause", string(p)))
	return len(p), nil
}

// accessSink is the access log, whose file a reload may change. It is safe for concurrent use, but for use and close.
type accessSink struct {
	fallback io.Writer
	failed   func(error)
	path     string
	file     *accesslog.File
	current  atomic.Pointer[accessTarget]
}

// accessTarget is where lines go, through a queue.
type accessTarget struct {
	writer *accesslog.Writer
	queue  *accesslog.Queue
}

// newAccessSink returns a sink that writes to the file at path, or to fallback if path is empty. failed is told of lines
// that could not be written.
func newAccessSink(path string, fallback io.Writer, failed func(error)) (*accessSink, error) {
	s := &accessSink{fallback: fallback, failed: failed}
	return s, s.use(path)
}

// use changes the file. On error the one before stays in use.
func (s *accessSink) use(path string) error {
	before := s.current.Load()
	if before != nil && path == s.path {
		return nil
	}
	var file *accesslog.File
	target := s.fallback
	if path != "" {
		var err error
		if file, err = accesslog.OpenFile(path); err != nil {
			return err
		}
		target = file
	}
	queue := accesslog.NewQueue(target, s.failed)
	s.current.Store(&accessTarget{accesslog.NewWriter(queue), queue})
	old := s.file
	s.path, s.file = path, file
	if before == nil {
		return nil
	}
	// Requests that took the old target just now still write to it.
	time.AfterFunc(linger, func() {
		_ = before.queue.Close()
		if old != nil {
			_ = old.Close()
		}
	})
	return nil
}

// close writes what is left.
func (s *accessSink) close() { _ = s.current.Load().queue.Close() }

// Record implements accesslog.Sink.
func (s *accessSink) Record(e *accesslog.Event) { s.current.Load().writer.Record(e) }

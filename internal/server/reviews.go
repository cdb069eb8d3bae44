package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/tlspolicy"
)

const (
	// maxReviewConnections bounds the open connections of each source; kube-apiserver uses one, over HTTP/2.
	maxReviewConnections = 100
	// maxReviewHeaderBytes bounds a review's headers, of which kube-apiserver sends a few short ones: the token is in the
	// body.
	maxReviewHeaderBytes = 32 << 10
)

// reviews is the listener where API servers ask about tokens. A nil one does nothing.
type reviews struct {
	listener net.Listener
	server   *http.Server
}

// newReviews opens the listener; it returns nil when the configuration has none.
func (s *Server) newReviews(ctx, life context.Context, checked *config.CheckedTokenReview) (*reviews, error) {
	if checked == nil {
		return nil, nil //nolint:nilnil // a nil one does nothing
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", checked.Address)
	if err != nil {
		return nil, fmt.Errorf("tokenReview.address: %w", err)
	}
	s.logger.Info("listening", slog.String("listener", "tokenReview"), slog.String("address", listener.Addr().String()))
	current := func() *tls.Config { return s.current.Load().reviewTLS }
	return &reviews{listener: s.bounded(listener, maxReviewConnections), server: &http.Server{
		Handler: s.tracing.Handler(s.reviewer), BaseContext: func(net.Listener) context.Context { return life }, ConnContext: authn.ConnContext,
		TLSConfig:         tlspolicy.Reloading(current),
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxReviewHeaderBytes, DisableGeneralOptionsHandler: true,
		HTTP2:    &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		ErrorLog: log.New(serverLog{s.logger}, "", 0),
	}}, nil
}

// serve answers until close is called. A nil one returns at once.
func (r *reviews) serve() error {
	if r == nil {
		return nil
	}
	return serveUntilClosed(r.server, r.listener)
}

// close lets reviews under way end, until ctx does.
func (r *reviews) close(ctx context.Context) {
	if r == nil {
		return
	}
	if r.server.Shutdown(ctx) != nil {
		_ = r.server.Close()
	}
}

package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/tlspolicy"
)

// adminTimeout bounds one request of a probe or of Prometheus, from its first byte to the last of its answer.
const adminTimeout = 30 * time.Second

// admin is the listener for probes and metrics.
type admin struct {
	server   *http.Server
	listener net.Listener
}

// newAdmin opens the listener for probes and metrics; it returns nil when the configuration has none.
func (s *Server) newAdmin(ctx context.Context, checked *config.CheckedAdmin) (*admin, error) {
	if checked == nil {
		return nil, nil //nolint:nilnil // a nil admin is the one that does nothing
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", checked.Address)
	if err != nil {
		return nil, fmt.Errorf("admin.address: %w", err)
	}
	s.logger.Info("listening", slog.String("listener", "admin"), slog.String("address", listener.Addr().String()))
	if checked.TLS != nil {
		listener = tls.NewListener(listener, tlspolicy.Reloading(func() *tls.Config { return s.current.Load().adminTLS }))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.metrics.Handler())
	return &admin{listener: listener, server: &http.Server{
		Handler: mux, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout, IdleTimeout: idleTimeout,
		ErrorLog: log.New(serverLog{s.logger}, "", 0),
	}}, nil
}

// serve answers until close is called. A nil admin returns at once.
func (a *admin) serve() error {
	if a == nil {
		return nil
	}
	if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// close ends it. A nil admin has nothing to end.
func (a *admin) close() {
	if a != nil {
		_ = a.server.Close()
	}
}

// healthz says that the process lives.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") }

// readyz says whether requests should be sent here, and what is missing.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := s.ready(); err != nil {
		writeText(w, http.StatusServiceUnavailable, "not ready: "+strings.ReplaceAll(err.Error(), "\n", "; ")+"\n")
		return
	}
	writeText(w, http.StatusOK, "ok\n")
}

// ready returns nil when the gate can let callers in: its mechanisms can judge, and a cluster answers. One cluster of
// several that is down does not take the others' callers away; metrics tell.
func (s *Server) ready() error {
	if s.draining.Load() {
		return errors.New("the gate is shutting down")
	}
	return errors.Join(s.current.Load().ready(), s.probes.ready(), s.keeper.ready(), s.bureau.ready())
}

// writeText answers with plain text.
func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// statusAPI answers what an authenticated caller may know of the gate.
type statusAPI struct {
	version string
	ready   func() error
	notices func() []string
}

// ServeLocal implements gateway.Local.
func (a *statusAPI) ServeLocal(w http.ResponseWriter, r *http.Request, caller gateway.Caller) bool {
	if caller.Path != adminapi.StatusPath || r.Method != http.MethodGet || caller.Identity.IsAnonymous() {
		return false
	}
	status := adminapi.NewGateStatus()
	status.Version, status.Ready = a.version, a.ready() == nil
	if a.notices != nil {
		status.Notices = a.notices()
	}
	status.Cluster = adminapi.Cluster{Name: caller.Cluster.Name, IdentityMode: caller.Cluster.Mode}
	status.Caller = adminapi.Caller{
		Username: caller.Identity.Username, UID: caller.Identity.UID, Groups: caller.Identity.Groups,
		Mechanism: string(caller.Credential.Mechanism), CredentialID: caller.Credential.ID.Value,
		CredentialNotAfter: caller.Credential.NotAfter,
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(status)
	return true
}

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin/session"
)

const (
	socketName = "agent.sock"
	lockName   = "agent.lock"
	// messageTimeout bounds the reading of a message, which comes from the same machine.
	messageTimeout = 10 * time.Second
	// farewell bounds how long requests under way may take when the agent ends.
	farewell = 5 * time.Second
)

// Serve keeps sessions until ctx ends or nothing is left to keep. It returns nil at once where an agent is there already.
func Serve(ctx context.Context, logger *slog.Logger) error {
	folder, err := Folder()
	if err != nil {
		return err
	}
	if err := harden(); err != nil {
		// What it adds is a second line: memory is still no other user's.
		logger.Warn("memory not protected further", slog.Any("error", err))
	}
	listener, err := listen(ctx, folder)
	if err != nil || listener == nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	keeper := newKeeper(ctx, stop, logger)
	keeper.closed = make(chan struct{})
	server := &http.Server{
		Handler: keeper.handler(), ReadHeaderTimeout: messageTimeout, BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(&ownConns{Listener: listener, logger: logger}) }()
	logger.Info("agent started", slog.Int("pid", os.Getpid()))
	keeper.run() //nolint:contextcheck // until ctx ends, which the keeper has
	err = withLock(folder, listener.Close)
	close(keeper.closed)
	keeper.tasks.Wait() // renewals end with ctx, goodbyes are said
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if late := server.Shutdown(rest); late != nil {
		err = errors.Join(err, server.Close())
	}
	if end := <-served; !errors.Is(end, http.ErrServerClosed) && !errors.Is(end, net.ErrClosed) {
		err = errors.Join(err, end)
	}
	logger.Info("agent ended", slog.Any("cause", context.Cause(ctx)))
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}

// withLock does something while no other agent begins or ends.
func withLock(folder string, do func() error) error {
	unlock, err := lockedfile.MutexAt(filepath.Join(folder, lockName)).Lock()
	if err != nil {
		return fmt.Errorf("cannot lock the agent's folder: %w", err)
	}
	defer unlock()
	return do()
}

// listen makes the socket, unless an agent answers at it: then the listener is nil.
func listen(ctx context.Context, folder string) (net.Listener, error) {
	path := filepath.Join(folder, socketName)
	var listener net.Listener
	err := withLock(folder, func() error {
		if conn, err := dial(ctx, folder); err == nil {
			return conn.Close()
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot remove the socket of an agent that is gone: %w", err)
		}
		var config net.ListenConfig
		var err error
		if listener, err = config.Listen(ctx, "unix", path); err != nil {
			return fmt.Errorf("cannot make the agent's socket: %w", err)
		}
		return nil
	})
	return listener, err
}

// ownConns hands on connections of the agent's own user.
type ownConns struct {
	net.Listener

	logger *slog.Logger
}

// Accept implements net.Listener.
func (l *ownConns) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := checkPeer(conn); err != nil {
			l.logger.Warn("connection refused", slog.Any("error", err))
			_ = conn.Close() // it was no one's to use
			continue
		}
		return conn, nil
	}
}

func (k *keeper) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathPut, func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
		if err != nil {
			fail(w, err)
			return
		}
		s, err := session.Decode(data)
		if err != nil {
			fail(w, err)
			return
		}
		if err := k.put(s); err != nil { //nolint:contextcheck // goodbyes outlive the call that made them necessary
			fail(w, err)
			return
		}
		answer(w, struct{}{})
	})
	mux.HandleFunc("POST "+pathCredential, receive(func(w http.ResponseWriter, r *http.Request, asked credentialRequest) {
		var from *begin
		if asked.Begin != nil {
			from = &begin{source: asked.Begin.Source, token: secret.New(asked.Begin.Token)}
			asked.Name = from.source.Name()
		}
		s, err := k.credential(r.Context(), asked.Name, from)
		if err != nil {
			fail(w, err)
			return
		}
		answer(w, Hand(s))
	}))
	mux.HandleFunc("POST "+pathLead, receive(func(w http.ResponseWriter, r *http.Request, asked leadRequest) {
		led := false
		err := k.lead(r.Context(), asked.Name, asked.PID, func() error {
			led = true
			answer(w, leadAnswer{Lead: true})
			return http.NewResponseController(w).Flush()
		})
		switch {
		case led:
		case err != nil:
			fail(w, err)
		default:
			answer(w, leadAnswer{})
		}
	}))
	mux.HandleFunc("POST "+pathLeave, receive(func(w http.ResponseWriter, r *http.Request, asked leaveRequest) {
		lefts := k.leave(r.Context(), asked.Names, asked.All, asked.Local)
		if k.ctx.Err() != nil {
			<-k.closed // whoever signs in next must not reach an agent that is about to end
		}
		answer(w, lefts)
	}))
	mux.HandleFunc("POST "+pathList, receive(func(w http.ResponseWriter, _ *http.Request, _ struct{}) { answer(w, k.list()) }))
	return mux
}

// receive reads a message before it is handled.
func receive[T any](handle func(http.ResponseWriter, *http.Request, T)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var message T
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessage)).Decode(&message); err != nil {
			fail(w, errors.New("the message is not of this protocol"))
			return
		}
		handle(w, r, message)
	}
}

func answer(w http.ResponseWriter, message any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(message) // who asked has gone, and nobody is left to tell
}

func fail(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	_ = json.NewEncoder(w).Encode(failure{Code: codeOf(err), Message: err.Error()}) // as in answer
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/session"
)

const (
	// lookInterval is how often the agent looks at what is due. It goes by the wall clock, so that a machine that slept is
	// seen to have slept.
	lookInterval = time.Second
	// renewTimeout bounds one renewal: a provider and a gate, each slow.
	renewTimeout = 90 * time.Second
	// firstRetry and lastRetry bound the time between renewals that fail for lack of an answer.
	firstRetry, lastRetry = 2 * time.Second, time.Minute
	// remembered is for how long the agent can say why a session ended.
	remembered = 10 * time.Minute
	// linger is for how long an agent without sessions stays: the program that started it is about to bring one.
	linger = 20 * time.Second
)

// Errors of sessions, as package session has them.
var (
	// ErrNoSession says that nobody is signed in there.
	ErrNoSession = session.ErrNone
	// ErrEnded says that a session is over.
	ErrEnded = session.ErrEnded
)

// keeper holds the sessions. It is safe for concurrent use.
type keeper struct {
	logger *slog.Logger
	now    func() time.Time
	// closed is closed once nobody can reach the agent any more; nil where nobody ever could.
	closed chan struct{}
	// tasks are renewals and goodbyes under way.
	tasks sync.WaitGroup

	mu       sync.Mutex
	sessions map[string]*held
	leads    map[string]*lead
	// empty is since when there is nothing to keep; zero while there is.
	empty time.Time
	stop  context.CancelCauseFunc
	ctx   context.Context //nolint:containedctx // the agent's life: renewals outlive the request that began them
}

// held is one session. The keeper's lock guards it.
type held struct {
	current *session.Session // nil while the first exchange of a pipeline is under way
	used    bool             // the certificate was asked for
	flight  *flight
	retry   time.Duration
	retryAt time.Time
	problem error // of the last renewal
	over    error // why it ended; nil while it goes on
	overAt  time.Time
	leaving bool // it is to end: the gate is told, and told again where it could not be
	telling bool // somebody waits while the gate is told
}

// flight is a renewal that many may wait for.
type flight struct {
	done chan struct{}
	err  error
}

func newKeeper(ctx context.Context, stop context.CancelCauseFunc, logger *slog.Logger) *keeper {
	k := &keeper{
		logger: logger, now: func() time.Time { return time.Now().Round(0) }, // without the monotonic clock, which stops in a sleep
		sessions: map[string]*held{}, leads: map[string]*lead{}, ctx: ctx, stop: stop,
	}
	k.empty = k.now()
	return k
}

// put takes a session in. Another one of the same name is ended at the gate.
func (k *keeper) put(s *session.Session) error {
	name := s.Name()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx.Err() != nil {
		return errEnding
	}
	if old := k.sessions[name]; old != nil && old.current != nil && old.current.Session != s.Session && old.over == nil {
		k.dismiss(old.current)
	}
	k.sessions[name] = &held{current: s}
	if l := k.leads[name]; l != nil {
		l.finish(nil)
	}
	k.logger.Info("session taken in", slog.String("session", name), slog.String("gate", s.Address.URL))
	return nil
}

// dismiss tells a gate of the end of a session that nobody waits for. The lock is held.
func (k *keeper) dismiss(s *session.Session) {
	gone := *s
	k.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(k.ctx), renewTimeout)
		defer cancel()
		if err := gone.End(ctx); err != nil {
			k.logger.Warn("gate not told of the end of a session", slog.String("gate", gone.Address.URL), slog.Any("error", err))
		}
	})
}

// begin is what a pipeline's session is made of, where there is none.
type begin struct {
	source session.Source
	token  secret.String
}

// credential returns a certificate that holds, and renews it first where it must. from may be nil.
func (k *keeper) credential(ctx context.Context, name string, from *begin) (*session.Session, error) {
	k.mu.Lock()
	if k.ctx.Err() != nil {
		k.mu.Unlock()
		return nil, errEnding
	}
	h, now := k.sessions[name], k.now()
	if h != nil {
		k.close(h, now)
	}
	if from != nil && (h == nil || h.over != nil) {
		h = &held{}
		k.sessions[name] = h
		k.beginPipeline(name, h, *from) //nolint:contextcheck // renewals outlive the call that began them
	}
	if h == nil {
		k.mu.Unlock()
		return nil, ErrNoSession
	}
	switch {
	case h.over != nil:
		err := fmt.Errorf("%w: %w", ErrEnded, h.over)
		k.mu.Unlock()
		return nil, err
	case h.leaving:
		k.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", ErrEnded, errSignedOut)
	case h.current != nil && h.current.Holds(now):
		h.used = true
		k.renewIfDue(name, h, now) //nolint:contextcheck // renewals outlive the call that began them
		current := *h.current
		k.mu.Unlock()
		return &current, nil
	}
	f := k.renew(name, h) //nolint:contextcheck // renewals outlive the call that began them
	k.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case h.over != nil:
		return nil, fmt.Errorf("%w: %w", ErrEnded, h.over)
	case h.leaving:
		return nil, fmt.Errorf("%w: %w", ErrEnded, errSignedOut)
	case f.err != nil:
		return nil, f.err
	}
	h.used = true
	current := *h.current
	return &current, nil
}

// close marks a session as over whose time has come.
func (k *keeper) close(h *held, now time.Time) {
	if h.over != nil || h.current == nil || h.current.Holds(now) {
		return
	}
	switch ends := h.current.Ends(); {
	case !ends.IsZero() && !now.Before(ends):
		k.end(h, fmt.Errorf("its time was up at %s", ends.UTC().Format(time.RFC3339)))
	case !h.current.Renewable():
		k.end(h, session.ErrNotRenewable)
	}
}

// end drops what a session is made of.
func (k *keeper) end(h *held, why error) {
	h.over, h.overAt, h.leaving = why, k.now(), false
	h.current.Refresh, h.current.Key, h.current.Token.Token, h.current.Earlier = secret.String{}, secret.String{}, secret.String{}, nil
}

// renewIfDue starts a renewal where one is due and none is under way.
func (k *keeper) renewIfDue(name string, h *held, now time.Time) {
	goesOn := h.current.Ends().IsZero() || now.Before(h.current.Ends())
	if goesOn && h.current.Renewable() && !now.Before(h.current.RenewAt()) && !now.Before(h.retryAt) {
		k.renew(name, h)
	}
}

// renew starts a renewal, or joins the one that is under way.
func (k *keeper) renew(name string, h *held) *flight {
	if h.flight != nil {
		return h.flight
	}
	next := *h.current
	return k.fly(name, h, func(ctx context.Context) (*session.Session, error) {
		err := next.Renew(ctx)
		return &next, err
	})
}

// beginPipeline starts a pipeline's session.
func (k *keeper) beginPipeline(name string, h *held, from begin) {
	k.fly(name, h, func(ctx context.Context) (*session.Session, error) {
		return session.BeginPipeline(ctx, from.source, from.token)
	})
}

// fly runs one exchange in the background and puts its result in place.
func (k *keeper) fly(name string, h *held, exchange func(context.Context) (*session.Session, error)) *flight {
	f := &flight{done: make(chan struct{})}
	h.flight = f
	k.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(k.ctx, renewTimeout)
		defer cancel()
		next, err := exchange(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		f.err, h.flight, h.problem = err, nil, err
		k.land(name, h, next, err)
		close(f.done)
	})
	return f
}

// land keeps what an exchange brought.
func (k *keeper) land(name string, h *held, next *session.Session, err error) {
	log := k.logger.With(slog.String("session", name))
	if h.over != nil || h.leaving {
		return // it ended meanwhile, and what came is part of it
	}
	if err == nil {
		h.current, h.used, h.retry, h.retryAt = next, false, 0, time.Time{}
		log.Info("certificate renewed", slog.String("gate", next.Address.URL), slog.Time("until", next.NotAfter))
		return
	}
	log.Warn("certificate not renewed", slog.Any("error", err))
	if h.current == nil { // a pipeline that was not let in: nothing to keep
		if k.sessions[name] == h {
			delete(k.sessions, name)
		}
		return
	}
	h.current.Refresh = next.Refresh // a provider that rotates has ended the old one
	if _, refused := errors.AsType[*signin.RefusedError](err); refused || errors.Is(err, session.ErrNotRenewable) {
		gone := *h.current
		k.end(h, err)
		k.dismiss(&gone)
		return
	}
	h.retry = min(max(2*h.retry, firstRetry), lastRetry)
	h.retryAt = k.now().Add(h.retry)
}

// run looks at what is due until the agent ends.
func (k *keeper) run() {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-tick.C:
			k.look()
		}
	}
}

// look renews what is due and was used, forgets what ended, and ends the agent when nothing is left.
func (k *keeper) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	for name, h := range k.sessions {
		k.close(h, now)
		switch {
		case h.over != nil && now.Sub(h.overAt) >= remembered:
			delete(k.sessions, name)
		case h.over != nil || h.current == nil:
		case h.leaving:
			if h.flight == nil && !h.telling && !now.Before(h.retryAt) {
				k.tellAgain(name, h)
			}
		case h.used:
			k.renewIfDue(name, h, now)
		}
	}
	busy := len(k.leads) > 0 || slices.ContainsFunc(slices.Collect(maps.Values(k.sessions)), func(h *held) bool { return h.over == nil })
	switch {
	case busy:
		k.empty = time.Time{}
	case k.empty.IsZero():
		k.empty = now
	case now.Sub(k.empty) >= linger:
		k.stop(errIdle)
	}
}

var (
	// errIdle is why an agent ends that has nothing to keep.
	errIdle = errors.New("no session is left")
	// errEnding says that an agent takes nothing in any more; the next one will.
	errEnding = errors.New("the agent is about to end")
)

package agent

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin/session"
)

// errSignedOut is why a session ended that the person ended.
var errSignedOut = errors.New("you signed out")

// Info is what may be said of a session. It holds no secret.
type Info struct {
	Name         string    `json:"name"`
	Gate         string    `json:"gate"`
	Provider     string    `json:"provider,omitempty"`
	TokenFile    string    `json:"tokenFile,omitempty"`
	Username     string    `json:"username"`
	Groups       []string  `json:"groups,omitempty"`
	Session      string    `json:"session"`
	CredentialID string    `json:"credentialID"`
	NotAfter     time.Time `json:"notAfter"`
	SessionEnds  time.Time `json:"sessionEnds,omitzero"`
	SignedInAt   time.Time `json:"signedInAt"`
	// Problem is why the last renewal failed, or why the session ended.
	Problem string `json:"problem,omitempty"`
	// Ended says that it is over.
	Ended bool `json:"ended,omitempty"`
}

// list describes all sessions, those of one gate together.
func (k *keeper) list() []Info {
	k.mu.Lock()
	defer k.mu.Unlock()
	infos := []Info{}
	now := k.now()
	for name, h := range k.sessions {
		k.close(h, now)
		if h.current == nil {
			continue
		}
		s := h.current
		info := Info{
			Name: name, Gate: s.Address.URL, TokenFile: s.TokenFile, Username: s.Username, Groups: s.Groups, Session: s.Session, CredentialID: s.CredentialID(),
			NotAfter: s.NotAfter, SessionEnds: s.SessionEnds, SignedInAt: s.SignedInAt, Ended: h.over != nil || h.leaving,
		}
		if s.Provider != nil {
			info.Provider = s.Provider.Name
		}
		if why := cmp.Or(h.over, h.problem); why != nil {
			info.Problem = why.Error()
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b Info) int { return cmp.Or(cmp.Compare(a.Gate, b.Gate), cmp.Compare(a.Name, b.Name)) })
	return infos
}

// Left is what became of a session that was to end.
type Left struct {
	Name     string `json:"name"`
	Gate     string `json:"gate"`
	Username string `json:"username"`
	Session  string `json:"session"`
	// Told says that the gate has ended the session, and that this is in force.
	Told bool `json:"told"`
	// Problem is why the gate was not told. Until is when the certificate ends by itself; zero where that is not known.
	Problem string    `json:"problem,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	// Again says that the agent goes on telling the gate until then.
	Again bool `json:"again,omitempty"`
}

// leave ends sessions: all, or those that are named. Nothing is given out any more as soon as it is called. With local, gates
// are not told.
func (k *keeper) leave(ctx context.Context, names []string, all, local bool) []Left {
	type chosen struct {
		name string
		h    *held
		s    session.Session // as it is now: its end takes the key away
	}
	var ending []chosen
	k.mu.Lock()
	for name, h := range k.sessions {
		switch {
		case !all && !slices.Contains(names, name), h.current == nil:
		case h.over != nil:
			delete(k.sessions, name) // there is no need to explain any more
		case !h.leaving || local || h.flight == nil && !h.telling: // also once more, where the gate could not be told
			h.leaving, h.telling = true, true
			ending = append(ending, chosen{name, h, *h.current})
		}
	}
	k.mu.Unlock()
	lefts := []Left{}
	for i := range ending {
		lefts = append(lefts, k.leaveOne(ctx, ending[i].name, ending[i].h, &ending[i].s, local))
	}
	slices.SortFunc(lefts, func(a, b Left) int { return cmp.Or(cmp.Compare(a.Gate, b.Gate), cmp.Compare(a.Name, b.Name)) })
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopIfEmpty()
	return lefts
}

// stopIfEmpty ends the agent at once after a sign-out that leaves nothing to keep. The lock is held.
func (k *keeper) stopIfEmpty() {
	if len(k.sessions) == 0 && len(k.leads) == 0 {
		k.stop(errIdle)
	}
}

func (k *keeper) leaveOne(ctx context.Context, name string, h *held, s *session.Session, local bool) Left {
	left := Left{Name: name, Gate: s.Address.URL, Username: s.Username, Session: s.Session}
	var err error
	if !local {
		err = s.End(ctx)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	h.telling = false
	if err == nil {
		left.Told = !local
		k.forget(name, h)
		return left
	}
	left.Problem, left.Until, left.Again = err.Error(), s.NotAfter, s.Holds(k.now())
	h.current.Refresh, h.current.Token.Token = secret.String{}, secret.String{} // the certificate alone is needed to tell the gate
	h.over = nil
	h.retry = firstRetry
	h.retryAt = k.now().Add(h.retry)
	return left
}

// forget drops a session whose end needs no explanation.
func (k *keeper) forget(name string, h *held) {
	k.end(h, errSignedOut)
	if k.sessions[name] == h {
		delete(k.sessions, name)
	}
}

// tellAgain tells a gate of an end that it could not be told of before.
func (k *keeper) tellAgain(name string, h *held) {
	if !h.current.Holds(k.now()) {
		k.forget(name, h)
		k.stopIfEmpty()
		return
	}
	s := *h.current
	f := &flight{done: make(chan struct{})}
	h.flight = f
	k.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(k.ctx, renewTimeout)
		defer cancel()
		err := s.End(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		h.flight = nil
		close(f.done)
		if err == nil {
			k.forget(name, h)
			k.stopIfEmpty()
			return
		}
		k.logger.Warn("gate not told of the end of a session", slog.String("session", name), slog.Any("error", err))
		h.retry = min(2*h.retry, lastRetry)
		h.retryAt = k.now().Add(h.retry)
	})
}

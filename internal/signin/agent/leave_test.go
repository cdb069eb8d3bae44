package agent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/signin/signintest"
)

func TestLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := w.signIn(t)
	lefts := w.leave(t.Context(), []string{name}, false, false)
	if len(lefts) != 1 || !lefts[0].Told || lefts[0].Problem != "" || len(w.gate.Open()) != 0 || w.provider.Count("revoke") != 1 {
		t.Errorf("%+v, open %v, %d refresh tokens ended", lefts, w.gate.Open(), w.provider.Count("revoke"))
	}
	if _, err := w.credential(t.Context(), name, nil); !errors.Is(err, ErrNoSession) {
		t.Errorf("error %v", err)
	}
	if !w.stopped.Load() {
		t.Error("the agent stays although the last session has ended")
	}
}

// TestLeaveIsToldOnce: what looks after sessions now and then leaves alone what somebody is signing out of: it would take the key away under
// them.
func TestLeaveIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	w.gate.Change(func(s *signintest.GateState) { s.SlowEnd = w.look })
	lefts := w.leave(t.Context(), nil, true, false)
	w.settle()
	if len(lefts) != 1 || !lefts[0].Told || w.gate.Count("revoke") != 1 {
		t.Errorf("%+v, told %d times, want once", lefts, w.gate.Count("revoke"))
	}
}

// TestLeaveWithoutACertificate ends a session whose certificate has ended, which the gate would keep open for the rest of the day: another is got to
// end it by. Where the provider does not let her in any more, nobody goes on with the session; where it is down, it is not said to have ended.
func TestLeaveWithoutACertificate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*signintest.State)
		told   bool
		open   int
	}{
		"renewed": {func(*signintest.State) {}, true, 0},
		"refused": {func(s *signintest.State) { s.Disabled = true }, true, 1},
		"down":    {func(s *signintest.State) { s.Down = true }, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.newSession(t)
			s.NotAfter = time.Now().Add(-time.Second)
			if err := w.put(s); err != nil {
				t.Fatal(err)
			}
			w.provider.Change(tt.change)
			lefts := w.leave(t.Context(), nil, true, false)
			if len(lefts) != 1 || lefts[0].Told != tt.told || (lefts[0].Problem == "") != tt.told || lefts[0].Again || len(w.gate.Open()) != tt.open {
				t.Errorf("%+v, open %v", lefts, w.gate.Open())
			}
		})
	}
}

func TestLeaveNamesOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	if lefts := w.leave(t.Context(), []string{"another"}, false, false); len(lefts) != 0 || len(w.gate.Open()) != 1 || w.stopped.Load() {
		t.Errorf("%+v", lefts)
	}
	if lefts := w.leave(t.Context(), nil, true, true); len(lefts) != 1 || lefts[0].Told || w.gate.Count("revoke") != 0 || len(w.sessions) != 0 {
		t.Errorf("local: %+v", lefts)
	}
}

// TestLeaveWhileTheGateIsDown shows that nothing is given out from then on, and that the gate is told later.
func TestLeaveWhileTheGateIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := w.signIn(t)
	w.gate.Change(func(s *signintest.GateState) { s.Down = true })
	lefts := w.leave(t.Context(), nil, true, false)
	if len(lefts) != 1 || lefts[0].Told || lefts[0].Problem == "" || lefts[0].Until.IsZero() {
		t.Fatalf("%+v", lefts)
	}
	if _, err := w.credential(t.Context(), name, nil); !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "signed out") {
		t.Errorf("error %v", err)
	}
	if h := w.sessions[name]; !h.current.Refresh.IsEmpty() {
		t.Error("the refresh token is still there")
	}
	w.forward(5 * time.Second)
	w.look()
	w.settle()
	if len(w.gate.Open()) != 1 || w.gate.Count("revoke") != 2 {
		t.Fatalf("open %v, told %d times", w.gate.Open(), w.gate.Count("revoke"))
	}
	w.gate.Change(func(s *signintest.GateState) { s.Down = false })
	w.forward(10 * time.Second)
	w.look()
	w.settle()
	if len(w.gate.Open()) != 0 || len(w.sessions) != 0 {
		t.Errorf("open %v", w.gate.Open())
	}
}

// TestLeaveOnceMore says again that the gate is not told, and tells it when it can be.
func TestLeaveOnceMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	w.gate.Change(func(s *signintest.GateState) { s.Down = true })
	for range 2 {
		if lefts := w.leave(t.Context(), nil, true, false); len(lefts) != 1 || lefts[0].Told || lefts[0].Problem == "" {
			t.Fatalf("%+v", lefts)
		}
	}
	w.gate.Change(func(s *signintest.GateState) { s.Down = false })
	if lefts := w.leave(t.Context(), nil, true, false); len(lefts) != 1 || !lefts[0].Told || len(w.gate.Open()) != 0 || len(w.sessions) != 0 {
		t.Errorf("%+v, open %v", lefts, w.gate.Open())
	}
}

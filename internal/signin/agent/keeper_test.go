package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/oidclogin"
	"github.com/ostiary/ostiary/internal/signin/session"
	"github.com/ostiary/ostiary/internal/signin/signintest"
)

// world is a provider, a gate, and a keeper whose clock can be set forward.
type world struct {
	*keeper

	provider *signintest.Provider
	gate     *signintest.Gate
	ahead    atomic.Int64
	stopped  atomic.Bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{provider: signintest.NewProvider(t)}
	w.gate = signintest.NewGate(t, []string{adminapi.FlowCode}, w.provider)
	ctx, cancel := context.WithCancel(t.Context())
	w.keeper = newKeeper(ctx, func(error) { w.stopped.Store(true) }, slog.New(slog.DiscardHandler))
	w.now = func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	w.empty = w.now()
	t.Cleanup(func() {
		cancel()
		w.tasks.Wait()
	})
	return w
}

// forward sets the clock forward.
func (w *world) forward(by time.Duration) { w.ahead.Add(int64(by)) }

// settle waits for renewals under way.
func (w *world) settle() { w.tasks.Wait() }

// signIn signs jane in, and returns the name of her session.
func (w *world) signIn(t *testing.T) string {
	t.Helper()
	s := w.newSession(t)
	if err := w.put(s); err != nil {
		t.Fatal(err)
	}
	return s.Name()
}

func (w *world) newSession(t *testing.T) *session.Session {
	t.Helper()
	config := w.provider.Config("corp", adminapi.FlowCode)
	client, err := oidclogin.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tokens, err := client.Code(t.Context(), []int{0}, func(address string) error {
		go w.provider.Browser(t, address)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := session.Begin(t.Context(), session.Source{Address: w.gate.Address, Provider: &config}, tokens)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestManyCallsRenewOnce shows that calls which come at once, with a certificate that has ended, cause one renewal.
func TestManyCallsRenewOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := w.signIn(t)
	first, err := w.credential(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.gate.Change(func(s *signintest.GateState) { s.Lifetime = 3 * time.Hour })
	w.forward(61 * time.Minute)
	const calls = 50
	got := make([]string, calls)
	var group sync.WaitGroup
	for i := range calls {
		group.Go(func() {
			s, err := w.credential(t.Context(), name, nil)
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = s.Certificate
		})
	}
	group.Wait()
	for _, certificate := range got {
		if certificate != got[0] || certificate == first.Certificate {
			t.Fatal("the calls got different certificates, or the old one")
		}
	}
	if refreshes, exchanges := w.provider.Count("refresh_token"), w.gate.Count("token"); refreshes != 1 || exchanges != 2 {
		t.Errorf("%d refreshes, %d exchanges; want 1, 2", refreshes, exchanges)
	}
	if len(w.gate.Open()) != 1 {
		t.Errorf("open sessions: %v; want the first one", w.gate.Open())
	}
}

// TestKeyIsNewAtEachRenewal shows that a key which kubectl has seen is of no use after its certificate.
func TestKeyIsNewAtEachRenewal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := w.signIn(t)
	first, err := w.credential(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.forward(61 * time.Minute)
	second, err := w.credential(t.Context(), name, nil)
	if err == nil && second.Key.Equal(first.Key) {
		t.Error("the key is the old one")
	}
	if _, tlsErr := second.TLS(); err != nil || tlsErr != nil {
		t.Error(err, tlsErr)
	}
}

// TestRenewalAhead shows that a certificate in use is renewed before its end, while calls get the old one at once; and that one
// that nobody uses is left alone.
func TestRenewalAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := w.signIn(t)
	w.gate.Change(func(s *signintest.GateState) { s.Lifetime = 3 * time.Hour })
	w.forward(45 * time.Minute)
	w.look()
	w.settle()
	if w.gate.Count("token") != 1 {
		t.Fatal("a certificate that nobody used was renewed")
	}
	old, err := w.credential(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	renewed, err := w.credential(t.Context(), name, nil)
	if err != nil || renewed.Certificate == old.Certificate || w.gate.Count("token") != 2 {
		t.Errorf("not renewed ahead: %v, %d exchanges", err, w.gate.Count("token"))
	}
	w.forward(2*time.Hour - 40*time.Minute)
	w.look()
	w.settle()
	if w.gate.Count("token") != 3 {
		t.Error("a certificate in use was not renewed by the agent's own clock")
	}
}

// TestPersonIsDisabled shows that whoever is disabled at the provider is out at the next renewal: nothing is given out, the
// gate is told, and the reason can be read.
func TestPersonIsDisabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := w.signIn(t)
	w.provider.Change(func(s *signintest.State) { s.Disabled = true })
	w.forward(45 * time.Minute)
	if _, err := w.credential(t.Context(), name, nil); err != nil {
		t.Fatal(err) // the certificate holds, and nobody has asked the provider yet
	}
	w.settle()
	_, err := w.credential(t.Context(), name, nil)
	if !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("error %v", err)
	}
	w.settle()
	if open := w.gate.Open(); len(open) != 0 {
		t.Errorf("the gate was not told: %v", open)
	}
	if h := w.sessions[name]; !h.current.Key.IsEmpty() || !h.current.Refresh.IsEmpty() {
		t.Error("secrets of a session that ended are still there")
	}
	if infos := w.list(); len(infos) != 1 || !infos[0].Ended || !strings.Contains(infos[0].Problem, "invalid_grant") {
		t.Errorf("%+v", infos)
	}
}

// TestGateEndsTheSession is an operator's revocation.
func TestGateEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := w.signIn(t)
	w.gate.End()
	w.forward(61 * time.Minute)
	if _, err := w.credential(t.Context(), name, nil); !errors.Is(err, ErrEnded) {
		t.Errorf("error %v", err)
	}
}

// TestProviderIsDown shows that sessions live through it: the certificate is used to its end, calls then fail plainly, and go
// on once the provider answers.
func TestProviderIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := w.signIn(t)
	w.provider.Change(func(s *signintest.State) { s.Down = true })
	w.forward(45 * time.Minute)
	for range 3 {
		if _, err := w.credential(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
		w.settle()
	}
	if got := w.provider.Count("refresh_token"); got != 1 {
		t.Errorf("%d refreshes within the wait after a failure; want 1", got)
	}
	w.forward(16 * time.Minute)
	_, err := w.credential(t.Context(), name, nil)
	if _, noAnswer := errors.AsType[*signin.NoAnswerError](err); !noAnswer || codeOf(err) != codeNoAnswer {
		t.Errorf("error %v", err)
	}
	w.provider.Change(func(s *signintest.State) { s.Down = false })
	w.gate.Change(func(s *signintest.GateState) { s.Lifetime = 3 * time.Hour })
	if _, err := w.credential(t.Context(), name, nil); err != nil {
		t.Error(err)
	}
}

// TestGateIsDown shows that a gate which cannot answer now ends no session.
func TestGateIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := w.signIn(t)
	w.gate.Change(func(s *signintest.GateState) { s.Down = true })
	w.forward(61 * time.Minute)
	if _, err := w.credential(t.Context(), name, nil); codeOf(err) != codeNoAnswer {
		t.Errorf("error %v", err)
	}
	w.gate.Change(func(s *signintest.GateState) { s.Down = false })
	if _, err := w.credential(t.Context(), name, nil); err != nil {
		t.Error(err)
	}
}

func TestSessionHasAnEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate.Change(func(s *signintest.GateState) { s.Session = time.Hour })
	name := w.signIn(t)
	w.forward(61 * time.Minute)
	if _, err := w.credential(t.Context(), name, nil); !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "time was up") {
		t.Errorf("error %v", err)
	}
	if w.provider.Count("refresh_token") != 0 {
		t.Error("a session beyond its end was renewed")
	}
}

func TestNoRefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.provider.Change(func(s *signintest.State) { s.NoRefreshToken = true })
	name := w.signIn(t)
	if _, err := w.credential(t.Context(), name, nil); err != nil {
		t.Error(err)
	}
	w.forward(61 * time.Minute)
	if _, err := w.credential(t.Context(), name, nil); !errors.Is(err, ErrEnded) || !errors.Is(err, session.ErrNotRenewable) {
		t.Errorf("error %v", err)
	}
}

// TestSignOutDuringARenewal shows that what a renewal brings is dropped when the person has signed out meanwhile.
func TestSignOutDuringARenewal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := w.signIn(t)
	reached, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.gate.Change(func(s *signintest.GateState) {
		s.Slow = func() { once.Do(func() { close(reached) }); <-goOn }
	})
	w.forward(61 * time.Minute)
	failed := make(chan error, 1)
	go func() {
		_, err := w.credential(t.Context(), name, nil)
		failed <- err
	}()
	<-reached
	w.leave(t.Context(), nil, true, false)
	close(goOn)
	if err := <-failed; !errors.Is(err, ErrEnded) {
		t.Errorf("error %v", err)
	}
	w.settle()
	if _, err := w.credential(t.Context(), name, nil); !errors.Is(err, ErrNoSession) {
		t.Errorf("error %v", err)
	}
}

func TestAnotherSignInReplacesTheFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	second := w.newSession(t)
	if err := w.put(second); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if open := w.gate.Open(); len(open) != 1 || open[0] != second.Session {
		t.Errorf("open %v, want %s alone", open, second.Session)
	}
}

// TestOneLeads shows that of many that want to sign a person in one does, and that the others wait for what it brings.
func TestOneLeads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.newSession(t)
	name := s.Name()
	var leaders atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	leading := make(chan struct{})
	first := make(chan error, 1)
	go func() { first <- w.lead(ctx, name, 1, func() error { leaders.Add(1); close(leading); return nil }) }()
	<-leading
	const others = 19
	results := make(chan error, others)
	for i := range others {
		go func() {
			results <- w.lead(t.Context(), name, i+2, func() error { leaders.Add(1); return errors.New("a second leader") })
		}()
	}
	if err := w.put(s); err != nil {
		t.Fatal(err)
	}
	for range others {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	cancel()
	if err := <-first; err != nil || leaders.Load() != 1 {
		t.Errorf("%v, %d leaders", err, leaders.Load())
	}
}

// TestLeaderGivesUp shows that those who wait do not try in turn, and that the next who comes may.
func TestLeaderGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const name = "n"
	ctx, cancel := context.WithCancel(t.Context())
	leading, first := make(chan struct{}), make(chan error, 1)
	go func() { first <- w.lead(ctx, name, 4711, func() error { close(leading); return nil }) }()
	<-leading
	w.mu.Lock()
	l := w.leads[name]
	w.mu.Unlock()
	waiting := make(chan error, 1)
	go func() { waiting <- w.lead(t.Context(), name, 2, func() error { return errors.New("a second leader") }) }()
	cancel()
	<-l.done
	if err := <-first; err != nil {
		t.Error(err)
	}
	// Whoever waited is told; whoever came too late to wait leads.
	if err := <-waiting; err == nil || !strings.Contains(err.Error(), "process 4711") && !strings.Contains(err.Error(), "second leader") {
		t.Errorf("error %v", err)
	}
	led := false
	if err := w.lead(t.Context(), name, 3, func() error { led = true; return errors.New("enough") }); !led {
		t.Errorf("nobody can lead any more: %v", err)
	}
}

func TestPipeline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	from := &begin{source: session.Source{Address: w.gate.Address, TokenFile: file}}
	name := from.source.Name()

	write("wrong")
	if _, err := w.credential(t.Context(), name, from); codeOf(err) != codeRefused {
		t.Errorf("wrong token: %v", err)
	}
	if len(w.list()) != 0 {
		t.Error("a pipeline that was refused is kept")
	}
	write(signintest.PipelineToken)
	before := w.gate.Count("token")
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if s, err := w.credential(t.Context(), name, from); err != nil || s.Username != "system:serviceaccount:ci:deployer" {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := w.gate.Count("token") - before; got != 1 {
		t.Errorf("%d exchanges; want 1", got)
	}
	// Each of its certificates has a session at the gate; all of them end with it.
	w.forward(45 * time.Minute)
	if _, err := w.credential(t.Context(), name, from); err != nil {
		t.Error(err)
	}
	w.settle()
	if open := w.gate.Open(); len(open) != 2 || len(w.sessions[name].current.Earlier) != 1 {
		t.Errorf("open %v", open)
	}
	w.forward(61 * time.Minute)
	if _, err := w.credential(t.Context(), name, from); err != nil {
		t.Errorf("a pipeline's session was not renewed after its end: %v", err)
	}
	if lefts := w.leave(t.Context(), nil, true, false); len(lefts) != 1 || !lefts[0].Told || len(w.gate.Open()) != 0 {
		t.Errorf("%+v, open %v", lefts, w.gate.Open())
	}
	if _, err := w.credential(t.Context(), name, from); err != nil {
		t.Error(err)
	}
	w.forward(61 * time.Minute)
	write("no-longer-good")
	if _, err := w.credential(t.Context(), name, nil); !errors.Is(err, ErrEnded) {
		t.Errorf("the token was not read anew: %v", err)
	}
	write(signintest.PipelineToken)
	if _, err := w.credential(t.Context(), name, from); err != nil {
		t.Errorf("a new session: %v", err)
	}
}

// TestPipelineWithATokenOfItsOwn has the token given with each call, as from an environment variable.
func TestPipelineWithATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	from := &begin{source: session.Source{Address: w.gate.Address, Label: "env CI"}, token: secret.New(signintest.PipelineToken)}
	name := from.source.Name()
	if _, err := w.credential(t.Context(), name, from); err != nil {
		t.Fatal(err)
	}
	w.forward(61 * time.Minute)
	if _, err := w.credential(t.Context(), name, from); err != nil {
		t.Errorf("the session ended, and the token that came along was not used: %v", err)
	}
	if w.gate.Count("token") != 2 {
		t.Errorf("%d exchanges", w.gate.Count("token"))
	}
}

func TestAgentWithoutSessionsEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.look()
	if w.stopped.Load() {
		t.Fatal("it ended before the program that started it could bring a session")
	}
	w.forward(linger + time.Second)
	w.look()
	if !w.stopped.Load() {
		t.Error("it stays without a session")
	}
	busy := newWorld(t)
	busy.signIn(t)
	busy.look()
	busy.forward(11 * time.Hour)
	busy.look()
	if busy.stopped.Load() {
		t.Error("it ended with a session")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := w.signIn(t)
	s, err := w.credential(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, secret := range []string{s.Key.Reveal(), s.Refresh.Reveal()} {
			if text := fmt.Sprintf(verb, s); strings.Contains(text, secret) {
				t.Errorf("%s prints a secret", verb)
			}
		}
	}
}

// TestEndingAgentTakesNothingIn shows that a session is not put into an agent that is about to end, where it would be lost.
func TestEndingAgentTakesNothingIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.newSession(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.ctx = ctx
	if err := w.put(s); codeOf(err) != codeEnding || !errors.Is((failure{Code: codeEnding, Message: "x"}).err(), ErrNoAgent) {
		t.Errorf("put: %v", err)
	}
	if _, err := w.credential(t.Context(), s.Name(), nil); codeOf(err) != codeEnding {
		t.Errorf("credential: %v", err)
	}
	if err := w.lead(t.Context(), s.Name(), 1, func() error { return nil }); codeOf(err) != codeEnding {
		t.Errorf("lead: %v", err)
	}
}

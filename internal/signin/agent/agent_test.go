package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/signin/session"
	"github.com/ostiary/ostiary/internal/signin/signintest"
)

// runtimeFolder gives the test a folder for sockets, whose names must be short.
func runtimeFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "o") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	t.Setenv("XDG_RUNTIME_DIR", folder)
	return folder
}

// agents runs agents inside the test, and counts them.
type agents struct {
	t       *testing.T
	started atomic.Int32
	group   sync.WaitGroup
}

func (a *agents) start() error {
	a.group.Go(func() {
		a.started.Add(1)
		if err := Serve(a.t.Context(), slog.New(slog.DiscardHandler)); err != nil {
			a.t.Error(err)
		}
	})
	return nil
}

// endWith has the agent take a session in and leave it, and waits for the end of all that were started.
func (a *agents) endWith(client *Client, s *session.Session, local bool) {
	a.t.Helper()
	if err := client.Put(a.t.Context(), s); err != nil {
		a.t.Error(err)
	}
	if _, err := client.Leave(a.t.Context(), nil, true, local); err != nil {
		a.t.Error(err)
	}
	a.group.Wait()
}

// TestAgent goes through the socket, from the first call to the end of the agent.
func TestAgent(t *testing.T) {
	folder := runtimeFolder(t)
	if _, err := Dial(t.Context()); !errors.Is(err, ErrNoAgent) {
		t.Fatalf("error %v", err)
	}
	w := newWorld(t)
	running := &agents{t: t}
	client, err := Start(t.Context(), running.start)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for path, want := range map[string]os.FileMode{"ostiary": os.ModeDir | 0o700} {
		info, err := os.Lstat(filepath.Join(folder, path))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	s := w.newSession(t)
	if _, err := client.Credential(t.Context(), s.Name()); !errors.Is(err, ErrNoSession) {
		t.Errorf("error %v", err)
	}
	leads, done, err := client.Lead(t.Context(), s.Name())
	if err != nil || !leads {
		t.Fatal(leads, err)
	}
	waiting := make(chan error, 1)
	go func() {
		leads, done, err := client.Lead(t.Context(), s.Name())
		if err == nil {
			done()
		}
		if leads {
			err = errors.New("two lead")
		}
		waiting <- err
	}()
	if err := client.Put(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	done()
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	handed, err := client.Credential(t.Context(), s.Name())
	if err != nil || handed.Key != s.Key.Reveal() || handed.Certificate != s.Certificate || handed.Address != w.gate.Address || handed.Username != "jane" {
		t.Errorf("%+v, %v", handed, err)
	}
	infos, err := client.List(t.Context())
	if err != nil || len(infos) != 1 || infos[0].Provider != "corp" || infos[0].Username != "jane" || infos[0].Ended {
		t.Errorf("%+v, %v", infos, err)
	}
	if _, err := client.Pipeline(t.Context(), session.Source{Address: w.gate.Address, Label: "x"}, "wrong"); codeOfClient(err) != codeRefused {
		t.Errorf("error %v", err)
	}
	if handed, err := client.Pipeline(t.Context(), session.Source{Address: w.gate.Address, Label: "x"}, signintest.PipelineToken); err != nil || handed.Username == "jane" {
		t.Error(err)
	}
	lefts, err := client.Leave(t.Context(), nil, true, false)
	if err != nil || len(lefts) != 2 || !lefts[0].Told || len(w.gate.Open()) != 0 {
		t.Errorf("%+v, %v", lefts, err)
	}
	running.group.Wait() // it ends by itself
	if _, err := Dial(t.Context()); !errors.Is(err, ErrNoAgent) {
		t.Errorf("error %v", err)
	}
}

func codeOfClient(err error) string {
	if _, ok := errors.AsType[*RefusedError](err); ok {
		return codeRefused
	}
	return codeOther
}

// TestManyStartOneAgent shows that programs which start an agent at the same time end with one.
func TestManyStartOneAgent(t *testing.T) {
	folder := runtimeFolder(t)
	// What an agent that was killed leaves behind.
	if err := os.MkdirAll(filepath.Join(folder, "ostiary"), 0o700); err != nil {
		t.Fatal(err)
	}
	stale, err := net.Listen("unix", filepath.Join(folder, "ostiary", socketName))
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	s := w.newSession(t)
	running := &agents{t: t}
	const programs = 10
	clients := make([]*Client, programs)
	var group sync.WaitGroup
	for i := range programs {
		group.Go(func() {
			client, err := Start(t.Context(), running.start)
			if err != nil {
				t.Error(err)
				return
			}
			clients[i] = client
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if err := clients[0].Put(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, client := range clients {
		if _, err := client.Credential(t.Context(), s.Name()); err != nil {
			t.Errorf("another agent: %v", err)
		}
		client.Close()
	}
	last, err := Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	if _, err := last.Leave(t.Context(), nil, true, false); err != nil {
		t.Error(err)
	}
	running.group.Wait()
}

func TestStartGivesUp(t *testing.T) {
	runtimeFolder(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("not started"))
	defer cancel()
	if _, err := Start(ctx, func() error { return nil }); err == nil {
		t.Error("an agent that never came")
	}
	if _, err := Start(t.Context(), func() error { return errors.New("no such program") }); err == nil || !strings.Contains(err.Error(), "no such program") {
		t.Errorf("error %v", err)
	}
}

// TestFolderOfSomebodyElse shows that the agent's folder is refused where others could have a hand in it.
func TestFolderOfSomebodyElse(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(path string) error
		want    string
	}{
		"open to others": {func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o711)) }, "0700"},
		"a link":         {func(path string) error { return os.Symlink(os.TempDir(), path) }, "no folder"},
		"a file":         {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "no folder"},
		"nowhere":        {func(path string) error { return os.Remove(filepath.Dir(path)) }, "XDG_RUNTIME_DIR"},
	} {
		t.Run(name, func(t *testing.T) {
			runtime := runtimeFolder(t)
			if err := tt.prepare(filepath.Join(runtime, "ostiary")); err != nil {
				t.Fatal(err)
			}
			if folder, err := Folder(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q, %v; want %q", folder, err, tt.want)
			}
			if _, err := Dial(t.Context()); err == nil || errors.Is(err, ErrNoAgent) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestAnotherProtocol shows that what is no agent of this version is said to be so.
func TestMessagesOfAnotherProtocol(t *testing.T) {
	runtimeFolder(t)
	w := newWorld(t)
	running := &agents{t: t}
	client, err := Start(t.Context(), running.start)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ask(t.Context(), "/v9/put", nil, &struct{}{}); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("error %v", err)
	}
	for _, message := range []string{"", "{", `{"address":{"url":"http://clear.example"}}`, `{"certificate":"x","key":"y","address":{"url":"https://x.example"}}`} {
		if err := client.ask(t.Context(), pathPut, []byte(message), &struct{}{}); err == nil {
			t.Errorf("put of %q", message)
		}
	}
	running.endWith(client, w.newSession(t), true)
}

// TestStartAgain starts another agent where the first found one that was about to end, and so did not stay.
func TestStartAgain(t *testing.T) {
	runtimeFolder(t)
	w := newWorld(t)
	running := &agents{t: t}
	calls := 0
	client, err := Start(t.Context(), func() error {
		if calls++; calls == 1 {
			return nil
		}
		return running.start()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	running.endWith(client, w.newSession(t), false)
}

// TestAgentThatIsAboutToEnd is asked more than once while it can be reached: what it does not take any more is for the next one.
func TestAgentThatIsAboutToEnd(t *testing.T) {
	runtimeFolder(t)
	folder, err := Folder()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(folder, socketName))
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	last := &http.Server{ReadHeaderTimeout: messageTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, errEnding)
		if asked.Add(1) == 3 {
			_ = listener.Close() // and nobody can reach it any more
		}
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = last.Serve(listener)
	}()
	w := newWorld(t)
	running := &agents{t: t}
	client, err := Start(t.Context(), running.start)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	running.endWith(client, w.newSession(t), false)
	if asked.Load() < 3 {
		t.Errorf("it was asked %d times", asked.Load())
	}
	<-served
	_ = last.Close()
}

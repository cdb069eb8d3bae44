package kubectl

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/ostiary/ostiary/internal/signin/agent"
)

// TestLogoutWhileTheAgentEnds: an agent that ends between two questions has no sessions any more, and that is no failure.
func TestLogoutWhileTheAgentEnds(t *testing.T) {
	runtime, err := os.MkdirTemp("", "o") //nolint:usetesting // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	folder, err := agent.Folder()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(folder, "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	reached := make(chan struct{})
	go func() {
		defer close(reached)
		conn, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		_ = listener.Close()
		_ = conn.Close()
	}()
	if lefts, err := leaveAgent(t.Context(), "", false); err != nil || len(lefts) > 0 {
		t.Errorf("%+v, %v", lefts, err)
	}
	<-reached
	if lefts, err := leaveAgent(t.Context(), "", false); err != nil || len(lefts) > 0 {
		t.Errorf("without an agent: %+v, %v", lefts, err)
	}
}

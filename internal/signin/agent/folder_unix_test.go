//go:build unix

package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLongNames says what is wrong with a folder in which no socket can be, and does not wait for one.
func TestLongNames(t *testing.T) {
	runtime := filepath.Join(runtimeFolder(t), strings.Repeat("x", 90))
	if err := os.Mkdir(runtime, folderMode); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	if _, err := Start(t.Context(), func() error { return errors.New("started") }); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("error %v", err)
	}
	t.Setenv("XDG_RUNTIME_DIR", runtime[:maxSocketPath-len("/ostiary/agent.sock")])
	if err := os.Mkdir(os.Getenv("XDG_RUNTIME_DIR"), folderMode); err != nil {
		t.Fatal(err)
	}
	listener, err := listen(t.Context(), func() string {
		folder, err := Folder()
		if err != nil {
			t.Fatal(err)
		}
		return folder
	}())
	if err != nil {
		t.Fatalf("as long as may be: %v", err)
	}
	_ = listener.Close()
}

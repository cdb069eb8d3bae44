package binaries_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
)

func TestUnknownProgram(t *testing.T) {
	for _, tt := range []struct {
		name    string
		program binaries.Program
	}{
		{"none", ""},
		{"misspelt", "kube-api-server"},
		{"a path", "../../bin/sh"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if paths, err := (binaries.Builder{}).Build(t.Context(), tt.program); err == nil {
				t.Errorf("built %v, want a refusal", paths)
			}
		})
	}
}

// The version is what the pinned module says.
func TestKubectlTellsItsVersion(t *testing.T) {
	paths, err := binaries.FromEnvironment(os.Stderr).Build(t.Context(), binaries.Kubectl)
	if err != nil {
		t.Fatal(err)
	}
	want, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatal(err)
	}
	got, err := exec.CommandContext(t.Context(), paths[binaries.Kubectl], "version", "--client").Output()
	if err != nil {
		t.Fatal(err)
	}
	if line := "Client Version: " + strings.TrimSpace(string(want)); !strings.Contains(string(got), line) {
		t.Errorf("kubectl says %q, want %q", got, line)
	}
}

// Two builds at a time would compile Kubernetes twice.
func TestOneBuildAtATime(t *testing.T) {
	paths, err := binaries.FromEnvironment(os.Stderr).Build(t.Context(), binaries.Kubectl)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(strings.TrimSuffix(paths[binaries.Kubectl], "kubectl")+".lock", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := (binaries.Builder{}).Build(ctx, binaries.Kubectl); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want to have waited for the lock", err)
	}
	// What is said to be built is not looked at.
	if again, err := (binaries.Builder{Built: true}).Build(t.Context(), binaries.Kubectl); err != nil || again[binaries.Kubectl] != paths[binaries.Kubectl] {
		t.Errorf("built %v, %v", again, err)
	}
}

// What is said to be built, and is not there, is an error.
func TestNotBuilt(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "e2e"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "e2e", "go.mod"), []byte("module github.com/ostiary/ostiary/e2e\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(root, "e2e"))
	if paths, err := (binaries.Builder{Built: true}).Build(t.Context(), binaries.Etcd); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("built %v, %v", paths, err)
	}
}

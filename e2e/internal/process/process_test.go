//go:build linux

package process_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/process"
)

// deadline bounds every wait here.
const deadline = 2 * time.Minute

// start runs a shell script that says "ready" when it is.
func start(t *testing.T, script string) *process.Process {
	t.Helper()
	p, err := process.Start(process.Spec{
		Name: "script", Path: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	await(t, "the script to be ready", func() bool {
		tail, err := process.Tail(p.LogFile())
		return err == nil && strings.Contains(tail, "ready")
	})
	return p
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !is() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// gone tells whether a process has ended. One that nobody has asked how it ended counts as gone: in a container there
// may be no init that asks soon.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// children reads which processes a script said it started.
func children(t *testing.T, p *process.Process) []int {
	t.Helper()
	log, err := process.Tail(p.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for line := range strings.Lines(log) {
		if number, found := strings.CutPrefix(strings.TrimSpace(line), "child "); found {
			pid, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, pid)
		}
	}
	return all
}

func TestNothingIsLeft(t *testing.T) {
	const family = "sleep 600 & echo child $!; sleep 600 & echo child $!; echo ready; "
	stop := func(p *process.Process) error { return p.Stop(time.Second) }
	for _, tt := range []struct {
		name, script string
		end          func(*process.Process) error
	}{
		{"killed", family + "wait", (*process.Process).Kill},
		{"stopped", family + "wait", stop},
		{"stopped and deaf to it", "trap '' TERM; " + family + "while :; do wait; done", stop},
		{"ended by itself", family + "exit 3", func(*process.Process) error { return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t, tt.script)
			started := children(t, p)
			if len(started) != 2 {
				t.Fatalf("the script started %d processes, want 2", len(started))
			}
			if err := tt.end(p); err != nil {
				t.Fatal(err)
			}
			<-p.Done()
			if p.Err() == nil {
				t.Error("the script ended well, want to know how it ended")
			}
			for _, child := range started {
				await(t, "a child to be gone", func() bool { return gone(child) })
			}
		})
	}
}

func TestStartOfNothing(t *testing.T) {
	_, err := process.Start(process.Spec{Name: "nothing", Path: "/nonexistent/program", Log: filepath.Join(t.TempDir(), "log")})
	if err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("error = %v, want one that names the program", err)
	}
}

// parentVariable turns the test binary into the parent of TestParentIsKilled.
const parentVariable = "PROCESS_TEST_PARENT"

func TestMain(m *testing.M) {
	if log := os.Getenv(parentVariable); log != "" {
		p, err := process.Start(process.Spec{Name: "orphan", Path: "/bin/sleep", Args: []string{"600"}, Log: log})
		if err != nil {
			os.Exit(1)
		}
		_, _ = io.WriteString(os.Stdout, strconv.Itoa(p.PID())+"\n")
		<-p.Done()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A test that is killed cannot clean up; the kernel does.
func TestParentIsKilled(t *testing.T) {
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+filepath.Join(t.TempDir(), "log"))
	output, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(child, 0); err != nil {
		t.Fatalf("the child is not there: %v", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed, as was asked for
	await(t, "the child of a killed parent to be gone", func() bool { return gone(child) })
}

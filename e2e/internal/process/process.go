// Package process runs programs so that nothing of them is left behind: each runs in a process group of its own, is
// killed with all its children at the end, and, on Linux, is killed by the kernel when the program that started it
// dies without having cleaned up.
package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// killGrace bounds the wait for a killed process to be gone. The kernel needs milliseconds; a process that sits in an
// uninterruptible call may need longer.
const killGrace = time.Minute

// tailBytes is how much of a log LogTail shows: enough for a stack trace, not so much that it buries the test's own
// words.
const tailBytes = 8 << 10

// Spec says what to run.
type Spec struct {
	// Name is for errors and messages.
	Name string
	// Path is the program.
	Path string
	// Args are its arguments, without the program itself.
	Args []string
	// Env is the whole environment; nil means that of this process.
	Env []string
	// Dir is the working directory; empty means that of this process.
	Dir string
	// Log is the file that takes standard output and standard error. It is truncated at the start.
	Log string
	// Thread, if not nil, is called on the thread that starts the program, which is used for nothing else and ends with it:
	// what it changes of the thread, such as its network namespace, the program inherits.
	Thread func() error
}

// Process is a running program. Its methods are safe for concurrent use.
type Process struct {
	spec Spec
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid when done is closed
	stop sync.Once

	mu     sync.Mutex
	reaped bool // the number may belong to somebody else from then on
}

// Start starts a program. Whoever calls it must call Stop.
func Start(spec Spec) (*Process, error) {
	log, err := os.Create(spec.Log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	// The program outlives any one call, so there is no context to tie it to: Stop ends it.
	cmd := exec.Command(spec.Path, spec.Args...) //nolint:gosec,noctx // running programs is what this package is for
	cmd.Env, cmd.Dir = spec.Env, spec.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = Attributes()
	p := &Process{spec: spec, cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel kills the child when the thread that started it ends, not only when the process does: the
		// thread must be kept for as long as the child runs.
		runtime.LockOSThread()
		err := error(nil)
		if spec.Thread != nil {
			err = spec.Thread() // the thread is never unlocked: it ends with this goroutine
		} else {
			defer runtime.UnlockOSThread()
		}
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err != nil {
			return
		}
		p.err = p.reap()
		close(p.done)
	}()
	err = <-started
	if closeErr := log.Close(); err == nil && closeErr != nil {
		err = errors.Join(closeErr, p.Kill())
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	return p, nil
}

// Name is the name the program was started under.
func (p *Process) Name() string { return p.spec.Name }

// PID is the number of the process, which is the number of its group as well.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// LogFile is the file with the program's output.
func (p *Process) LogFile() string { return p.spec.Log }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the program ended: nil for exit status 0, an *exec.ExitError otherwise. It may be called only after Done
// is closed.
func (p *Process) Err() error { return p.err }

// Signal sends a signal to the program itself, not to its children.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to %s: %w", sig, p.spec.Name, err)
	}
	return nil
}

// Kill ends the program and all its children at once and waits until the program is gone.
func (p *Process) Kill() error {
	if err := p.killGroup(); err != nil {
		return err
	}
	timer := time.NewTimer(killGrace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("kill %s: still there after %s", p.spec.Name, killGrace)
	}
}

func (p *Process) killGroup() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return nil
	}
	if err := KillGroup(p.PID()); err != nil {
		return fmt.Errorf("kill %s: %w", p.spec.Name, err)
	}
	return nil
}

// KillGroup kills a process group. One that has ended already is no error.
func KillGroup(id int) error {
	if err := syscall.Kill(-id, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// Stop asks the program to end with SIGTERM, kills it when it has not ended after grace, and leaves none of its
// children. It says only what could not be cleaned up, not how the program ended: see Err. There is no context: cleaning
// up is most needed when the caller's has ended.
func (p *Process) Stop(grace time.Duration) error {
	var err error
	p.stop.Do(func() {
		if sigErr := p.Signal(syscall.SIGTERM); sigErr == nil {
			timer := time.NewTimer(grace)
			defer timer.Stop()
			select {
			case <-p.done:
			case <-timer.C:
			}
		}
		err = p.Kill()
	})
	return err
}

// LogTail is the end of the program's output, for messages about failures.
func (p *Process) LogTail() string {
	tail, err := Tail(p.spec.Log)
	if err != nil {
		return fmt.Sprintf("(the output of %s cannot be read: %v)", p.spec.Name, err)
	}
	return fmt.Sprintf("--- the end of what %s wrote (all of it: %s)\n%s", p.spec.Name, p.spec.Log, tail)
}

// Tail is the last few kilobytes of a file.
func Tail(file string) (string, error) {
	f, err := os.Open(file) //nolint:gosec // the caller's own log
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return "", err
		}
	}
	tail, err := io.ReadAll(f)
	return string(tail), err
}

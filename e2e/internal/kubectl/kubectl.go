// Package kubectl runs the real kubectl, away from the kubeconfig and the caches of whoever runs the tests, and writes
// the kubeconfig files that it needs.
package kubectl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/process"
)

// DefaultTimeout bounds one run where the context does not: generous, since a small machine may be compiling beside
// the tests.
const DefaultTimeout = 3 * time.Minute

// pipeGrace bounds the wait for the output of a killed kubectl whose children hold its pipes.
const pipeGrace = 5 * time.Second

// Command is a kubectl with a kubeconfig. It is a plain value: copy it and change the copy.
type Command struct {
	// Path is the program; required.
	Path string
	// Kubeconfig is the file; required. Caches are kept beside it.
	Kubeconfig string
	// Env is added to a small environment made of PATH, HOME and the cache folder, as NAME=value.
	Env []string
	// PluginDir, if set, is put in front of PATH, for "kubectl ostiary".
	PluginDir string
	// Timeout bounds one Run; 0 means DefaultTimeout.
	Timeout time.Duration
}

// Result is how a run ended.
type Result struct {
	// Args are what was run, without the program.
	Args []string
	// Stdout and Stderr are what it wrote.
	Stdout, Stderr string
	// ExitCode is its exit status.
	ExitCode int
}

// String is the whole run as a person would see it, for messages about failures.
func (r Result) String() string {
	return fmt.Sprintf("$ kubectl %s\n%s%s(exit status %d)", strings.Join(r.Args, " "), r.Stdout, r.Stderr, r.ExitCode)
}

// FailedError is a run that was to succeed and did not.
type FailedError struct{ Result Result }

// Error is the whole run.
func (e *FailedError) Error() string { return "kubectl failed:\n" + e.Result.String() }

// With is a copy with more environment.
func (c Command) With(env ...string) Command {
	c.Env = append(append([]string{}, c.Env...), env...)
	return c
}

// Run runs kubectl to its end. Any exit status is a result; an error means that it did not run or not end in time.
func (c Command) Run(ctx context.Context, args ...string) (Result, error) {
	return c.RunInput(ctx, nil, args...)
}

// RunInput is Run with standard input.
func (c Command) RunInput(ctx context.Context, stdin io.Reader, args ...string) (Result, error) {
	var stdout bytes.Buffer
	r, err := c.Stream(ctx, stdin, &stdout, args...)
	r.Stdout = stdout.String()
	return r, err
}

// Stream is RunInput with standard output going to a writer instead of the result.
func (c Command) Stream(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) (Result, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var stderr bytes.Buffer
	cmd := c.command(ctx, args)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &stderr
	err := process.Run(cmd, nil)
	r := Result{Args: args, Stderr: stderr.String(), ExitCode: -1}
	if cmd.ProcessState != nil {
		r.ExitCode = cmd.ProcessState.ExitCode()
	}
	if ctx.Err() != nil {
		return r, fmt.Errorf("kubectl %s did not end in time: %w; it wrote: %s", strings.Join(args, " "), context.Cause(ctx), r.Stderr)
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return r, fmt.Errorf("run kubectl %s: %w", strings.Join(args, " "), err)
	}
	return r, nil
}

// MustSucceed is Run that takes any exit status but 0 for an error, a *FailedError, and returns standard output.
func (c Command) MustSucceed(ctx context.Context, args ...string) (string, error) {
	return c.MustSucceedInput(ctx, nil, args...)
}

// MustSucceedInput is MustSucceed with standard input.
func (c Command) MustSucceedInput(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	r, err := c.RunInput(ctx, stdin, args...)
	if err != nil {
		return "", err
	}
	if r.ExitCode != 0 {
		return r.Stdout, &FailedError{r}
	}
	return r.Stdout, nil
}

func (c Command) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Path, args...) //nolint:gosec // running kubectl is what this package is for
	home := filepath.Dir(c.Kubeconfig)
	path := os.Getenv("PATH")
	if c.PluginDir != "" {
		path = c.PluginDir + string(os.PathListSeparator) + path
	}
	cmd.Env = append([]string{
		"PATH=" + path,
		"HOME=" + home,
		"KUBECONFIG=" + c.Kubeconfig,
		"KUBECACHEDIR=" + filepath.Join(home, "kubectl-cache"),
		"GORACE=" + os.Getenv("GORACE"), // for the plugin
	}, c.Env...)
	cmd.Dir = home
	cmd.SysProcAttr = process.Attributes()
	cmd.Cancel = func() error { return process.KillGroup(cmd.Process.Pid) }
	cmd.WaitDelay = pipeGrace
	return cmd
}

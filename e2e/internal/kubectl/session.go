package kubectl

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ostiary/ostiary/e2e/internal/process"
	"github.com/ostiary/ostiary/e2e/internal/tailbuffer"
)

// Session is a kubectl that keeps running: logs -f, attach, port-forward, a watch. Its methods are safe for
// concurrent use.
type Session struct {
	// Stdin is its standard input; closing it is what ends an attach.
	Stdin  io.WriteCloser
	args   []string
	output *tailbuffer.Buffer
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid when done is closed
}

// Start starts kubectl. Whoever calls it must call Stop; the end of ctx stops it as well.
func (c Command) Start(ctx context.Context, args ...string) (*Session, error) {
	// A pipe of the system, not io.Pipe: nothing then has to copy, and the program's end does not wait for a copier.
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start kubectl: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &Session{Stdin: writer, args: args, output: tailbuffer.New(), cancel: cancel, done: make(chan struct{})}
	cmd := c.command(ctx, args)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = reader, s.output, s.output
	go func() {
		s.err = process.Run(cmd, func() { _ = reader.Close() })
		close(s.done)
		_ = s.output.Close()
	}()
	return s, nil
}

// Output is what it wrote so far, standard output and standard error as they came.
func (s *Session) Output() string { return s.output.String() }

// WaitFor waits until the output holds text. It is an error when the program or ctx ends first.
func (s *Session) WaitFor(ctx context.Context, text string) error {
	for {
		all, more := s.output.From(0)
		got := string(all)
		if strings.Contains(got, text) {
			return nil
		}
		if more == nil {
			return fmt.Errorf("kubectl %s ended (%v) and never wrote %q; it wrote:\n%s", strings.Join(s.args, " "), s.Err(), text, got) //nolint:errorlint // how it ended is a remark
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("kubectl %s did not write %q in time: %w; it wrote:\n%s", strings.Join(s.args, " "), text, context.Cause(ctx), got)
		}
	}
}

// Wait waits for the program's end and returns how it ended, as exec.Cmd.Wait does.
func (s *Session) Wait(ctx context.Context) error {
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("kubectl %s did not end in time: %w; it wrote:\n%s", strings.Join(s.args, " "), context.Cause(ctx), s.Output())
	}
}

// Err is how the program ended, and nil while it runs.
func (s *Session) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Done is closed when the program has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Stop kills the program, if it still runs, and waits for its end.
func (s *Session) Stop() {
	s.cancel()
	<-s.done
	_ = s.Stdin.Close()
}

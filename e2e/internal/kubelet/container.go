package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"

	utilexec "k8s.io/utils/exec"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"github.com/ostiary/ostiary/e2e/internal/process"
	"github.com/ostiary/ostiary/e2e/internal/tailbuffer"
)

// errNoTerminal refuses what this node cannot do.
var errNoTerminal = errors.New("this node has no terminals: leave out --tty")

// container is the one container of a pod: a process of this machine in a folder of its own. It shares the machine's
// files and network, so that relative paths are the container's and absolute ones the machine's.
type container struct {
	id        string
	dir       string
	stdinOnce bool
	log       *tailbuffer.Buffer
	stdin     io.WriteCloser
	stdinMu   sync.Mutex // one attached writer at a time
	kill      context.CancelFunc
	done      chan struct{}
}

// startContainer runs the pod's command; without one there is a process that only waits to be killed.
func startContainer(ctx context.Context, id, dir string, command []string, stdinOnce bool) (*container, error) {
	if len(command) == 0 {
		command = []string{"sh", "-c", "cat >/dev/null; exec sleep infinity"}
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start container %s: %w", id, err)
	}
	ctx, kill := context.WithCancel(ctx)
	c := &container{
		id: id, dir: dir, stdinOnce: stdinOnce, log: tailbuffer.New(), stdin: writer, kill: kill, done: make(chan struct{}),
	}
	cmd := c.command(ctx, command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = reader, c.log, c.log
	started := make(chan struct{})
	go func() {
		err := process.Run(cmd, func() {
			_ = reader.Close()
			close(started)
		})
		if err != nil && ctx.Err() == nil {
			// As a container runtime does, tell whoever reads the logs.
			_, _ = fmt.Fprintf(c.log, "container ended: %v\n", err)
		}
		_ = c.log.Close()
		_ = writer.Close()
		close(c.done)
	}()
	<-started
	return c, nil
}

// command is a program in the container, in a process group that ends with ctx.
func (c *container) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // running what it is told to is a node's work
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "LC_ALL=C"}
	cmd.SysProcAttr = process.Attributes()
	cmd.Cancel = func() error { return process.KillGroup(cmd.Process.Pid) }
	return cmd
}

// runtime is the container runtime behind the streaming server: what containerd is to a kubelet.
type runtime struct {
	ctx  context.Context //nolint:containedctx // the node's life: streams end with it, whatever their requests say
	find func(id string) (*container, error)
}

// within is a context that ends with a stream's request and with the node.
func (r *runtime) within(request context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(request)
	stop := context.AfterFunc(r.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// Exec runs a command in a container.
func (r *runtime) Exec(request context.Context, id string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, _ <-chan remotecommand.TerminalSize) error {
	c, err := r.find(id)
	if err != nil {
		return err
	}
	if tty {
		return errNoTerminal
	}
	if len(command) == 0 {
		return errors.New("no command to execute")
	}
	ctx, cancel := r.within(request)
	defer cancel()
	cmd := c.command(ctx, command)
	if out != nil {
		cmd.Stdout = out
	}
	if errOut != nil {
		cmd.Stderr = errOut
	}
	if in != nil {
		// Not cmd.Stdin: a command may end before its input does, and is not to wait for it.
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(stdin, in)
			_ = stdin.Close()
		}()
	}
	err = process.Run(cmd, nil)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

// Attach joins the container's own process: what it writes from now on, and its input.
func (r *runtime) Attach(request context.Context, id string, in io.Reader, out, _ io.WriteCloser, tty bool, _ <-chan remotecommand.TerminalSize) error {
	c, err := r.find(id)
	if err != nil {
		return err
	}
	if tty {
		return errNoTerminal
	}
	offset := c.log.Len()
	ctx, cancel := r.within(request)
	defer cancel()
	if in != nil {
		go func() {
			c.stdinMu.Lock()
			defer c.stdinMu.Unlock()
			_, _ = io.Copy(c.stdin, in)
			if c.stdinOnce {
				_ = c.stdin.Close()
			} else {
				cancel()
			}
		}()
	}
	if out == nil {
		out = discard{}
	}
	err = c.log.Follow(ctx, out, offset)
	if ctx.Err() != nil && r.ctx.Err() == nil {
		return nil // detached
	}
	return err
}

// discard is an output that nobody asked for.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

// PortForward joins a stream with a port of this machine.
func (r *runtime) PortForward(request context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	if _, err := r.find(id); err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	ctx, cancel := r.within(request)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	go func() {
		_, _ = io.Copy(conn, stream)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	}()
	_, err = io.Copy(stream, conn)
	return err
}

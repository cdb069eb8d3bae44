// Command demo starts a real control plane, a real OpenID Connect provider and Ostiary in front, and shows callers coming
// in by each of Kubernetes' eight mechanisms, a second API server that asks Ostiary about a token, a person who signs in, and
// one who is shut out. It fails when
// anything does not go as it says.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

func main() {
	once := flag.Bool("once", os.Getenv("DEMO") == "once", "end when everything was shown, instead of staying up")
	flag.Usage = func() {
		_, _ = fmt.Fprintf(flag.CommandLine.Output(), "Usage: demo [-once]\n\nShows Ostiary in front of a real Kubernetes API server.\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		_, _ = fmt.Fprintf(os.Stderr, "demo: there are no arguments, got %q; see -h\n", flag.Args())
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A second Ctrl-C ends the demo at once; the kernel then ends what it started.
	context.AfterFunc(ctx, stop)
	err := run(ctx, newTerminal(os.Stdout, wantsColour(os.Stdout)), *once)
	stop()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// run starts everything, tells the story, stays up unless once, and stops everything.
func run(ctx context.Context, t *terminal, once bool) (err error) {
	t.title("Ostiary in front of a real Kubernetes API server")
	w := &world{terminal: t}
	defer func() {
		if !once || ctx.Err() != nil {
			t.note("stopping everything")
		}
		if stopErr := w.stop(); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("clean up: %w", stopErr))
		}
		if err == nil && !once {
			t.note("everything is stopped, and its files are removed")
		}
	}()
	if err := w.start(ctx); err != nil {
		return interrupted(ctx, err)
	}
	s := &story{world: w}
	if err := s.tell(ctx); err != nil {
		return interrupted(ctx, err)
	}
	if s.failed > 0 {
		return fmt.Errorf("%d of %d checks failed; they are marked with ✗ above", s.failed, s.checks)
	}
	t.line("")
	t.good(fmt.Sprintf("all %d checks are as they should be", s.checks))
	if once {
		return nil
	}
	s.invite()
	<-ctx.Done()
	t.line("")
	return nil
}

// interrupted names the person's own Ctrl-C instead of what broke by it.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// wantsColour says whether somebody reads the output on a terminal, and has nothing against colour (no-color.org).
func wantsColour(f *os.File) bool {
	_, refused := os.LookupEnv("NO_COLOR")
	return !refused && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

var _ io.Writer = (*terminal)(nil)

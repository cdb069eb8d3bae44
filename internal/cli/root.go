// Package cli is the command line of the program ostiary: a file per command. Commands read and write only what they are
// given, and end with one of three exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/server"
)

// The exit codes, for scripts.
const (
	ExitOK      = 0 // done
	ExitFailure = 1 // the configuration is invalid, or the work failed
	ExitUsage   = 2 // wrong flags or arguments; nothing was done
)

// IO is what a command reads from and writes to: its result to Out, everything else to Err.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
}

// configCheck judges a part of a configuration that belongs to a mechanism, such as the lines of a token file, without
// side effects. Its error says everything that is wrong, one mistake a line; an *config.InvalidError is shown as it is.
type configCheck func(ctx context.Context, checked *config.Checked) error

// program is what the commands share.
type program struct {
	// checks run in order after a configuration was loaded, wherever a command loads one.
	checks []configCheck
}

// commands is the list of everything that the program can do.
func (p program) commands(streams IO) []*cobra.Command {
	return []*cobra.Command{
		p.configCommand(streams),
		p.serveCommand(streams),
		p.storeCommand(streams),
		issuerCommand(streams),
		p.versionCommand(streams),
	}
}

// Run executes the command that args names, args being those after the program's name, and returns the exit code. It
// stops when ctx is done.
func Run(ctx context.Context, streams IO, args []string) int {
	return program{checks: []configCheck{checkMechanisms(streams.Err)}}.run(ctx, streams, args)
}

// checkMechanisms builds everything that the server would decide by, and starts nothing. What it warns of goes to w.
func checkMechanisms(w io.Writer) configCheck {
	logger := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{} // the reader is there now
			}
			return a
		},
	}))
	return func(ctx context.Context, checked *config.Checked) error {
		silenceKubernetes()
		known := *checked
		known.Warnings = nil // they were shown, with their lines
		return server.Validate(ctx, &known, logger)
	}
}

// silenceKubernetes has Kubernetes' libraries not tell of the work that ends with a check. klog has one logger per process, which
// may not be set while work of an earlier check ends.
var silenceKubernetes = sync.OnceFunc(func() { klog.SetSlogLogger(slog.New(slog.DiscardHandler)) }) //nolint:gochecknoglobals // as klog's logger is

func (p program) run(ctx context.Context, streams IO, args []string) int {
	root := p.root(streams) //nolint:contextcheck // commands take the context that ExecuteContext hands to them
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	report(streams.Err, err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return ExitUsage
	}
	return ExitFailure
}

// root builds the tree of commands.
func (p program) root(streams IO) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "ostiary",
		Short: "A hardened authentication gateway in front of Kubernetes API servers",
		Long: `Ostiary is a doorkeeper: it stands in front of Kubernetes API servers and decides who comes in.

Exit codes: 0 done; 1 the configuration is invalid or the work failed; 2 wrong usage, nothing was done.`,
	}, p.commands(streams)...)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return &usageError{command: command.CommandPath(), cause: err}
	})
	return root
}

// report writes an error for people. The mistakes of a configuration start with their file's name already, so that
// editors can jump to them.
func report(w io.Writer, err error) {
	if errors.Is(err, errReported) {
		return
	}
	if invalid, ok := errors.AsType[*config.InvalidError](err); ok {
		_, _ = fmt.Fprintln(w, err) // nobody is left to tell of a broken standard error
		_, _ = fmt.Fprintf(w, "ostiary: %s is not valid: %s\n", invalid.File, count(len(invalid.Mistakes), "mistake"))
		return
	}
	_, _ = fmt.Fprintf(w, "ostiary: %s\n", err)
}

// errReported ends a command whose failure is in its output already.
var errReported = errors.New("already reported")

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// usageError is a mistake in flags or arguments.
type usageError struct {
	command string
	cause   error
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%s\nRun '%s --help' for usage.", e.cause, e.command)
}

func (e *usageError) Unwrap() error { return e.cause }

// group makes a command that only holds others. To call it without one of them is wrong usage, which cobra alone would
// let pass as success.
func group(command *cobra.Command, children ...*cobra.Command) *cobra.Command {
	command.AddCommand(children...)
	command.Args = cobra.ArbitraryArgs
	command.SuggestionsMinimumDistance = 2 // two slips of the pen
	command.RunE = func(command *cobra.Command, args []string) error {
		if len(args) == 0 {
			return &usageError{command: command.CommandPath(), cause: fmt.Errorf("%q needs a command", command.CommandPath())}
		}
		cause := fmt.Errorf("unknown command %q for %q", args[0], command.CommandPath())
		if near := command.SuggestionsFor(args[0]); len(near) > 0 {
			cause = fmt.Errorf("%w; did you mean %q?", cause, strings.Join(near, `" or "`))
		}
		return &usageError{command: command.CommandPath(), cause: cause}
	}
	return command
}

// arguments turns the complaints of a cobra check into wrong usage.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if err := check(command, args); err != nil {
			return &usageError{command: command.CommandPath(), cause: err}
		}
		return nil
	}
}

// outputFormat is the value of the flag --output: human-readable text by default, or JSON.
type outputFormat string

const (
	outputText outputFormat = "text"
	outputJSON outputFormat = "json"
)

func (f *outputFormat) String() string { return string(*f) }

// Type names the value in help texts.
func (*outputFormat) Type() string { return "text|json" }

// Set refuses all other formats.
func (f *outputFormat) Set(text string) error {
	if text != string(outputText) && text != string(outputJSON) {
		return errors.New("must be text or json")
	}
	*f = outputFormat(text)
	return nil
}

// addOutputFlag gives the command the flag --output.
func addOutputFlag(command *cobra.Command) *outputFormat {
	format := outputText
	command.Flags().VarP(&format, "output", "o", "format of the result")
	return &format
}

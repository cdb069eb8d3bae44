package kubectl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

// factFlags say which facts are judged: gathered now, or written down before.
type factFlags struct {
	gather   gatherFlags
	snapshot string
	// gathering are the flags that a snapshot leaves nothing to do for.
	gathering []*pflag.Flag
}

func (f *factFlags) add(command *cobra.Command) {
	f.gather.add(command)
	command.Flags().VisitAll(func(flag *pflag.Flag) { f.gathering = append(f.gathering, flag) })
	command.Flags().StringVar(&f.snapshot, "from-snapshot", "", "Judge the `FILE` that \"kubectl ostiary snapshot\" wrote, and ask nobody.")
}

// facts reads a snapshot, or gathers them now.
func (f *factFlags) facts(ctx context.Context, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) (*facts.Facts, error) {
	if f.snapshot == "" {
		found, err := f.gather.gather(ctx, flags, streams)
		if err != nil {
			return nil, exitWith(report.CodeFailed, "%w", err) // no answer, too: 3 and 4 mean something else here
		}
		return found, nil
	}
	for _, flag := range f.gathering {
		if flag.Changed {
			return nil, fmt.Errorf("--%s says what to look at, and a snapshot is judged as it is: give it to \"kubectl ostiary snapshot\", or leave --from-snapshot out", flag.Name)
		}
	}
	saveMemory()
	file, err := os.Open(f.snapshot)
	if err != nil {
		return nil, err
	}
	found, err := facts.Decode(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", f.snapshot, err)
	}
	return found, nil
}

// reportFlags say how a report is shown, and with which code it ends the program.
type reportFlags struct {
	severity     report.Severity
	earlier      string
	incompleteOK bool
	format       report.Format
}

// addCode adds what the commands that end with a report have in common.
func (r *reportFlags) addCode(command *cobra.Command) {
	r.severity, r.format = report.Medium, report.FormatTable
	set := command.Flags()
	set.Var(&r.severity, "severity", "From which severity on findings end the program with 1: info, low, medium, high, critical.")
	set.BoolVar(&r.incompleteOK, "incomplete-ok", false, "Do not end with 3 where a source could not be read.")
	set.VarP(&r.format, "output", "o", "Output format: "+strings.Join(report.Formats(), ", ")+".")
}

// addEarlier adds the comparison with an earlier report.
func (r *reportFlags) addEarlier(command *cobra.Command) {
	command.Flags().StringVar(&r.earlier, "only-new", "", "Show only what an earlier report does not have: a `FILE` written with --output json.")
}

// readEarlier reads the report that --only-new names; nil where it names none. keys are those of the report's details, where they have some.
func (r *reportFlags) readEarlier(keys func(details []byte) ([]string, error)) (*report.Earlier, error) {
	if r.earlier == "" {
		return nil, nil //nolint:nilnil // nothing to compare with
	}
	file, err := os.Open(r.earlier)
	if err != nil {
		return nil, err
	}
	earlier, err := report.ReadEarlier(file, keys)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", r.earlier, err)
	}
	return earlier, nil
}

// write writes a report and ends as it says: with the given words where findings are severe enough, or where something could
// not be read.
func (r *reportFlags) write(streams genericiooptions.IOStreams, result *report.Report, found, incomplete string) error {
	if err := result.Write(streams.Out, r.format); err != nil {
		return err
	}
	switch code := result.Code(r.severity, r.incompleteOK); code {
	case report.CodeFindings:
		return exitWith(code, "%s of severity %s or above", found, r.severity)
	case report.CodeIncomplete:
		return exitWith(code, "%s, and --incomplete-ok leaves it at that", incomplete)
	}
	return nil
}

// costFigure says how much API servers were asked for; nothing where they were not.
func costFigure(f *facts.Facts) []report.Figure {
	if f.Calls == 0 {
		return nil
	}
	const kilobyte, megabyte = 1 << 10, 1 << 20
	size := fmt.Sprintf("%d kB", (f.Bytes+kilobyte-1)/kilobyte)
	if f.Bytes >= megabyte {
		size = fmt.Sprintf("%.1f MB", float64(f.Bytes)/megabyte)
	}
	return []report.Figure{{Name: "asked of API servers", Value: fmt.Sprintf("%d calls, %s", f.Calls, size)}}
}

package kubectl

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

const snapshotLong = `Gather what "kubectl ostiary audit" judges, and write it down, so that it can be judged later and elsewhere, by people
who have no access to the cluster.

A snapshot holds no secret: tokens are replaced by how hard they are to guess and by digests that are keyed with a key
that is thrown away. It names people, accounts, roles and files, and is written for its owner's eyes only.

Exit codes: 0 written; 2 wrong use, or the cluster gave no answer; 3 written, and a source could not be read, unless
--incomplete-ok is given.`

// snapshotMode lets the owner only read what says who may do what.
const snapshotMode = 0o600

func newSnapshot(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var (
		chosen       gatherFlags
		outputFile   string
		incompleteOK bool
	)
	command := &cobra.Command{
		Use: "snapshot", Short: "Write down the facts that an audit judges, without any secret", Long: snapshotLong,
		Example: "  kubectl ostiary snapshot --output-file facts.json\n  kubectl ostiary audit --from-snapshot facts.json",
		Args:    failing(cobra.NoArgs),
	}
	chosen.add(command)
	command.Flags().StringVar(&outputFile, "output-file", "", "Write to the new `FILE` instead of standard output.")
	command.Flags().BoolVar(&incompleteOK, "incomplete-ok", false, "Do not end with 3 where a source could not be read.")
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitWith(report.CodeFailed, "%w", err) })
	command.RunE = func(command *cobra.Command, _ []string) error {
		found, err := chosen.gather(command.Context(), flags, streams)
		if err == nil {
			err = writeSnapshot(streams.Out, outputFile, found)
		}
		if err != nil {
			return exitWith(report.CodeFailed, "%w", err)
		}
		if !incompleteOK && !newAuditReport(found, nil).Complete() {
			return exitWith(report.CodeIncomplete, "written, and not everything could be read; the snapshot says what, and --incomplete-ok leaves it at that")
		}
		return nil
	}
	return command
}

// writeSnapshot never overwrites a file: it may be the one to compare with.
func writeSnapshot(out io.Writer, name string, found *facts.Facts) error {
	if name == "" {
		return facts.Encode(out, found)
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, snapshotMode) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; choose another name or remove it", name)
	}
	if err != nil {
		return err
	}
	return errors.Join(facts.Encode(file, found), file.Close())
}

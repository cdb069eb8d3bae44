package cli

import (
	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/server"
)

func (p program) storeMigrateCommand(streams IO) *cobra.Command {
	var target string
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Move the ledger to another store",
		Long: `Copy the ledger from the store of one configuration to that of another, which must be empty, and compare both: from embedded
to etcd, back, or to another cluster. Both configurations name the same ledger.keyFile. No gate may run on either.

Start gates with the new configuration afterwards, and remove the old store: a gate that is started on it again would not know of
revocations that were made since.

Exit codes: 0 both hold the same; 1 not: empty the target before the next try; 2 wrong usage.`,
		Example: `  ostiary store migrate --config /etc/ostiary/ostiary.yaml --to /etc/ostiary/ostiary-etcd.yaml`,
		Args:    arguments(cobra.NoArgs),
	}
	file, format := addConfigFlag(command), addOutputFlag(command)
	command.Flags().StringVar(&target, "to", "", "configuration `FILE` with the store to move to; required")
	command.RunE = func(command *cobra.Command, _ []string) error {
		if target == "" {
			return missingFlag(command, "to")
		}
		from, err := p.load(command.Context(), streams, *file)
		if err != nil {
			return err
		}
		to, err := p.load(command.Context(), streams, target)
		if err != nil {
			return err
		}
		report, err := server.MigrateLedger(command.Context(), from, to)
		if err != nil {
			return err
		}
		return writeReport(streams.Out, *format, "moved", report, nil)
	}
	return command
}

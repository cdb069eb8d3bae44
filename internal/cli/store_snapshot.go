package cli

import (
	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/server"
)

func (p program) storeSnapshotCommand(streams IO) *cobra.Command {
	command := &cobra.Command{
		Use:   "snapshot FILE",
		Short: "Write all of the ledger to a file",
		Long: `Write all of the ledger, as it is at one moment, to a new file, and read it again to see that it is whole.

Records are sealed in the file as they are in the store: it is of use only with ledger.keyFile, which is not in it. An embedded
store can be read only while the server is stopped; one in etcd while gates run.

Exit codes: 0 the file is there and whole; 1 there is no file; 2 wrong usage.`,
		Example: `  ostiary store snapshot --config /etc/ostiary/ostiary.yaml /backup/ledger-2026-01-01`,
		Args:    arguments(cobra.ExactArgs(1)),
	}
	file, format := addConfigFlag(command), addOutputFlag(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		checked, err := p.load(command.Context(), streams, *file)
		if err != nil {
			return err
		}
		report, err := server.SnapshotLedger(command.Context(), checked, args[0])
		if err != nil {
			return err
		}
		return writeReport(streams.Out, *format, "written", report, nil)
	}
	return command
}

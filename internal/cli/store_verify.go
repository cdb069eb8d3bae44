package cli

import (
	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/server"
)

func (p program) storeVerifyCommand(streams IO) *cobra.Command {
	command := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "See that a ledger is whole",
		Long: `Open every record of the ledger, or of a snapshot of it, and see that all belong together: that no revocation is missing, that
every act is on record, and that the ledger is a later state of what this gate's checkpoint knows.

An embedded store can be read only while the server is stopped; one in etcd while gates run.

Exit codes: 0 it is whole; 1 it is not, or could not be read; 2 wrong usage.`,
		Example: `  ostiary store verify --config /etc/ostiary/ostiary.yaml
  ostiary store verify --config /etc/ostiary/ostiary.yaml /backup/ledger-2026-01-01`,
		Args: arguments(cobra.MaximumNArgs(1)),
	}
	file, format := addConfigFlag(command), addOutputFlag(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		checked, err := p.load(command.Context(), streams, *file)
		if err != nil {
			return err
		}
		snapshot := ""
		if len(args) > 0 {
			snapshot = args[0]
		}
		report, err := server.VerifyLedger(command.Context(), checked, snapshot)
		if err != nil {
			return err
		}
		return writeReport(streams.Out, *format, "whole", report, nil)
	}
	return command
}

package cli

import (
	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/server"
)

func (p program) storeAcceptRollbackCommand(streams IO) *cobra.Command {
	var accepted server.Acceptance
	command := &cobra.Command{
		Use:   "accept-rollback",
		Short: "Make a ledger count again that was put back to an earlier state",
		Long: `Make the ledger count again whose store was put back to an earlier state by other means than "ostiary store restore", such as
a snapshot of etcd's own. Gates refuse such a ledger, since revocations may be missing. All of them take it again after this, at once
where they run.

It shuts out every credential that was issued so far, of every mechanism but anonymous and those that are spared, each by a
revocation that can be lifted; see "ostiary store restore --help" for what that means.

Exit codes: 0 done; 1 nothing was changed; 2 wrong usage.`,
		Example: `  ostiary store accept-rollback --config /etc/ostiary/ostiary.yaml --reason "etcd restored, INC-42"`,
		Args:    arguments(cobra.NoArgs),
	}
	file := addConfigFlag(command)
	command.Flags().StringVar(&accepted.Reason, "reason", "", "why, for the record; required")
	command.Flags().StringSliceVar(&accepted.Spared, "spare", nil, "`MECHANISM` whose credentials are not shut out")
	command.RunE = func(command *cobra.Command, _ []string) error {
		if accepted.Reason == "" {
			return missingFlag(command, "reason")
		}
		checked, err := p.load(command.Context(), streams, *file)
		if err != nil {
			return err
		}
		made, err := server.AcceptLedgerRollback(command.Context(), checked, accepted)
		if err != nil {
			return err
		}
		return writeShutOut(streams.Out, made)
	}
	return command
}

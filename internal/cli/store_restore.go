package cli

import (
	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/server"
)

func (p program) storeRestoreCommand(streams IO) *cobra.Command {
	var accepted server.Acceptance
	command := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a snapshot of the ledger into a store that is empty",
		Long: `Put a snapshot into the store of the configuration, which must be empty, and see that it is whole. No gate may run on it.

A revocation that was made after the snapshot is not in it, and what it shut out would come back to life. So nothing is restored
unless this gate's checkpoint (ledger.checkpointFile) shows that nothing is lost, or you say what to do:

  --accept-rollback REASON  shuts out every credential that was issued so far, of every mechanism but anonymous, each by a
                            revocation that can be lifted (kubectl ostiary lift). New credentials count, where they say when they
                            were issued: certificates, and tokens with iat. All others come back only when they are lifted.
                            Revocations of users and issuers that were lost shut out nobody who gets a new credential: look them
                            up in the access logs, and make them anew.
  --spare MECHANISM         leaves credentials of a mechanism alone, for whoever knows that none of them was revoked.
  --nothing-newer           says that the ledger was not written after the snapshot, where there is no checkpoint to show it.

Other replicas have checkpoints of their own, and refuse a ledger that lost something that they knew, unless that was accepted.

Exit codes: 0 restored; 1 not, or not wholly: such a store is refused, and must be emptied; 2 wrong usage.`,
		Example: `  ostiary store restore --config /etc/ostiary/ostiary.yaml /backup/ledger-2026-01-01 --accept-rollback "disk lost, INC-42"`,
		Args:    arguments(cobra.ExactArgs(1)),
	}
	file, format := addConfigFlag(command), addOutputFlag(command)
	addAcceptanceFlags(command, &accepted)
	command.Flags().BoolVar(&accepted.NothingNewer, "nothing-newer", false, "the ledger was not written after the snapshot")
	command.MarkFlagsMutuallyExclusive("accept-rollback", "nothing-newer")
	command.RunE = func(command *cobra.Command, args []string) error {
		checked, err := p.load(command.Context(), streams, *file)
		if err != nil {
			return err
		}
		report, made, err := server.RestoreLedger(command.Context(), checked, args[0], accepted)
		if err != nil {
			return err
		}
		return writeReport(streams.Out, *format, "restored", report, made)
	}
	return command
}

// addAcceptanceFlags gives a command the flags that say what is to become of a loss.
func addAcceptanceFlags(command *cobra.Command, accepted *server.Acceptance) {
	command.Flags().StringVar(&accepted.Reason, "accept-rollback", "", "accept that revocations are lost, for this `REASON`, and shut out all credentials issued so far")
	command.Flags().StringSliceVar(&accepted.Spared, "spare", nil, "`MECHANISM` whose credentials are not shut out")
}

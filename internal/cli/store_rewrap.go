package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/server"
)

func (p program) storeRewrapCommand(streams IO) *cobra.Command {
	var key string
	command := &cobra.Command{
		Use:   "rewrap",
		Short: "Change the key that the ledger is sealed by",
		Long: `Wrap the ledger's seed by another key. From then on the new key opens the ledger, and the old one does not; records stay
as they are. Put the new key in place of ledger.keyFile afterwards: running replicas are not disturbed, and need it at their next
start. Whoever has the old key and an old backup can still read that backup.

An embedded store can be rewrapped only while the server is stopped.

Exit codes: 0 done; 1 nothing was changed; 2 wrong usage.`,
		Example: `  ostiary store new-key /etc/ostiary/ledger.key.new
  ostiary store rewrap --config /etc/ostiary/ostiary.yaml --new-key /etc/ostiary/ledger.key.new
  mv /etc/ostiary/ledger.key.new /etc/ostiary/ledger.key`,
		Args: arguments(cobra.NoArgs),
	}
	file := addConfigFlag(command)
	command.Flags().StringVar(&key, "new-key", "", "`FILE` with the new key; required")
	command.RunE = func(command *cobra.Command, _ []string) error {
		if key == "" {
			return missingFlag(command, "new-key")
		}
		checked, err := p.load(command.Context(), streams, *file)
		if err != nil {
			return err
		}
		if err := server.RewrapLedger(command.Context(), checked, key); err != nil {
			return err
		}
		_, err = fmt.Fprintf(streams.Out, "the ledger is sealed for %s; name it as ledger.keyFile\n", key)
		return err
	}
	return command
}

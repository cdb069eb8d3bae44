package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/server"
)

func storeNewKeyCommand(streams IO) *cobra.Command {
	command := &cobra.Command{
		Use:   "new-key FILE",
		Short: "Make a key that a ledger is sealed by",
		Long: `Make the key of ledger.keyFile, and write it to a new file that its owner alone can read. The public half is printed.

Every replica needs the same key. Keep a copy in a safe place, apart from the store and its backups: without the key the
ledger is lost, and with the key and a backup anybody can read it. It is an age identity, hybrid of X25519 and ML-KEM.

Exit codes: 0 the key was made; 1 nothing was written; 2 wrong usage.`,
		Example: `  ostiary store new-key /etc/ostiary/ledger.key`,
		Args:    arguments(cobra.ExactArgs(1)),
	}
	command.RunE = func(_ *cobra.Command, args []string) error {
		public, err := server.NewLedgerKey(args[0])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(streams.Out, public)
		return err
	}
	return command
}

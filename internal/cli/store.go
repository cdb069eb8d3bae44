package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p program) storeCommand(streams IO) *cobra.Command {
	return group(&cobra.Command{
		Use:   "store",
		Short: "Look after the store that the ledger is kept in",
	},
		storeNewKeyCommand(streams),
		p.storeRewrapCommand(streams),
	)
}

// missingFlag is wrong usage: a flag that the command cannot do without.
func missingFlag(command *cobra.Command, name string) error {
	return &usageError{command: command.CommandPath(), cause: fmt.Errorf("--%s is required", name)}
}

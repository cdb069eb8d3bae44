package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/server"
)

func issuerCommand(streams IO) *cobra.Command {
	return group(&cobra.Command{
		Use:   "issuer",
		Short: "Make what Ostiary issues credentials by",
	},
		issuerNewRootCommand(streams),
	)
}

func issuerNewRootCommand(streams IO) *cobra.Command {
	command := &cobra.Command{
		Use:   "new-root FILE",
		Short: "Make the root that issuing keys are signed by",
		Long: `Make the key and the certificate of issuer.rootFile, and write them to a new file that its owner alone can read. What revocations
name the root by is printed.

Every replica needs the same. The root is trusted by Ostiary alone: never name its certificate in an API server's
--client-ca-file, where what it signed could not be shut out.

Exit codes: 0 the root was made; 1 nothing was written; 2 wrong usage.`,
		Example: `  ostiary issuer new-root /etc/ostiary/issuer.pem`,
		Args:    arguments(cobra.ExactArgs(1)),
	}
	command.RunE = func(_ *cobra.Command, args []string) error {
		name, err := server.NewIssuerRoot(args[0])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(streams.Out, name)
		return err
	}
	return command
}

package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/server"
)

func configHashTokensCommand(streams IO) *cobra.Command {
	command := &cobra.Command{
		Use:   "hash-tokens FILE",
		Short: "Replace the clear-text tokens of a static token file by hashes",
		Long: `Replace the tokens that stand in clear text in a static token file by their hashes, in place (G-12).

The file is replaced in one step and keeps its mode and owner; every other byte of it stays as it is. Entries that are
hashed already are left alone, so that running it twice does no harm. Nothing is written if one token is weaker than 128
random bits or a published sample: the hash of such a token could be found out again. Make strong ones with
"openssl rand -hex 32".

The old content may survive in backups and on the disk: where that matters, replace the tokens.

Exit codes: 0 every token in the file is hashed; 1 nothing was written; 2 wrong usage.`,
		Example: `  ostiary config hash-tokens /etc/ostiary/tokens.csv`,
		Args:    arguments(cobra.ExactArgs(1)),
	}
	command.RunE = func(_ *cobra.Command, args []string) error {
		report, err := server.HashTokens(args[0])
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		for _, warning := range report.Warnings {
			if _, err := fmt.Fprintln(streams.Err, "ostiary:", warning); err != nil {
				return err
			}
		}
		for _, entry := range report.Converted {
			if _, err := fmt.Fprintf(streams.Out, "line %d: %q is known as %s\n", entry.Line, entry.Username, entry.ID.Value); err != nil {
				return err
			}
		}
		return summary(streams.Out, len(report.Converted), report.AlreadyHashed)
	}
	return command
}

// summary says what became of the file.
func summary(w io.Writer, converted, before int) error {
	_, err := fmt.Fprintf(w, "%s hashed, %d hashed before\n", count(converted, "token"), before)
	return err
}

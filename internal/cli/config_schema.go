package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/config"
)

func configSchemaCommand(streams IO) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of configuration files",
		Long: `Print the JSON schema (draft 2020-12) of configuration files, for editors. For the YAML language server, write as the
first line of a configuration:

  # yaml-language-server: $schema=<file with this schema>

"ostiary config validate" is stricter: it also judges what a schema cannot say, and reads the files that are named.`,
		Example: `  ostiary config schema > ostiary.schema.json`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(streams.Out, config.Schema())
			return err
		},
	}
}

package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/version"
)

func (program) versionCommand(streams IO) *cobra.Command {
	command := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  arguments(cobra.NoArgs),
	}
	format := addOutputFlag(command)
	command.RunE = func(*cobra.Command, []string) error {
		if *format == outputJSON {
			return json.NewEncoder(streams.Out).Encode(version.Get())
		}
		_, err := fmt.Fprintf(streams.Out, "ostiary %s\n", version.Get())
		return err
	}
	return command
}

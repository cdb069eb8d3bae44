package cli

import "github.com/spf13/cobra"

func (p program) configPrintCommand(streams IO) *cobra.Command {
	command := &cobra.Command{
		Use:   "print",
		Short: "Print a configuration with its defaults filled in",
		Long: `Print a configuration with its defaults filled in, as YAML. It is checked first, as by "ostiary config validate".

File names are printed as they were written: the result belongs in the same folder.

Exit codes: 0 printed; 1 the configuration is not valid; 2 wrong usage.`,
		Example: `  ostiary config print --config /etc/ostiary/ostiary.yaml`,
		Args:    arguments(cobra.NoArgs),
	}
	file := addConfigFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		checked, err := p.load(command.Context(), streams, *file)
		if err != nil {
			return err
		}
		text, err := checked.Configuration().YAML(nil)
		if err != nil {
			return err
		}
		_, err = streams.Out.Write(text)
		return err
	}
	return command
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/config"
)

const (
	defaultConfigFile = "ostiary.yaml"
	// standardInput, in place of a file's name, means to read standard input, as everywhere on Unix.
	standardInput = "-"
)

func (p program) configCommand(streams IO) *cobra.Command {
	return group(&cobra.Command{
		Use:   "config",
		Short: "Check, show and write configuration files",
	},
		p.configValidateCommand(streams),
		p.configPrintCommand(streams),
		configSchemaCommand(streams),
		configFromAPIServerCommand(streams),
		configHashTokensCommand(streams),
		configBootstrapTokenCommand(streams),
	)
}

// addConfigFlag gives the command the flag --config, alike in all commands.
func addConfigFlag(command *cobra.Command) *string {
	return command.Flags().StringP("config", "c", defaultConfigFile, "configuration `FILE`; \"-\" reads standard input")
}

// load reads a configuration and runs all checks on it. Warnings go to streams.Err.
func (p program) load(ctx context.Context, streams IO, name string) (*config.Checked, error) {
	checked, err := loadFile(streams, name)
	if err != nil {
		return nil, err
	}
	shown := shownName(name)
	for _, warning := range checked.Warnings {
		if _, err := fmt.Fprintln(streams.Err, warning.In(shown), "(warning)"); err != nil {
			return nil, err
		}
	}
	return checked, p.check(ctx, shown, checked)
}

// check runs the checks of the mechanisms. All of them run, so that all mistakes are reported at once.
func (p program) check(ctx context.Context, name string, checked *config.Checked) error {
	var mistakes []config.Mistake
	for _, check := range p.checks {
		err := check(ctx, checked)
		if err == nil {
			continue
		}
		if invalid, ok := errors.AsType[*config.InvalidError](err); ok {
			mistakes = append(mistakes, invalid.Mistakes...)
			continue
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			mistakes = append(mistakes, config.Mistake{Message: line})
		}
	}
	if err := ctx.Err(); err != nil {
		return err // what was not checked to its end is not valid
	}
	if len(mistakes) > 0 {
		return &config.InvalidError{File: name, Mistakes: mistakes}
	}
	return nil
}

func loadFile(streams IO, name string) (*config.Checked, error) {
	if name != standardInput {
		return config.Load(name)
	}
	data, err := io.ReadAll(io.LimitReader(streams.In, config.MaxConfigurationBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	folder, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("finding the current folder: %w", err)
	}
	return config.Parse(data, shownName(name), folder, time.Now())
}

func shownName(name string) string {
	if name == standardInput {
		return "standard input"
	}
	return name
}

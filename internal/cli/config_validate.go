package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/config"
)

// validation is the result of "ostiary config validate --output json". Fields are only ever added.
type validation struct {
	File     string           `json:"file"`
	Valid    bool             `json:"valid"`
	Mistakes []config.Mistake `json:"mistakes"`
	Warnings []config.Mistake `json:"warnings"`
}

func (p program) configValidateCommand(streams IO) *cobra.Command {
	command := &cobra.Command{
		Use:   "validate",
		Short: "Check a configuration and every file that it names",
		Long: `Check a configuration and every file that it names, as "ostiary serve" does at its start and at every change.

All mistakes are listed at once on standard error, one a line: file:line: field: what is wrong, what to do. Warnings are
listed as well; they do not make a configuration invalid.

Exit codes: 0 valid; 1 not valid; 2 wrong usage.`,
		Example: `  ostiary config validate --config /etc/ostiary/ostiary.yaml
  ostiary config validate --config - --output json < ostiary.yaml`,
		Args: arguments(cobra.NoArgs),
	}
	file := addConfigFlag(command)
	format := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		validate := p.validateText
		if *format == outputJSON {
			validate = p.validateJSON
		}
		return validate(command.Context(), streams, *file)
	}
	return command
}

func (p program) validateText(ctx context.Context, streams IO, file string) error {
	if _, err := p.load(ctx, streams, file); err != nil {
		return err
	}
	_, err := fmt.Fprintf(streams.Out, "%s is valid\n", shownName(file))
	return err
}

func (p program) validateJSON(ctx context.Context, streams IO, file string) error {
	result := validation{File: shownName(file), Mistakes: []config.Mistake{}, Warnings: []config.Mistake{}}
	checked, err := loadFile(streams, file)
	if err == nil {
		result.Warnings = append(result.Warnings, checked.Warnings...)
		err = p.check(ctx, result.File, checked)
	}
	invalid, isInvalid := errors.AsType[*config.InvalidError](err)
	if err != nil && !isInvalid {
		return err
	}
	if isInvalid {
		result.Mistakes = invalid.Mistakes
	}
	result.Valid = !isInvalid
	encoder := json.NewEncoder(streams.Out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(result); err != nil {
		return err
	}
	if isInvalid {
		return errReported
	}
	return nil
}

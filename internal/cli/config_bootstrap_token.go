package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/server"
)

// The lifetimes of bootstrap tokens that are made here: kubeadm's own default, and the longest that joining could take.
const (
	defaultTokenTTL = 24 * time.Hour
	maxTokenTTL     = 30 * 24 * time.Hour
)

func configBootstrapTokenCommand(streams IO) *cobra.Command {
	var (
		file, description string
		groups            []string
		ttl               time.Duration
	)
	command := &cobra.Command{
		Use:   "bootstrap-token",
		Short: "Make a bootstrap token and add its hash to a file",
		Long: `Make a bootstrap token, print it once, and add an entry with its hash to the file of authentication.bootstrapToken.file
(G-17). The file is made if it is not there, and replaced in one step; a running server takes it over within a second.

Exit codes: 0 the token was made; 1 nothing was written; 2 wrong usage.`,
		Example: `  ostiary config bootstrap-token --file /etc/ostiary/bootstrap-tokens.yaml --ttl 2h --description "rack 7"`,
		Args:    arguments(cobra.NoArgs),
	}
	command.Flags().StringVar(&file, "file", "", "file to add the token to; required")
	command.Flags().DurationVar(&ttl, "ttl", defaultTokenTTL, "how long the token is good, up to 720h")
	command.Flags().StringSliceVar(&groups, "groups", nil, "extra groups, each starting with system:bootstrappers:")
	command.Flags().StringVar(&description, "description", "", "what the token is for, for people")
	_ = command.MarkFlagRequired("file") // it was defined above
	command.RunE = func(*cobra.Command, []string) error {
		if ttl <= 0 || ttl > maxTokenTTL {
			return fmt.Errorf("--ttl %s: must be more than 0 and at most %s", ttl, maxTokenTTL)
		}
		token, err := server.MakeBootstrapToken(file, time.Now().Add(ttl), groups, description)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(streams.Out, token)
		return err
	}
	return command
}

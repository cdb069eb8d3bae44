package kubectl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/ostiary/ostiary/internal/adminapi"
)

const tokenRotateLong = `Exchange your own static token for a new one. You prove by the old one that it is yours; it holds on for as long as the gate's
configuration says, so that what still uses it can be told.

The token is that of the current context, or --token. With --in-place the new one takes its place in the kubeconfig or in the file
that the kubeconfig names; otherwise it is printed, this once.

Exit codes: 0 rotated; 1 wrong use, or the credential is no static token; 2 the server is no gate that issues; 4 no answer; 5 the
token was refused.`

func newToken(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	command := &cobra.Command{Use: "token", Short: "Look after your own static token", Args: cobra.NoArgs}
	command.AddCommand(newTokenRotate(flags, streams))
	return command
}

func newTokenRotate(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	inPlace := false
	command := &cobra.Command{Use: "rotate", Short: "Exchange your static token for a new one", Long: tokenRotateLong, Args: cobra.NoArgs}
	command.Flags().BoolVar(&inPlace, "in-place", false, "Put the new token where the kubeconfig has the old one.")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		var place *tokenPlace
		if inPlace {
			var err error
			if place, err = findToken(flags); err != nil {
				return err // before there is a new token that has no place
			}
		}
		server, err := connect(flags, streams)
		if err != nil {
			return err
		}
		answer, err := server.issue(command.Context(), adminapi.RotatePath, &adminapi.Issue{})
		if err != nil {
			return err
		}
		result := &issued{Issue: *answer, now: time.Now()}
		if place == nil {
			return printIssued(result, output, streams)
		}
		if err := place.put(command.Context(), answer.Status.Token); err != nil {
			// It must not be lost: the old one will end.
			if printErr := printIssued(result, output, streams); printErr != nil {
				return printErr
			}
			return exitWith(ExitFailed, "rotated, and the new token, which was printed, could not be put into %s: %w", place.file, err)
		}
		result.Status.Token = ""
		return output.print(streams.Out, result)
	}
	return command
}

// tokenPlace is where a kubeconfig has a user's token.
type tokenPlace struct {
	// file is the kubeconfig, or the file that it names.
	file string
	// user is the kubeconfig's entry; empty where file holds the token alone.
	user string
}

// findToken finds where the current context has its token.
func findToken(flags *genericclioptions.ConfigFlags) (*tokenPlace, error) {
	raw, err := flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, exitWith(ExitFailed, "cannot read the kubeconfig: %w", err)
	}
	name := raw.CurrentContext
	if *flags.Context != "" {
		name = *flags.Context
	}
	userName := *flags.AuthInfoName
	if entry := raw.Contexts[name]; entry != nil && userName == "" {
		userName = entry.AuthInfo
	}
	user := raw.AuthInfos[userName]
	switch {
	case *flags.BearerToken != "":
		return nil, exitWith(ExitFailed, "--token has no place in the kubeconfig; leave --in-place or --token out")
	case user == nil:
		return nil, exitWith(ExitFailed, "context %q has no user whose token could be rotated", name)
	case user.TokenFile != "":
		return &tokenPlace{file: user.TokenFile}, nil
	case user.Token != "":
		return &tokenPlace{file: user.LocationOfOrigin, user: userName}, nil
	default:
		return nil, exitWith(ExitFailed, "user %q of the kubeconfig authenticates by something else than a token", userName)
	}
}

// put replaces the token.
func (p *tokenPlace) put(ctx context.Context, token string) error {
	if p.user != "" {
		return changeKubeconfig(ctx, p.file, func(config *clientcmdapi.Config) error {
			user := config.AuthInfos[p.user]
			if user == nil {
				return fmt.Errorf("user %q is not there any more", p.user)
			}
			user.Token = token
			return nil
		})
	}
	file, err := filepath.EvalSymlinks(p.file) // a link stays a link, and what it leads to does not keep the old one
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	return replaceFile(file, []byte(token+"\n"), info.Mode().Perm())
}

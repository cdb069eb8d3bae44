package kubectl

import (
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
)

const describeLong = `Show a revocation or a credential with everything that the ledger holds of it.

A revocation is named as "get revocations" shows it, whether it stands or was lifted. A credential is named as "get
credentials" shows it, or by its id, with --issuer if that is unique only there.

Exit codes: 0 done; 1 not allowed, or there is none of that name; 4 no answer; 5 the credential was refused.`

func newDescribe(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var issuer string
	command := &cobra.Command{
		Use: "describe (revocation NAME | credential NAME-OR-ID)", Short: "Show a revocation or a credential with all that is known of it", Long: describeLong,
		Args: cobra.ExactArgs(2), //nolint:mnd // the kind and the name
	}
	command.Flags().StringVar(&issuer, "issuer", "", "The issuer of a credential's id, where that is unique only there.")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		server, err := connect(flags, streams)
		if err != nil {
			return err
		}
		switch kind, name := args[0], args[1]; kind {
		case "revocation", adminapi.RevocationsResource:
			var found oneRevocation
			if err := server.get(command.Context(), adminapi.RevocationsPath+"/"+url.PathEscape(name), nil, &found.Revocation, adminapi.RevocationKind); err != nil {
				return err
			}
			return output.print(streams.Out, &found)
		case "credential", adminapi.CredentialsResource:
			found := &oneCredential{now: time.Now()}
			if !isID(name) {
				if err := server.get(command.Context(), adminapi.CredentialsPath+"/"+url.PathEscape(name), nil, &found.Credential, adminapi.CredentialKind); err != nil {
					return err
				}
				return output.print(streams.Out, found)
			}
			query := url.Values{"id": {name}}
			set(query, map[string]string{"issuer": issuer})
			var list adminapi.CredentialList
			if err := server.get(command.Context(), adminapi.CredentialsPath, query, &list, adminapi.CredentialListKind); err != nil {
				return err
			}
			if len(list.Items) == 0 {
				return exitWith(ExitFailed, "there is no credential %s on record; give its --issuer if it has one", printable(name))
			}
			found.Credential = list.Items[0]
			return output.print(streams.Out, found)
		default:
			return exitWith(ExitFailed, "unknown kind %q; known here: revocation, credential", kind)
		}
	}
	return command
}

// isID tells a credential's id from the name of its entry, which has hex digits only.
func isID(text string) bool {
	for _, r := range text {
		if r == '=' {
			return true
		}
	}
	return false
}

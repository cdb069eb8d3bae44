package kubectl

import (
	"log/slog"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/signin/agent"
)

const agentLong = `Keep sessions in memory, renew them, and answer "kubectl ostiary credential", until the last session has ended.

It is started by login and credential when there is something to keep, one for each user, and listens on a socket that only that
user can reach: in the folder ostiary of XDG_RUNTIME_DIR, or in one of the temporary folder. Its log is beside the socket.`

func newAgent(streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use: "agent", Short: "Keep sessions in memory (started by login)", Long: agentLong, Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return agent.Serve(command.Context(), slog.New(slog.NewTextHandler(streams.ErrOut, nil)))
		},
	}
}

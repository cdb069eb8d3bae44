package cli

import (
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/ostiary/ostiary/internal/server"
	"github.com/ostiary/ostiary/internal/version"
)

func (program) serveCommand(streams IO) *cobra.Command {
	command := &cobra.Command{
		Use:   "serve",
		Short: "Run the gate",
		Long: `Run the gate until it is told to stop (SIGTERM or SIGINT), then let requests under way end.

The configuration and every file that it names are watched: a change applies without a restart, and a bad one is refused
while the last good one stays in force. Decisions go to standard output, unless the configuration names a file; all else
goes to standard error. Both are JSON, one object a line. SIGHUP is ignored: there is nothing to reload by hand.

Exit codes: 0 stopped as told; 1 the configuration is not valid, or a listener could not be had; 2 wrong usage.`,
		Example: `  ostiary serve --config /etc/ostiary/ostiary.yaml`,
		Args:    arguments(cobra.NoArgs),
	}
	file := command.Flags().StringP("config", "c", defaultConfigFile, "configuration `FILE`")
	command.RunE = func(command *cobra.Command, _ []string) error {
		// Files are watched, so SIGHUP has nothing to say; a log whose reader is gone loses lines, and says so, instead of
		// ending the gate.
		signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
		logger := slog.New(slog.NewJSONHandler(streams.Err, nil))
		klog.SetSlogLogger(logger.With(slog.String("component", "kubernetes"))) // one logger per process
		return server.Run(command.Context(), server.Options{
			ConfigFile: *file, Version: version.Get().Version, Logger: logger, AccessLog: streams.Out,
		})
	}
	return command
}

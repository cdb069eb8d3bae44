package kubectl

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

const rootLong = `Sign in at an Ostiary gate; ask it, or any Kubernetes API server, who you are and how it is doing; shut credentials and people
out, and issue them.

The server and the credential are those of the current kubeconfig context; the flags are kubectl's own.

Exit codes: 0 done, 1 wrong use or broken kubeconfig, 2 the server is no Ostiary gate, 3 not ready, or not yet at every gate,
4 no answer or the server could not prove who it is, 5 the server refused the credential.`

// Run runs the program with its arguments, without the program's name, until it is done or ctx ends, and returns the
// exit code. Results go to streams.Out, everything else to streams.ErrOut.
func Run(ctx context.Context, args []string, streams genericiooptions.IOStreams) int {
	root := newRoot(streams) //nolint:contextcheck // cobra hands ctx to each command through ExecuteContext
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		// Nothing is left to do about a standard error that cannot be written to.
		_, _ = fmt.Fprintf(streams.ErrOut, "error: %v\n", err)
	}
	return exitCode(err)
}

// newRoot builds the command tree.
func newRoot(streams genericiooptions.IOStreams) *cobra.Command {
	flags := genericclioptions.NewConfigFlags(true)
	// Nothing here is namespaced or cached.
	flags.Namespace, flags.CacheDir = nil, nil

	root := &cobra.Command{
		Use:           "kubectl-ostiary",
		Short:         "Ask an Ostiary gate, or any Kubernetes API server, who you are and how it is doing",
		Long:          rootLong,
		SilenceUsage:  true,
		SilenceErrors: true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl ostiary"},
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	flags.AddFlags(root.PersistentFlags())
	root.AddCommand(
		newAgent(streams),
		newAudit(flags, streams),
		newCan(flags, streams),
		newCredential(streams),
		newDescribe(flags, streams),
		newExplain(flags, streams),
		newGet(flags, streams),
		newInventory(flags, streams),
		newIssue(flags, streams),
		newImport(flags, streams),
		newLift(flags, streams),
		newLogin(flags, streams),
		newLogout(flags, streams),
		newReview(flags, streams),
		newRevoke(flags, streams),
		newSnapshot(flags, streams),
		newStatus(flags, streams),
		newToken(flags, streams),
		newUnlock(flags, streams),
		newVersion(flags, streams),
		newWhoAmI(flags, streams),
	)
	return root
}

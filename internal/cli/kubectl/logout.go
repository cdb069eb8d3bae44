package kubectl

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/signin/agent"
)

const logoutLong = `End your session at a gate. The gate shuts its certificates out at every replica, open streams included, before this returns; the
agent forgets the key and the provider's refresh token.

The gate is that of --server or of the current context; --all ends the sessions at all gates. The kubeconfig's contexts stay, and
ask you to sign in when they are used again.

Where the gate does not answer, nothing is given out any more on this machine, and the agent tells the gate again until the
certificate ends by itself. --local does not tell the gate at all.

Exit codes: 0 signed out, or nobody was signed in; 1 wrong use; 4 signed out here, and a gate could not be told.`

// logoutKind is the kind of the result.
const logoutKind = "SignedOut"

func newLogout(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var all, local bool
	command := &cobra.Command{Use: "logout", Short: "End your session at a gate", Long: logoutLong, Args: cobra.NoArgs}
	command.Flags().BoolVar(&all, "all", false, "End the sessions at all gates.")
	command.Flags().BoolVar(&local, "local", false, "Forget the sessions here, and do not tell the gates.")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		result := &signedOut{TypeMeta: adminapi.TypeOf(logoutKind), Sessions: []agent.Left{}, now: time.Now()}
		gate := ""
		if !all {
			at, err := gateOf(flags)
			if err != nil {
				return err
			}
			gate = at.address.URL
		}
		lefts, err := leaveAgent(command.Context(), gate, local)
		if err != nil {
			return explainSignIn(err)
		}
		sealedLefts, err := leaveSealed(command.Context(), gate, local, streams)
		result.Sessions = append(append(result.Sessions, lefts...), sealedLefts...)
		if err != nil {
			return errors.Join(explainSignIn(err), output.print(streams.Out, result))
		}
		if err := output.print(streams.Out, result); err != nil {
			return err
		}
		for _, left := range result.Sessions {
			if left.Problem != "" {
				return untold(&left)
			}
		}
		return nil
	}
	return command
}

// untold says what becomes of a session whose gate could not be told of its end.
func untold(left *agent.Left) error {
	again, until := "", "its own end"
	if left.Again {
		again = ", is told again"
	}
	if !left.Until.IsZero() {
		until = left.Until.UTC().Format(time.RFC3339) + " at the latest"
	}
	return exitWith(ExitUnreachable, "signed out here; the gate %s could not be told%s, and takes the certificate until %s: %s", left.Gate, again, until, left.Problem)
}

// leaveAgent ends the agent's sessions at a gate, or at all where gate is empty. An agent that ends meanwhile has none any more.
func leaveAgent(ctx context.Context, gate string, local bool) ([]agent.Left, error) {
	keeper, err := agent.Dial(ctx)
	if err == nil {
		defer keeper.Close()
		var lefts []agent.Left
		if lefts, err = leaveAt(ctx, keeper, gate, local); err == nil {
			return lefts, nil
		}
	}
	if errors.Is(err, agent.ErrNoAgent) {
		return nil, nil
	}
	return nil, err
}

// leaveAt is leaveAgent, of an agent that answered.
func leaveAt(ctx context.Context, keeper *agent.Client, gate string, local bool) ([]agent.Left, error) {
	infos, err := keeper.List(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range infos {
		if infos[i].Gate == gate {
			names = append(names, infos[i].Name)
		}
	}
	return keeper.Leave(ctx, names, gate == "", local)
}

// signedOut is what logout did.
type signedOut struct {
	adminapi.TypeMeta `json:",inline"`

	Sessions []agent.Left `json:"sessions"`

	now time.Time
}

func (s *signedOut) names() []string {
	var names []string
	for _, left := range s.Sessions {
		names = append(names, left.Session)
	}
	return names
}

func (s *signedOut) table() [][]string {
	table := [][]string{{"GATE", "USERNAME", "SESSION", "ENDED AT THE GATE"}}
	for _, left := range s.Sessions {
		told := "not told"
		switch {
		case left.Told:
			told = "yes"
		case left.Problem != "":
			told = "no"
			if !left.Until.IsZero() {
				told = "not yet; by itself " + until(left.Until, s.now)
			}
		}
		table = append(table, []string{left.Gate, left.Username, left.Session, told})
	}
	return table
}

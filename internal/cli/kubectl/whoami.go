package kubectl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/identity"
)

const whoAmILong = `Show for whom the server of the current context takes you.

User name, UID, groups and extra are what the API server itself says (SelfSubjectReview), so they hold for what it will
let you do. Behind an Ostiary gate the mechanism, the credential that proved it and its end are shown as well, and the session
that it belongs to.

With --output name, the user name alone is printed.`

// whoAmI is what "kubectl ostiary whoami" found.
type whoAmI struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Context and Server are where the answer comes from.
	Context string `json:"context"`
	Server  string `json:"server"`
	// User is what the API server says.
	User authenticationv1.UserInfo `json:"user"`
	// CredentialID is what the API server, or else the gate, says.
	CredentialID string `json:"credentialID,omitempty"`
	// Session is the sign-in that the credential belongs to; empty for credentials of other origin.
	Session string `json:"session,omitempty"`
	// Gate is nil where the server is no Ostiary gate, or would not say.
	Gate *adminapi.GateStatus `json:"gate,omitempty"`

	unknown bool // whether the server is a gate could not be found out
	now     time.Time
}

func newWhoAmI(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	command := &cobra.Command{
		Use:   "whoami",
		Short: "Show for whom the server takes you, and by which credential",
		Long:  whoAmILong,
		Args:  cobra.NoArgs,
	}
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		server, err := connect(flags, streams)
		if err != nil {
			return err
		}
		result, err := askWhoAmI(command.Context(), server)
		if result == nil {
			return err
		}
		if err != nil {
			// Who the caller is has been said, whatever is wrong with the rest.
			if err := write(streams.ErrOut, fmt.Sprintf("warning: cannot tell whether the server is an Ostiary gate: %v\n", err)); err != nil {
				return err
			}
		}
		return output.print(streams.Out, result)
	}
	return command
}

// askWhoAmI returns a report where the API server said who the caller is; an error that comes with one says why nothing
// is known of a gate.
func askWhoAmI(ctx context.Context, server *server) (*whoAmI, error) {
	user, err := server.whoAmI(ctx)
	if err != nil {
		return nil, err
	}
	gate, err := server.gateStatus(ctx)
	result := &whoAmI{
		APIVersion: adminapi.GroupVersion, Kind: "WhoAmI",
		Context: server.context, Server: server.url, User: user, Gate: gate, now: time.Now(),
	}
	if err != nil && !errors.Is(err, errNotAGate) {
		result.unknown = true
	} else {
		err = nil
	}
	if gate != nil {
		// Gates that sign nobody in do not answer this, and nothing is missing then.
		var caller adminapi.WhoAmI
		if server.get(ctx, adminapi.WhoAmIPath, nil, &caller, adminapi.WhoAmIKind) == nil {
			result.Session = caller.Session
		}
	}
	if ids := user.Extra[identity.ExtraCredentialID]; len(ids) > 0 {
		result.CredentialID = ids[0]
	} else if gate != nil && gate.Caller.Username == user.Username {
		result.CredentialID = gate.Caller.CredentialID
	}
	return result, err
}

func (w *whoAmI) names() []string { return []string{w.User.Username} }

func (w *whoAmI) table() [][]string { return attributes(w.rows()) }

func (w *whoAmI) rows() []row {
	rows := []row{
		{"Context", w.Context},
		{"Server", w.Server},
		{"Username", w.User.Username},
	}
	if w.User.UID != "" {
		rows = append(rows, row{"UID", w.User.UID})
	}
	rows = append(rows, row{"Groups", list(w.User.Groups)})
	for _, key := range slices.Sorted(maps.Keys(w.User.Extra)) {
		rows = append(rows, row{fmt.Sprintf("Extra: %s", key), list(w.User.Extra[key])})
	}
	rows = append(rows, row{"Credential", w.CredentialID})
	switch {
	case w.unknown:
		return append(rows, row{"Ostiary gate", "unknown"})
	case w.Gate == nil:
		return append(rows, row{"Ostiary gate", "no"})
	}
	rows = append(rows, row{"Ostiary gate", gateText(w.Gate)})
	caller := w.Gate.Caller
	if caller.Username != w.User.Username {
		rows = append(rows, row{"Authenticated as", caller.Username})
	}
	rows = append(rows, row{"Mechanism", caller.Mechanism})
	if w.Session != "" {
		rows = append(rows, row{"Session", w.Session})
	}
	if !caller.CredentialNotAfter.IsZero() {
		rows = append(rows, row{"Credential ends", until(caller.CredentialNotAfter, w.now)})
	}
	return rows
}

package kubectl

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/version"
)

const versionLong = `Show the version of this program, and those of the gate and of the API server that the current context names.

With --client, no server is asked. With --output name, this program's version alone is printed.`

// versions is what "kubectl ostiary version" found.
type versions struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Client is this program's build.
	Client version.Info `json:"client"`
	// Gate is the gate's version; empty where the server is no Ostiary gate or was not asked.
	Gate string `json:"gate,omitempty"`
	// Kubernetes is the API server's version, for example "v1.37.2"; empty where it was not asked or did not say.
	Kubernetes string `json:"kubernetes,omitempty"`
}

func newVersion(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	command := &cobra.Command{
		Use:   "version",
		Short: "Show the versions of this program, the gate and the API server",
		Long:  versionLong,
		Args:  cobra.NoArgs,
	}
	output := addOutputFlag(command)
	clientOnly := command.Flags().Bool("client", false, "Ask no server.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		result := &versions{APIVersion: adminapi.GroupVersion, Kind: "Versions", Client: version.Get()}
		var err error
		if !*clientOnly {
			err = result.ask(command.Context(), flags, streams)
		}
		// This program's own version is shown whatever became of the server.
		if printErr := output.print(streams.Out, result); printErr != nil {
			return printErr
		}
		return err
	}
	return command
}

// ask fills in what the server says of itself.
func (v *versions) ask(ctx context.Context, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) error {
	server, err := connect(flags, streams)
	if err != nil {
		return err
	}
	gate, err := server.gateStatus(ctx)
	switch {
	case err == nil:
		v.Gate = gate.Version
	case !errors.Is(err, errNotAGate):
		return err
	}
	body, err := server.kubernetesVersion(ctx)
	if err != nil {
		return err
	}
	var answer struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.GitVersion == "" {
		return exitWith(ExitFailed, "%s does not answer /version as an API server does; check the server of context %q",
			server.url, server.context)
	}
	v.Kubernetes = answer.GitVersion
	return nil
}

func (v *versions) names() []string { return []string{v.Client.Version} }

func (v *versions) table() [][]string { return attributes(v.rows()) }

func (v *versions) rows() []row {
	rows := []row{{"Client", v.Client.String()}}
	if v.Gate != "" {
		rows = append(rows, row{"Gate", v.Gate})
	}
	if v.Kubernetes != "" {
		rows = append(rows, row{"Kubernetes", v.Kubernetes})
	}
	return rows
}

package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/apiserverflags"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/config/fromapiserver"
)

const (
	// maxReferencedBytes bounds the files that a kube-apiserver's flags name and that are looked into: certificates
	// and an AuthenticationConfiguration.
	maxReferencedBytes = 8 << 20
	// writtenFileMode lets the owner only read what was written: it names where secrets are.
	writtenFileMode = 0o600
)

func configFromAPIServerCommand(streams IO) *cobra.Command {
	command := &cobra.Command{
		Use:   "from-apiserver [FILE|-]",
		Short: "Write the configuration that accepts what a kube-apiserver accepts",
		Long: `Write a configuration that accepts the credentials that a kube-apiserver accepts, with comments that name what each
point of the hardening guide would change. FILE, or standard input, is one of:

  - the manifest of its static pod, on kubeadm's control planes /etc/kubernetes/manifests/kube-apiserver.yaml
  - a kubeadm configuration (ClusterConfiguration, v1beta3 or later), or the ConfigMap kubeadm-config
  - its flags: one a line, as in a shell script, as in a systemd unit, or as a YAML list

What Ostiary cannot take over, or only differently, is listed on standard error. Files that the flags name, such as
--oidc-ca-file, are read where they decide something, so run this on a control plane if you can.

Exit codes: 0 written; 1 the input cannot be used; 2 wrong usage.`,
		Example: `  ostiary config from-apiserver /etc/kubernetes/manifests/kube-apiserver.yaml --output-file ostiary.yaml
  kubectl --namespace kube-system get configmap kubeadm-config --output yaml | ostiary config from-apiserver
  tr '\0' '\n' < /proc/$(pidof kube-apiserver)/cmdline | ostiary config from-apiserver -`,
		Args: arguments(cobra.MaximumNArgs(1)),
	}
	outputFile := command.Flags().String("output-file", "", "write to the new `FILE` instead of standard output")
	command.RunE = func(_ *cobra.Command, args []string) error {
		input, err := readInput(streams, args)
		if err != nil {
			return err
		}
		result, err := fromapiserver.Convert(input, func(name string) ([]byte, error) {
			return config.ReadFile(name, maxReferencedBytes)
		})
		if err != nil {
			return err
		}
		for _, warning := range result.Warnings {
			if _, err := fmt.Fprintf(streams.Err, "warning: %s\n", warning); err != nil {
				return err
			}
		}
		if *outputFile == "" {
			_, err := streams.Out.Write(result.YAML)
			return err
		}
		return writeNew(*outputFile, result.YAML)
	}
	return command
}

func readInput(streams IO, args []string) ([]byte, error) {
	if len(args) == 1 && args[0] != standardInput {
		data, err := config.ReadFile(args[0], apiserverflags.MaxInputBytes)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w; check the name and its permissions", args[0], err)
		}
		return data, nil
	}
	data, err := io.ReadAll(io.LimitReader(streams.In, apiserverflags.MaxInputBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	return data, nil
}

// writeNew never overwrites: the file that is there may be the configuration in force.
func writeNew(name string, data []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, writtenFileMode) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; choose another name or remove it", name)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

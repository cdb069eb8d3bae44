package kubectl

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/agent"
)

// gateAt is a gate that is signed in to, and what the current context says of the last time.
type gateAt struct {
	address signin.Address
	// provider is the one that the context was made for; empty where it is of no sign-in.
	provider string
}

// gateOf finds the gate: --server, or else the server of the current context.
func gateOf(flags *genericclioptions.ConfigFlags) (gateAt, error) {
	if *flags.Insecure {
		return gateAt{}, exitWith(ExitFailed, "a gate that need not prove who it is could be anybody; give --certificate-authority instead of --insecure-skip-tls-verify")
	}
	at := gateAt{address: signin.Address{URL: *flags.APIServer}}
	if *flags.APIServer == "" {
		var err error
		if at, err = gateOfContext(flags); err != nil {
			return gateAt{}, err
		}
	}
	if *flags.TLSServerName != "" {
		at.address.ServerName = *flags.TLSServerName
	}
	if *flags.CAFile != "" {
		data, err := os.ReadFile(*flags.CAFile)
		if err != nil {
			return gateAt{}, exitWith(ExitFailed, "cannot read the CAs of the gate: %w", err)
		}
		at.address.Authorities = string(data)
	}
	spelled, err := signin.ParseURL(at.address.URL)
	if err != nil {
		return gateAt{}, exitWith(ExitFailed, "%w", err)
	}
	at.address.URL = spelled
	return at, nil
}

// gateOfContext reads the current context.
func gateOfContext(flags *genericclioptions.ConfigFlags) (gateAt, error) {
	raw, err := flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return gateAt{}, exitWith(ExitFailed, "cannot read the kubeconfig: %w", err)
	}
	name := raw.CurrentContext
	if *flags.Context != "" {
		name = *flags.Context
	}
	entry := raw.Contexts[name]
	if entry == nil || raw.Clusters[entry.Cluster] == nil {
		return gateAt{}, exitWith(ExitFailed, "no context names a gate: give --server https://GATE, or --context")
	}
	cluster := raw.Clusters[entry.Cluster]
	if cluster.InsecureSkipTLSVerify {
		return gateAt{}, exitWith(ExitFailed, "the server of context %q need not prove who it is (insecure-skip-tls-verify), so it could be anybody; give --server and --certificate-authority", name)
	}
	at := gateAt{address: signin.Address{URL: cluster.Server, ServerName: cluster.TLSServerName, Authorities: string(cluster.CertificateAuthorityData)}}
	if at.address.Authorities == "" && cluster.CertificateAuthority != "" {
		data, err := os.ReadFile(cluster.CertificateAuthority)
		if err != nil {
			return gateAt{}, exitWith(ExitFailed, "cannot read the CAs of context %q: %w", name, err)
		}
		at.address.Authorities = string(data)
	}
	if user := raw.AuthInfos[entry.AuthInfo]; user != nil && user.Exec != nil && slices.Contains(user.Exec.Args, "credential") {
		for _, argument := range user.Exec.Args {
			if provider, ok := strings.CutPrefix(argument, "--provider="); ok {
				at.provider = provider
			}
		}
	}
	return at, nil
}

// contextsFor makes the entries of a sign-in: a cluster and a context for each chosen cluster of the gate, and one user.
func contextsFor(address signin.Address, clusters []adminapi.SignInCluster, exec *clientcmdapi.ExecConfig, userName string) (put entries, names []string, err error) {
	base, err := url.Parse(address.URL)
	if err != nil {
		return entries{}, nil, err
	}
	put = entries{
		clusters: map[string]*clientcmdapi.Cluster{}, contexts: map[string]*clientcmdapi.Context{},
		users: map[string]*clientcmdapi.AuthInfo{userName: {Exec: exec}},
	}
	for _, cluster := range clusters {
		if cluster.Name == "" || !strings.HasPrefix(cluster.Path, "/") && cluster.Path != "" {
			return entries{}, nil, fmt.Errorf("the gate names a cluster %s at path %s, which is none", signin.Foreign(cluster.Name), signin.Foreign(cluster.Path))
		}
		name := cluster.Name + "@" + base.Host
		server := *base
		server.Path = strings.TrimSuffix(cluster.Path, "/")
		put.clusters[name] = &clientcmdapi.Cluster{
			Server: server.String(), TLSServerName: address.ServerName, CertificateAuthorityData: []byte(address.Authorities),
		}
		put.contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: userName}
		names = append(names, name)
	}
	return put, names, nil
}

// startAgent returns a client of the user's agent, and starts one where none runs.
func startAgent(ctx context.Context) (*agent.Client, error) {
	return agent.Start(ctx, func() error {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		return agent.Spawn(program, "agent")
	})
}

// explainSignIn gives a failed sign-in or renewal its exit code.
func explainSignIn(err error) error {
	if err == nil {
		return nil
	}
	_, coded := errors.AsType[*exitError](err)
	_, refused := errors.AsType[*signin.RefusedError](err)
	_, silent := errors.AsType[*signin.NoAnswerError](err)
	_, agentRefused := errors.AsType[*agent.RefusedError](err)
	_, agentSilent := errors.AsType[*agent.NoAnswerError](err)
	switch {
	case coded:
		return err
	case silent, agentSilent:
		return exitWith(ExitUnreachable, "%w", err)
	case refused, agentRefused, errors.Is(err, agent.ErrNoSession), errors.Is(err, agent.ErrEnded), errors.Is(err, agent.ErrNoAgent):
		return exitWith(ExitRefused, "%w", err)
	default:
		return exitWith(ExitFailed, "%w", err)
	}
}

// say writes a line for people.
func say(streams genericiooptions.IOStreams, format string, values ...any) error {
	return write(streams.ErrOut, fmt.Sprintf(format, values...)+"\n")
}

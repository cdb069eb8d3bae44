package kubectl

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
)

const statusLong = `Show whether the server of the current context is an Ostiary gate, and how it is doing.

The server is asked over TLS as kubectl would ask it. TLS version, server certificate, the gate's version, its readiness
and the cluster behind it are shown.

Exit codes: 0 a gate, and ready; 2 the server is no gate; 3 a gate that is not ready; 4 no answer, or the server could
not prove who it is; 5 the credential was refused. With --output name, the name of the cluster behind the gate is
printed, and nothing for a server that is no gate.`

// serverStatus is what "kubectl ostiary status" found.
type serverStatus struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Context and Server are where the answer comes from.
	Context string `json:"context"`
	Server  string `json:"server"`
	// TLS is what the handshake proved.
	TLS tlsReport `json:"tls"`
	// Gate is nil where the server is no Ostiary gate.
	Gate *adminapi.GateStatus `json:"gate,omitempty"`

	now time.Time
}

// tlsReport is what a TLS handshake proved.
type tlsReport struct {
	// Version is the protocol's, for example "TLS 1.3".
	Version string `json:"version"`
	// CipherSuite has its IANA name.
	CipherSuite string `json:"cipherSuite"`
	// Verified is false where --insecure-skip-tls-verify took the server at its word.
	Verified bool `json:"verified"`
	// Subject, Issuer and NotAfter are those of the server's certificate.
	Subject  string    `json:"subject"`
	Issuer   string    `json:"issuer"`
	NotAfter time.Time `json:"notAfter"`
}

func newStatus(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	command := &cobra.Command{
		Use:   "status",
		Short: "Show whether the server is an Ostiary gate, and how it is doing",
		Long:  statusLong,
		Args:  cobra.NoArgs,
	}
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		server, err := connect(flags, streams)
		if err != nil {
			return err
		}
		result, err := askStatus(command.Context(), server)
		if result == nil {
			return err
		}
		if printErr := output.print(streams.Out, result); printErr != nil {
			return printErr
		}
		return err
	}
	return command
}

// askStatus returns a report with every answer of the server; the error says what is not well, and comes with a report
// where the server answered.
func askStatus(ctx context.Context, server *server) (*serverStatus, error) {
	gate, err := server.gateStatus(ctx)
	if err != nil && !errors.Is(err, errNotAGate) {
		return nil, err
	}
	result := &serverStatus{
		APIVersion: adminapi.GroupVersion, Kind: "ServerStatus",
		Context: server.context, Server: server.url, Gate: gate, now: time.Now(),
		TLS: describeTLS(server.wire.connection()),
	}
	switch {
	case err != nil:
		return result, exitWith(ExitNotAGate, "%s is %w", server.url, err)
	case !gate.Ready:
		return result, exitWith(ExitNotReady, "the gate at %s is not ready to serve cluster %q: its log and /readyz say why",
			server.url, gate.Cluster.Name)
	}
	return result, nil
}

// describeTLS reads a finished handshake. The state is never nil here: connect refuses what is not https.
func describeTLS(state *tls.ConnectionState) tlsReport {
	if state == nil || len(state.PeerCertificates) == 0 {
		return tlsReport{}
	}
	leaf := state.PeerCertificates[0]
	return tlsReport{
		Version: tls.VersionName(state.Version), CipherSuite: tls.CipherSuiteName(state.CipherSuite),
		Verified: len(state.VerifiedChains) > 0,
		Subject:  leaf.Subject.String(), Issuer: leaf.Issuer.String(), NotAfter: leaf.NotAfter,
	}
}

// gateText names a gate in one line.
func gateText(gate *adminapi.GateStatus) string {
	return "yes, cluster " + printable(gate.Cluster.Name) + " by " + printable(gate.Cluster.IdentityMode)
}

func (s *serverStatus) names() []string {
	if s.Gate == nil || s.Gate.Cluster.Name == "" {
		return nil
	}
	return []string{s.Gate.Cluster.Name}
}

func (s *serverStatus) table() [][]string { return attributes(s.rows()) }

func (s *serverStatus) rows() []row {
	verified := "yes"
	if !s.TLS.Verified {
		verified = "no (--insecure-skip-tls-verify)"
	}
	rows := []row{
		{"Context", s.Context},
		{"Server", s.Server},
		{"TLS", s.TLS.Version + ", " + s.TLS.CipherSuite},
		{"Server certificate", s.TLS.Subject},
		{"Certificate issuer", s.TLS.Issuer},
		{"Certificate ends", until(s.TLS.NotAfter, s.now)},
		{"Certificate verified", verified},
	}
	if s.Gate == nil {
		return append(rows, row{"Ostiary gate", "no"})
	}
	ready := "no"
	if s.Gate.Ready {
		ready = "yes"
	}
	rows = append(rows,
		row{"Ostiary gate", gateText(s.Gate)},
		row{"Gate version", s.Gate.Version},
		row{"Gate ready", ready},
	)
	for _, notice := range s.Gate.Notices {
		rows = append(rows, row{"Notice", notice})
	}
	return append(rows,
		row{"Authenticated as", s.Gate.Caller.Username},
		row{"Mechanism", s.Gate.Caller.Mechanism},
	)
}

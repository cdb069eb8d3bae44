package kubectl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/agent"
	"github.com/ostiary/ostiary/internal/signin/session"
)

const credentialLong = `Give kubectl, and everything else that reads kubeconfigs, the certificate of a session: the exec plugin of
client.authentication.k8s.io/v1. "login" writes the kubeconfig entries that call it; people have no need to.

It prints a private key, and so refuses to write to a terminal. The certificate is given only for the gate that issued it.

Without a session it signs you in where a person is there: of many calls at once one does, and the others wait. Where nobody
is there, it opens no browser and says what to do.

Exit codes: 0 done; 1 wrong use; 4 no answer from the gate or the provider; 5 nobody is signed in, or the session has ended.`

// execInfo is the variable in which kubectl says what it wants.
const execInfo = "KUBERNETES_EXEC_INFO"

// What requests are judged by, as --credential names it.
const (
	credentialCertificate = "certificate"
	credentialToken       = "token"
)

// wantsToken reports whether a token is wanted that is bound to the certificate.
func wantsToken(credential string) (bool, error) {
	if credential != credentialCertificate && credential != credentialToken {
		return false, exitWith(ExitFailed, "--credential %q: must be %s or %s", credential, credentialCertificate, credentialToken)
	}
	return credential == credentialToken, nil
}

const execVersion = "client.authentication.k8s.io/v1"

// endMargin is how long before a certificate's end kubectl is told to ask anew.
const endMargin = 20 * time.Second

// execCredential is the object that goes both ways (client.authentication.k8s.io/v1, ExecCredential).
type execCredential struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Spec       execSpec    `json:"spec"`
	Status     *execStatus `json:"status,omitempty"`
}

type execSpec struct {
	Interactive bool         `json:"interactive"`
	Cluster     *execCluster `json:"cluster,omitempty"`
}

type execCluster struct {
	Server      string `json:"server"`
	ServerName  string `json:"tls-server-name,omitempty"`
	Insecure    bool   `json:"insecure-skip-tls-verify,omitempty"`
	Authorities []byte `json:"certificate-authority-data,omitempty"`
}

type execStatus struct {
	Expires     string `json:"expirationTimestamp"`
	Certificate string `json:"clientCertificateData"`
	Key         string `json:"clientKeyData"`
	Token       string `json:"token,omitempty"`
}

// credentialFlags are what the kubeconfig passes.
type credentialFlags struct {
	session, server, provider, judge string
	store                            string
	tokenFile, tokenEnv, credential  string
	lifetime                         time.Duration
}

func newCredential(streams genericiooptions.IOStreams) *cobra.Command {
	var chosen credentialFlags
	command := &cobra.Command{Use: "credential", Short: "Give kubectl the certificate of a session (exec plugin)", Long: credentialLong, Args: cobra.NoArgs}
	set := command.Flags()
	set.StringVar(&chosen.session, "session", "", "The session, as login named it.")
	set.StringVar(&chosen.server, "server", "", "The gate.")
	set.StringVar(&chosen.provider, "provider", "", "The provider at which a person signs in.")
	set.StringVar(&chosen.judge, "judged-by", "", "The cluster whose rules judge the token.")
	set.StringVar(&chosen.tokenFile, "token-file", "", "The file of a pipeline's token.")
	set.StringVar(&chosen.tokenEnv, "token-env", "", "The environment variable of a pipeline's token.")
	set.StringVar(&chosen.store, "store", storeAgent, "Where the session is kept: agent, file or keyring.")
	set.DurationVar(&chosen.lifetime, "lifetime", 0, "For how long certificates are wished to hold.")
	set.StringVar(&chosen.credential, "credential", credentialCertificate, "What is given: certificate, or token (with the certificate that it is bound to).")
	command.RunE = func(command *cobra.Command, _ []string) error {
		return explainSignIn(giveCredential(command.Context(), &chosen, streams))
	}
	return command
}

// giveCredential answers kubectl.
func giveCredential(ctx context.Context, chosen *credentialFlags, streams genericiooptions.IOStreams) error {
	if isTerminal(streams.Out) {
		return exitWith(ExitFailed, "this would print a private key on the terminal: it is for kubectl, which calls it by the kubeconfig that \"kubectl ostiary login\" writes")
	}
	asked, err := parseExecInfo(os.Getenv(execInfo))
	if err != nil {
		return exitWith(ExitFailed, "%w", err)
	}
	address := asked.Spec.Cluster.address()
	want, err := signin.ParseURL(chosen.server)
	if err != nil {
		return exitWith(ExitFailed, "--server: %w", err)
	}
	if address.URL != want {
		return exitWith(ExitFailed, "the certificate is for the gate %s, and this kubeconfig would show it to %s: use a context that \"kubectl ostiary login\" wrote", want, address.URL)
	}
	tokenWanted, err := wantsToken(chosen.credential)
	if err != nil {
		return err
	}
	// The process holds a key from here on.
	_ = agent.Harden() // a second line only; the agent says why where it cannot
	if err := checkStore(chosen.store); err != nil {
		return err
	}
	fetch := fetchCredential
	if chosen.store != storeAgent {
		fetch = sealedCredential
	}
	handed, err := fetch(ctx, chosen, asked, address, streams)
	if err != nil {
		return err
	}
	if tokenWanted && handed.Token == "" {
		return exitWith(ExitFailed, "the session has no token, as an agent of an older version keeps none: run \"kubectl ostiary logout --all\", and then \"kubectl ostiary login --credential token\"")
	}
	if handed.Address != address {
		return exitWith(ExitFailed, "the certificate is for the gate %s as its CAs vouched for it at the sign-in, and this kubeconfig names others: run \"kubectl ostiary login\" again", want)
	}
	return writeExecCredential(asked, handed, streams)
}

// writeExecCredential hands the certificate over.
func writeExecCredential(asked *execCredential, handed *agent.Handed, streams genericiooptions.IOStreams) error {
	ends := handed.NotAfter
	if sooner := ends.Add(-endMargin); time.Until(sooner) > endMargin {
		ends = sooner
	}
	answer := execCredential{APIVersion: execVersion, Kind: "ExecCredential", Spec: execSpec{Interactive: asked.Spec.Interactive}, Status: &execStatus{
		Expires: ends.UTC().Format(time.RFC3339), Certificate: handed.Certificate, Key: handed.Key, Token: handed.Token,
	}}
	data, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return write(streams.Out, string(data)+"\n")
}

// parseExecInfo reads what kubectl says.
func parseExecInfo(text string) (*execCredential, error) {
	if text == "" {
		return nil, fmt.Errorf("the variable %s is not set: this is called by kubectl, through the kubeconfig that \"kubectl ostiary login\" writes", execInfo)
	}
	var asked execCredential
	if err := json.Unmarshal([]byte(text), &asked); err != nil {
		return nil, fmt.Errorf("the variable %s is no JSON: %w", execInfo, err)
	}
	switch {
	case asked.APIVersion != execVersion || asked.Kind != "ExecCredential":
		return nil, fmt.Errorf("the variable %s is of kind %q, %q; this plugin speaks ExecCredential, %s", execInfo, asked.Kind, asked.APIVersion, execVersion)
	case asked.Spec.Cluster == nil:
		return nil, errors.New("the kubeconfig does not say which server the certificate is for; it needs provideClusterInfo: true")
	case asked.Spec.Cluster.Insecure:
		return nil, errors.New("the server need not prove who it is (insecure-skip-tls-verify), so it could be anybody: no certificate for it")
	}
	if _, err := signin.ParseURL(asked.Spec.Cluster.Server); err != nil {
		return nil, err
	}
	return &asked, nil
}

// address is the gate that a cluster is behind.
func (c *execCluster) address() signin.Address {
	spelled, err := signin.ParseURL(c.Server)
	if err != nil {
		return signin.Address{} // parseExecInfo has looked; equal to no gate's
	}
	return signin.Address{URL: spelled, Authorities: string(c.Authorities), ServerName: c.ServerName}
}

// fetchCredential asks the agent, and has a person or a token bring a session where there is none.
func fetchCredential(ctx context.Context, chosen *credentialFlags, asked *execCredential, address signin.Address, streams genericiooptions.IOStreams) (*agent.Handed, error) {
	if chosen.tokenFile != "" || chosen.tokenEnv != "" {
		return pipelineCredential(ctx, chosen, address)
	}
	if chosen.session == "" {
		return nil, exitWith(ExitFailed, "give --session: run \"kubectl ostiary login\", which writes the kubeconfig")
	}
	keeper, err := agent.Dial(ctx)
	if err == nil {
		defer keeper.Close()
		var handed *agent.Handed
		if handed, err = keeper.Credential(ctx, chosen.session); err == nil {
			return handed, nil
		}
	}
	missing := errors.Is(err, agent.ErrNoSession) || errors.Is(err, agent.ErrEnded) || errors.Is(err, agent.ErrNoAgent)
	switch {
	case missing && asked.Spec.Interactive && chosen.provider != "":
		return signInAgain(ctx, chosen, address, streams)
	case errors.Is(err, agent.ErrNoAgent):
		err = agent.ErrNoSession // what that means to people
		fallthrough
	case missing:
		return nil, exitWith(ExitRefused, "%w: run \"kubectl ostiary login --server %s\"", err, address.URL)
	default:
		return nil, err
	}
}

// pipelineCredential has the agent sign in by a token.
func pipelineCredential(ctx context.Context, chosen *credentialFlags, address signin.Address) (*agent.Handed, error) {
	source := session.Source{
		Address: address, TokenFile: chosen.tokenFile, Cluster: chosen.judge, Lifetime: chosen.lifetime, Bound: chosen.credential == credentialToken,
	}
	token := ""
	if chosen.tokenEnv != "" {
		source.Label = "env " + chosen.tokenEnv
		read, err := session.TokenFrom(strings.NewReader(os.Getenv(chosen.tokenEnv)))
		if err != nil {
			return nil, exitWith(ExitFailed, "the variable %s: %w", chosen.tokenEnv, err)
		}
		token = read.Reveal()
	}
	keeper, err := startAgent(ctx)
	if err != nil {
		return nil, err
	}
	defer keeper.Close()
	return keeper.Pipeline(ctx, source, token)
}

// signInAgain has the person sign in, by this call or by another that does already.
func signInAgain(ctx context.Context, chosen *credentialFlags, address signin.Address, streams genericiooptions.IOStreams) (*agent.Handed, error) {
	keeper, err := startAgent(ctx)
	if err != nil {
		return nil, err
	}
	defer keeper.Close()
	leads, done, err := keeper.Lead(ctx, chosen.session)
	if err != nil {
		return nil, exitWith(ExitRefused, "%w: run \"kubectl ostiary login --server %s\"", err, address.URL)
	}
	defer done()
	if leads {
		if err := bringSession(ctx, chosen, address, streams, func(s *session.Session) error { return keeper.Put(ctx, s) }); err != nil {
			return nil, err
		}
	}
	return keeper.Credential(ctx, chosen.session)
}

// bringSession signs the person in and has the session kept.
func bringSession(ctx context.Context, chosen *credentialFlags, address signin.Address, streams genericiooptions.IOStreams, keep func(*session.Session) error) error {
	gate, err := signin.NewGate(address)
	if err != nil {
		return err
	}
	defer gate.Close()
	document, err := gate.SignIn(ctx)
	if err != nil {
		return err
	}
	provider, err := chooseProvider(document.Providers, chosen.provider)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, loginTimeout, fmt.Errorf("nobody signed in within %s", loginTimeout))
	defer cancel()
	source := session.Source{Address: address, Provider: provider, Cluster: chosen.judge, Bound: chosen.credential == credentialToken}
	if source.Name() != chosen.session {
		return exitWith(ExitFailed, "the kubeconfig's entry does not fit the gate any more: run \"kubectl ostiary login --server %s\"", address.URL)
	}
	// Standard output is kubectl's; a person reads standard error.
	streams.Out = bytes.NewBuffer(nil)
	s, err := signInPerson(ctx, source, &loginFlags{}, streams)
	if err != nil {
		return err
	}
	return keep(s)
}

package kubectl

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/keyring"
	"github.com/ostiary/ostiary/internal/signin/session"
)

const loginLong = `Sign in at a gate, and write a kubeconfig context for each of its clusters.

You prove who you are at your OpenID Connect provider: in a browser on this machine (--flow code), by a code in a browser
anywhere (device), or in a browser elsewhere whose last address you paste here (paste). The gate then issues a certificate that
ends soon and is renewed without you until the session ends. One sign-in serves all clusters of the gate.

With --credential token the gate issues a token as well, which is bound to the certificate (RFC 8705): requests carry both and are judged
by the token, and without the certificate it is of no use to anybody.

The key, the certificate and the provider's refresh token are in the memory of a small program of yours, the agent, and on no
disk. The kubeconfig holds none of them: kubectl asks "kubectl ostiary credential".

With --store file there is no agent: the session is in a file that a passphrase encrypts, which is asked for at each use, or read
from the file that OSTIARY_PASSPHRASE_FILE names. With --store keyring, the file's key is in the keyring of your system.

Pipelines sign in with the token that their CI service or their cluster gives them: --token-file, which is read anew for each
certificate, or --token-env.

Without --server, the gate is that of the current context.

Exit codes: 0 signed in; 1 wrong use; 4 no answer from the gate or the provider; 5 one of them refused.`

// loginTimeout is for how long a person may take to sign in.
const loginTimeout = 10 * time.Minute

// loginKind is the kind of the result.
const loginKind = "SignedIn"

// loginFlags are what login is told.
type loginFlags struct {
	provider    string
	flow        string
	noBrowser   bool
	ports       []int
	clusters    []string
	tokenFile   string
	tokenEnv    string
	judge       string
	lifetime    time.Duration
	keepContext bool
	timeout     time.Duration
	store       string
	credential  string
}

func newLogin(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var chosen loginFlags
	command := &cobra.Command{Use: "login", Short: "Sign in at a gate", Long: loginLong, Args: cobra.NoArgs}
	set := command.Flags()
	set.StringVar(&chosen.provider, "provider", "", "The provider to sign in at, where the gate has several.")
	set.StringVar(&chosen.flow, "flow", "", "How: code, device or paste. By default the first that the gate allows and that fits this machine.")
	set.BoolVar(&chosen.noBrowser, "no-browser", false, "Show the address instead of opening a browser.")
	set.IntSliceVar(&chosen.ports, "port", nil, "With --flow code: ports to wait on for the browser's answer, the first that is free; 0 is any. (default 8000,18000,0)")
	set.StringSliceVar(&chosen.clusters, "cluster", nil, "Write contexts for these clusters of the gate only.")
	set.StringVar(&chosen.tokenFile, "token-file", "", "Sign in without a person, by the token in a file; - reads it once from standard input.")
	set.StringVar(&chosen.tokenEnv, "token-env", "", "Sign in without a person, by the token in the environment variable of this name.")
	set.StringVar(&chosen.judge, "judged-by", "", "The cluster of the gate whose rules judge the token. (default: its first)")
	set.DurationVar(&chosen.lifetime, "lifetime", 0, "For how long certificates are wished to hold. (default: as the gate gives them)")
	set.BoolVar(&chosen.keepContext, "keep-context", false, "Leave the current context as it is.")
	set.DurationVar(&chosen.timeout, "timeout", loginTimeout, "For how long to wait for you.")
	set.StringVar(&chosen.store, "store", storeAgent, "Where the session is kept: agent (memory), file (encrypted by a passphrase), or keyring (a file that is encrypted by a key in the system's keyring).")
	set.StringVar(&chosen.credential, "credential", credentialCertificate, "What requests are judged by: certificate, or token (bound to a certificate).")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		result, err := login(command.Context(), flags, &chosen, streams)
		if err != nil {
			return explainSignIn(err)
		}
		return output.print(streams.Out, result)
	}
	return command
}

// login signs in, hands the session to the agent, and writes the contexts.
func login(ctx context.Context, flags *genericclioptions.ConfigFlags, chosen *loginFlags, streams genericiooptions.IOStreams) (*signedIn, error) {
	if chosen.tokenFile != "" && chosen.tokenEnv != "" {
		return nil, exitWith(ExitFailed, "--token-file and --token-env name two tokens; give one")
	}
	if err := checkStore(chosen.store); err != nil {
		return nil, err
	}
	if _, err := wantsToken(chosen.credential); err != nil {
		return nil, err
	}
	at, err := gateOf(flags)
	if err != nil {
		return nil, err
	}
	gate, err := signin.NewGate(at.address)
	if err != nil {
		return nil, exitWith(ExitFailed, "%w", err)
	}
	defer gate.Close()
	document, err := gate.SignIn(ctx)
	if err != nil {
		return nil, err
	}
	clusters, err := chooseClusters(document.Clusters, chosen.clusters)
	if err != nil {
		return nil, err
	}
	keep, err := keeperFor(ctx, chosen, streams) // before there is a session that has no place
	if err != nil {
		return nil, err
	}
	s, arguments, err := begin(ctx, at, document, chosen, streams)
	if err != nil {
		return nil, err
	}
	if err := keep(ctx, s); err != nil {
		return nil, err
	}
	put, names, err := contextsFor(at.address, clusters, execFor(s, arguments), userFor(s))
	if err != nil {
		return nil, err
	}
	if !chosen.keepContext {
		put.current = names[0]
	}
	written, err := writeKubeconfig(ctx, *flags.KubeConfig, put)
	if err != nil {
		return nil, err
	}
	return &signedIn{
		TypeMeta: adminapi.TypeOf(loginKind), Gate: s.Address.URL, Username: s.Username, Groups: s.Groups, Credential: chosen.credential,
		CredentialID: s.CredentialID(), Session: s.Session, ExpiresAt: s.NotAfter, SessionExpiresAt: s.SessionEnds, Renewed: s.Renewable(), Contexts: names, Kubeconfig: written, now: time.Now(),
	}, nil
}

// keeperFor returns what keeps a new session.
func keeperFor(ctx context.Context, chosen *loginFlags, streams genericiooptions.IOStreams) (func(context.Context, *session.Session) error, error) {
	if chosen.store != storeAgent {
		store, err := openSealed(chosen.store, streams, true, true)
		if err != nil {
			return nil, err
		}
		if chosen.store == storeKeyring {
			if _, _, err := (keyring.Keyring{Person: true}).Get(ctx, loginKind); err != nil { // nothing is there; does one answer?
				return nil, exitWith(ExitFailed, "%w", err)
			}
		}
		return func(ctx context.Context, s *session.Session) error {
			return store.Lock(s.Name(), func() error { return store.Put(ctx, s) })
		}, nil
	}
	return func(ctx context.Context, s *session.Session) error {
		keeper, err := startAgent(ctx)
		if err != nil {
			return err
		}
		defer keeper.Close()
		return keeper.Put(ctx, s)
	}, nil
}

// chooseClusters returns the clusters that contexts are wanted for.
func chooseClusters(all []adminapi.SignInCluster, wanted []string) ([]adminapi.SignInCluster, error) {
	if len(all) == 0 {
		return nil, exitWith(ExitFailed, "the gate names no cluster")
	}
	if len(wanted) == 0 {
		return all, nil
	}
	var some []adminapi.SignInCluster
	for _, name := range wanted {
		i := slices.IndexFunc(all, func(c adminapi.SignInCluster) bool { return c.Name == name })
		if i < 0 {
			var names []string
			for _, cluster := range all {
				names = append(names, cluster.Name)
			}
			return nil, exitWith(ExitFailed, "the gate has no cluster %q; it has %s", name, list(names))
		}
		some = append(some, all[i])
	}
	return some, nil
}

// begin makes the session, by a person or by a token, and says with which arguments kubectl will ask for its certificate.
func begin(ctx context.Context, at gateAt, document adminapi.SignIn, chosen *loginFlags, streams genericiooptions.IOStreams) (*session.Session, []string, error) {
	source := session.Source{Address: at.address, Cluster: chosen.judge, Lifetime: chosen.lifetime, Bound: chosen.credential == credentialToken}
	if chosen.tokenFile != "" || chosen.tokenEnv != "" {
		return beginPipeline(ctx, source, chosen, streams)
	}
	wanted := chosen.provider
	if wanted == "" && slices.ContainsFunc(document.Providers, func(p adminapi.SignInProvider) bool { return p.Name == at.provider }) {
		wanted = at.provider
	}
	provider, err := chooseProvider(document.Providers, wanted)
	if err != nil {
		return nil, nil, err
	}
	source.Provider = provider
	ctx, cancel := context.WithTimeoutCause(ctx, chosen.timeout, fmt.Errorf("nobody signed in within %s", chosen.timeout))
	defer cancel()
	s, err := signInPerson(ctx, source, chosen, streams)
	if err != nil {
		return nil, nil, err
	}
	arguments := personArguments(s.Source)
	if chosen.store != storeAgent {
		arguments = append(arguments, "--store="+chosen.store)
	}
	return s, arguments, nil
}

// personArguments are with what kubectl asks for the certificate of a person's session.
func personArguments(source session.Source) []string {
	arguments := []string{"--session=" + source.Name(), "--server=" + source.Address.URL, "--provider=" + source.Provider.Name}
	if source.Cluster != "" {
		arguments = append(arguments, "--judged-by="+source.Cluster)
	}
	if source.Bound {
		arguments = append(arguments, "--credential="+credentialToken)
	}
	return arguments
}

// beginPipeline makes a session by a token that somebody else gave.
func beginPipeline(ctx context.Context, source session.Source, chosen *loginFlags, streams genericiooptions.IOStreams) (*session.Session, []string, error) {
	var token secret.String
	var arguments []string
	var err error
	switch {
	case chosen.tokenEnv != "":
		if token, err = session.TokenFrom(strings.NewReader(os.Getenv(chosen.tokenEnv))); err != nil {
			return nil, nil, exitWith(ExitFailed, "the variable %s: %w", chosen.tokenEnv, err)
		}
		source.Label = "env " + chosen.tokenEnv
		arguments = []string{"--token-env=" + chosen.tokenEnv}
	case chosen.tokenFile == "-":
		if token, err = session.TokenFrom(streams.In); err != nil {
			return nil, nil, exitWith(ExitFailed, "standard input: %w", err)
		}
		source.Label = "stdin"
		arguments = []string{"--session=" + source.Name()}
	default:
		if source.TokenFile, err = filepath.Abs(chosen.tokenFile); err != nil {
			return nil, nil, exitWith(ExitFailed, "%w", err)
		}
		arguments = []string{"--token-file=" + source.TokenFile}
	}
	if chosen.store != storeAgent {
		arguments = []string{"--session=" + source.Name(), "--store=" + chosen.store}
	}
	arguments = append(arguments, "--server="+source.Address.URL)
	if source.Cluster != "" {
		arguments = append(arguments, "--judged-by="+source.Cluster)
	}
	if source.Bound {
		arguments = append(arguments, "--credential="+credentialToken)
	}
	if source.Lifetime > 0 {
		arguments = append(arguments, "--lifetime="+source.Lifetime.String())
	}
	s, err := session.BeginPipeline(ctx, source, token)
	return s, arguments, err
}

func chooseProvider(all []adminapi.SignInProvider, name string) (*adminapi.SignInProvider, error) {
	var names []string
	for i := range all {
		if all[i].Name == name || name == "" && len(all) == 1 {
			return &all[i], nil
		}
		names = append(names, all[i].Name)
	}
	switch {
	case len(all) == 0:
		return nil, exitWith(ExitFailed, "people cannot sign in at this gate: it names no provider; pipelines give --token-file")
	case name == "":
		return nil, exitWith(ExitFailed, "the gate has several providers: give --provider, one of %s", list(names))
	default:
		return nil, exitWith(ExitFailed, "the gate has no provider %q; it has %s", name, list(names))
	}
}

// userFor is the name of the kubeconfig's user entry: one for each gate and source of tokens.
func userFor(s *session.Session) string {
	host := s.Address.URL
	if parsed, err := url.Parse(host); err == nil {
		host = parsed.Host
	}
	if s.Provider != nil {
		return s.Provider.Name + "@" + host
	}
	return "pipeline-" + s.Name() + "@" + host
}

// execFor is how kubectl, and all that reads kubeconfigs, asks for the certificate.
func execFor(s *session.Session, arguments []string) *clientcmdapi.ExecConfig {
	mode := clientcmdapi.IfAvailableExecInteractiveMode // a person may be asked to sign in again
	if s.Provider == nil {
		mode = clientcmdapi.NeverExecInteractiveMode
	}
	return &clientcmdapi.ExecConfig{
		APIVersion: "client.authentication.k8s.io/v1", Command: pluginCommand(), Args: append([]string{"credential"}, arguments...),
		ProvideClusterInfo: true, InteractiveMode: mode,
		InstallHint: "kubectl-ostiary is needed to authenticate to this cluster, and is not on the PATH.",
	}
}

// pluginCommand is this program as other programs find it: by its name where that means this file, and else by its path.
func pluginCommand() string {
	const name = "kubectl-ostiary"
	program, err := os.Executable()
	if err != nil {
		return name
	}
	if found, err := exec.LookPath(name); err == nil && sameFile(found, program) {
		return name
	}
	return program
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	second, otherErr := os.Stat(b)
	return errors.Join(err, otherErr) == nil && os.SameFile(first, second)
}

// signedIn is what login did.
type signedIn struct {
	adminapi.TypeMeta `json:",inline"`

	Gate     string   `json:"gate"`
	Username string   `json:"username"`
	Groups   []string `json:"groups,omitempty"`
	// Credential is what requests are judged by, as --credential names it, and CredentialID under which logs and the ledger have that.
	Credential       string    `json:"credential"`
	CredentialID     string    `json:"credentialID"`
	Session          string    `json:"session"`
	ExpiresAt        time.Time `json:"expiresAt"`
	SessionExpiresAt time.Time `json:"sessionExpiresAt,omitzero"`
	// Renewed says that certificates are renewed until the session ends.
	Renewed    bool     `json:"renewed"`
	Contexts   []string `json:"contexts"`
	Kubeconfig []string `json:"kubeconfig"`

	now time.Time
}

func (s *signedIn) names() []string { return s.Contexts }

func (s *signedIn) table() [][]string {
	rows := []row{
		{"Gate", s.Gate},
		{"Username", s.Username},
		{"Groups", list(s.Groups)},
		{"Session", s.Session},
	}
	if s.Renewed && !s.SessionExpiresAt.IsZero() {
		rows = append(rows, row{"Session ends", until(s.SessionExpiresAt, s.now)})
	}
	ends := "Certificate ends"
	if s.Credential == credentialToken {
		ends = "Token ends"
	}
	rows = append(rows, row{ends, until(s.ExpiresAt, s.now)})
	for i, name := range s.Contexts {
		label := "Context"
		if i > 0 {
			label = ""
		}
		rows = append(rows, row{label, name})
	}
	table := attributes(rows)
	for _, line := range table {
		if line[0] == "" {
			line[0] = " " // not <none>
		}
	}
	return table
}

package kubectl

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
)

const issueLong = `Have the gate issue a credential for a machine or for somebody else. It is on record before it is signed, and is shown this once.

Who may is decided by the cluster's RBAC: verb create, resource issue, API group ostiary.dev; "issue token" asks the cluster for a
ServiceAccount's token, through the gate, and needs what "kubectl create token" needs.

The credential alone goes to standard output, what else is known of it to standard error; -o json and yaml have both.

Exit codes: 0 issued; 1 wrong use, or not allowed; 2 the server is no gate that issues; 4 no answer; 5 the credential was refused.`

// maxRequest bounds a certificate request, in bytes: more than any key needs.
const maxRequest = 64 << 10

func newIssue(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	command := &cobra.Command{Use: "issue", Short: "Have the gate issue a credential", Long: issueLong, Args: cobra.NoArgs}
	command.AddCommand(
		newIssueBootstrapToken(flags, streams),
		newIssueCertificate(flags, streams),
		newIssueStaticToken(flags, streams),
		newIssueToken(flags, streams),
	)
	return command
}

const issueCertificateLong = `Have the gate issue a client certificate for the key of a certificate request. Of the request the key alone is taken: who the
certificate is for is said here, and the gate's policy bounds for how long.

The certificate is good at this gate only, and not at the cluster itself.`

func newIssueCertificate(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var file string
	var lifetime time.Duration
	asked := &adminapi.IssueCertificate{}
	command := &cobra.Command{
		Use: "certificate", Short: "A client certificate for a certificate request", Long: issueCertificateLong, Args: cobra.NoArgs,
		Example: `  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout backup.key -subj / -out backup.csr
  kubectl ostiary issue certificate --csr backup.csr --username backup --group backups --lifetime 12h > backup.crt`,
	}
	set := command.Flags()
	set.StringVar(&file, "csr", "", "The certificate request (PEM or DER); - for standard input. Required.")
	set.StringVar(&asked.Username, "username", "", "Whose certificate it is. Required.")
	set.StringSliceVar(&asked.Groups, "group", nil, "A group that the bearer is in; may be repeated.")
	set.DurationVar(&lifetime, "lifetime", 0, "For how long. (default: as the gate gives them)")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		if file == "" || asked.Username == "" {
			return exitWith(ExitFailed, "give --csr and --username")
		}
		var err error
		if asked.CSR, err = readRequest(file, streams.In); err != nil {
			return exitWith(ExitFailed, "--csr: %w", err)
		}
		asked.Lifetime = lifetimeText(lifetime)
		return issue(command.Context(), flags, &adminapi.Issue{Certificate: asked}, output, streams)
	}
	return command
}

// readRequest reads a certificate request, and checks that whoever made it holds the key.
func readRequest(file string, in io.Reader) ([]byte, error) {
	if file != "-" {
		opened, err := os.Open(file) //nolint:gosec // the user names it
		if err != nil {
			return nil, err
		}
		defer func() { _ = opened.Close() }() // it was only read
		in = opened
	}
	data, err := io.ReadAll(io.LimitReader(in, maxRequest+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxRequest:
		return nil, fmt.Errorf("a certificate request is no longer than %d bytes", maxRequest)
	case bytes.Contains(data, []byte("PRIVATE KEY")):
		return nil, errors.New("this file holds a private key, which must not leave its machine; give the certificate request")
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	request, err := x509.ParseCertificateRequest(data)
	if err != nil {
		return nil, fmt.Errorf("no certificate request: %w", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the certificate request is not signed by its own key: %w", err)
	}
	return request.Raw, nil
}

func newIssueBootstrapToken(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var lifetime time.Duration
	asked := &adminapi.IssueBootstrapToken{}
	command := &cobra.Command{
		Use: "bootstrap-token", Short: "A token with which a node joins",
		Long: "Have the gate issue a bootstrap token. It is random as a whole; the gate keeps what it needs to know it again.", Args: cobra.NoArgs,
	}
	set := command.Flags()
	set.StringSliceVar(&asked.Usages, "usage", nil, "What it is for: authentication, signing. (default: authentication)")
	set.StringSliceVar(&asked.Groups, "group", nil, "A group beside system:bootstrappers; it begins with \"system:bootstrappers:\"; may be repeated.")
	set.StringVar(&asked.Description, "description", "", "For whom or what it is, for those who read the record.")
	set.DurationVar(&lifetime, "lifetime", 0, "For how long. (default: as the gate gives them)")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		asked.Lifetime = lifetimeText(lifetime)
		return issue(command.Context(), flags, &adminapi.Issue{BootstrapToken: asked}, output, streams)
	}
	return command
}

func newIssueStaticToken(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var lifetime time.Duration
	asked := &adminapi.IssueStaticToken{}
	command := &cobra.Command{
		Use: "static-token", Short: "A token that holds until it ends or is revoked",
		Long: "Have the gate issue a static token, for what can do nothing better. Its owner can rotate it (\"token rotate\").", Args: cobra.NoArgs,
	}
	set := command.Flags()
	set.StringVar(&asked.Username, "username", "", "Whose token it is. Required.")
	set.StringVar(&asked.UID, "uid", "", "The owner's UID.")
	set.StringSliceVar(&asked.Groups, "group", nil, "A group that the bearer is in; may be repeated.")
	set.DurationVar(&lifetime, "lifetime", 0, "For how long. (default: as the gate gives them)")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		if asked.Username == "" {
			return exitWith(ExitFailed, "give --username")
		}
		asked.Lifetime = lifetimeText(lifetime)
		return issue(command.Context(), flags, &adminapi.Issue{StaticToken: asked}, output, streams)
	}
	return command
}

// lifetimeText writes a wish down; empty means the gate's default.
func lifetimeText(lifetime time.Duration) string {
	if lifetime == 0 {
		return ""
	}
	return lifetime.String()
}

// issue asks the gate, and shows what it issued.
func issue(ctx context.Context, flags *genericclioptions.ConfigFlags, asked *adminapi.Issue, output *format, streams genericiooptions.IOStreams) error {
	server, err := connect(flags, streams)
	if err != nil {
		return err
	}
	answer, err := server.issue(ctx, adminapi.IssuePath, asked)
	if err != nil {
		return err
	}
	return printIssued(&issued{Issue: *answer, now: time.Now()}, output, streams)
}

// issue posts an Issue, and checks that the answer holds a credential.
func (s *server) issue(ctx context.Context, path string, asked *adminapi.Issue) (*adminapi.Issue, error) {
	asked.TypeMeta = adminapi.TypeOf(adminapi.IssueKind)
	var answer adminapi.Issue
	if err := s.post(ctx, path, nil, asked, &answer, adminapi.IssueKind); err != nil {
		return nil, err
	}
	if answer.Status == nil || answer.Status.Token == "" && answer.Status.Certificate == "" {
		return nil, exitWith(ExitFailed, "%s: the answer holds no credential", s.url)
	}
	return &answer, nil
}

// issued is what was issued.
type issued struct {
	adminapi.Issue

	now time.Time
}

func (i *issued) names() []string { return []string{i.Status.CredentialID} }

// table is what is known of the credential, without the credential.
func (i *issued) table() [][]string {
	rows := []row{{"Credential", i.Status.CredentialID}}
	if !i.Status.ExpiresAt.IsZero() {
		rows = append(rows, row{"Ends", until(i.Status.ExpiresAt, i.now)})
	}
	if !i.Status.OldExpiresAt.IsZero() {
		rows = append(rows, row{"The old one ends", until(i.Status.OldExpiresAt, i.now)})
	}
	return attributes(rows)
}

// printIssued shows a credential this once. In a table nothing but the credential goes to standard output, so that it can be
// sent to a file or another program.
func printIssued(result *issued, output *format, streams genericiooptions.IOStreams) error {
	if *output != formatTable {
		return output.print(streams.Out, result)
	}
	if err := printTable(streams.ErrOut, result.table()); err != nil {
		return err
	}
	credential := strings.TrimSpace(result.Status.Certificate)
	if credential == "" {
		credential = result.Status.Token
	}
	for line := range strings.Lines(credential) {
		if err := write(streams.Out, printable(strings.TrimSuffix(line, "\n"))+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func newIssueToken(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var namespace string
	var audiences []string
	var duration time.Duration
	command := &cobra.Command{
		Use: "token SERVICEACCOUNT", Short: "A ServiceAccount's token, by TokenRequest through the gate",
		Long: "Ask the cluster for a ServiceAccount's token, through the gate, which caps its lifetime and records it.", Args: cobra.ExactArgs(1),
	}
	set := command.Flags()
	set.StringVarP(&namespace, "namespace", "n", "", "The ServiceAccount's namespace. (default: that of the context)")
	set.StringSliceVar(&audiences, "audience", nil, "Who the token is for; may be repeated. (default: the API server)")
	set.DurationVar(&duration, "duration", 0, "For how long. (default: as the cluster gives them)")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		if namespace == "" {
			var err error
			if namespace, _, err = flags.ToRawKubeConfigLoader().Namespace(); err != nil {
				return exitWith(ExitFailed, "cannot read the kubeconfig: %w", err)
			}
		}
		server, err := connect(flags, streams)
		if err != nil {
			return err
		}
		answer, err := server.requestToken(command.Context(), namespace, args[0], audiences, duration)
		if err != nil {
			return err
		}
		return printIssued(&issued{Issue: *answer, now: time.Now()}, output, streams)
	}
	return command
}

// requestToken asks for a ServiceAccount's token (authentication.k8s.io/v1, TokenRequest).
func (s *server) requestToken(ctx context.Context, namespace, name string, audiences []string, duration time.Duration) (*adminapi.Issue, error) {
	request := authenticationv1.TokenRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"}, Spec: authenticationv1.TokenRequestSpec{Audiences: audiences},
	}
	if duration > 0 {
		seconds := int64(duration / time.Second)
		request.Spec.ExpirationSeconds = &seconds
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, exitWith(ExitFailed, "%w", err)
	}
	path := "/api/v1/namespaces/" + url.PathEscape(namespace) + "/serviceaccounts/" + url.PathEscape(name) + "/token"
	said, err := s.client.RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(body).MaxRetries(0).DoRaw(ctx)
	if err != nil {
		var status metav1.Status
		if !apierrors.IsUnauthorized(err) && json.Unmarshal(said, &status) == nil && status.Kind == "Status" && status.Message != "" {
			return nil, exitWith(ExitFailed, "%s: %s", s.url, printable(status.Message))
		}
		return nil, s.explain(err)
	}
	var answer authenticationv1.TokenRequest
	if err := json.Unmarshal(said, &answer); err != nil || answer.Status.Token == "" {
		return nil, exitWith(ExitFailed, "%s: the answer holds no token", s.url)
	}
	id := ""
	if target, err := ofToken(answer.Status.Token); err == nil {
		id = target.Credential.ID
	}
	return &adminapi.Issue{
		TypeMeta: adminapi.TypeOf(adminapi.IssueKind),
		Status:   &adminapi.IssueStatus{CredentialID: id, Token: answer.Status.Token, ExpiresAt: answer.Status.ExpirationTimestamp.Time},
	}, nil
}

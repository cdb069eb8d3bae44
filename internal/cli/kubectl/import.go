package kubectl

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
)

const importLong = `Put credentials on record that the gate has not seen: before a mechanism is made strict, so that those in use go on.

What is read stays on this machine, but for what the record holds: ids, names, groups and times. Tokens are never sent.

--certificates reads certificates from files (PEM). --certificate-requests takes those that the cluster has signed,
--secrets the ServiceAccount tokens and bootstrap tokens that it keeps in Secrets; both with your own rights there.
--file takes Credential objects (JSON), as "get credentials -o json" writes them. What is on record stays as it is.

Exit codes: 0 done; 1 not allowed, or something cannot be read; 4 no answer; 5 the credential was refused.`

// importFlags say what to read.
type importFlags struct {
	certificates      []string
	file              string
	requests, secrets bool
	cluster           string
}

func newImport(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var chosen importFlags
	command := &cobra.Command{
		Use: "import", Short: "Put credentials on record that the gate has not seen", Long: importLong, Args: cobra.NoArgs,
		Example: `  # Before clientCertificate is made strict
  kubectl ostiary import --certificate-requests --certificates admin.crt,backup.crt`,
	}
	set := command.Flags()
	set.StringSliceVar(&chosen.certificates, "certificates", nil, "Files with client certificates (PEM).")
	set.StringVar(&chosen.file, "file", "", "A file with Credential objects (JSON); - for standard input.")
	set.BoolVar(&chosen.requests, "certificate-requests", false, "The certificates of the cluster's CertificateSigningRequests.")
	set.BoolVar(&chosen.secrets, "secrets", false, "The tokens of the cluster's ServiceAccount token and bootstrap token Secrets.")
	set.StringVar(&chosen.cluster, "cluster-name", "", "The cluster's name at the gate, for the record.")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		if len(chosen.certificates) == 0 && chosen.file == "" && !chosen.requests && !chosen.secrets {
			return exitWith(ExitFailed, "say what to put on record, for example --certificates; see --help")
		}
		server, err := connect(flags, streams)
		if err != nil {
			return err
		}
		specs, err := server.gather(command.Context(), &chosen, streams.In)
		if err != nil {
			return err
		}
		result, err := server.importAll(command.Context(), specs, chosen.cluster)
		if len(result.Items) > 0 {
			if printErr := output.print(streams.Out, result); printErr != nil {
				return printErr
			}
		}
		return err
	}
	return command
}

// gather reads all that was asked for.
func (s *server) gather(ctx context.Context, chosen *importFlags, in io.Reader) (all []adminapi.CredentialSpec, err error) {
	for _, path := range chosen.certificates {
		data, err := readBounded(path)
		if err != nil {
			return nil, exitWith(ExitFailed, "%w", err)
		}
		some, err := ofCertificates(data)
		if err == nil && len(some) == 0 {
			err = errors.New("holds no client certificate with a name")
		}
		if err != nil {
			return nil, exitWith(ExitFailed, "%s: %w", path, err)
		}
		all = append(all, some...)
	}
	if chosen.file != "" {
		some, err := ofObjects(chosen.file, in)
		if err != nil {
			return nil, exitWith(ExitFailed, "%s: %w", chosen.file, err)
		}
		all = append(all, some...)
	}
	if chosen.requests {
		some, err := s.ofRequests(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	if chosen.secrets {
		some, err := s.ofSecrets(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// importAll sends them, in as few requests as can be.
func (s *server) importAll(ctx context.Context, specs []adminapi.CredentialSpec, cluster string) (*credentialList, error) {
	result := &credentialList{CredentialList: adminapi.CredentialList{TypeMeta: adminapi.TypeOf(adminapi.CredentialListKind)}, now: time.Now()}
	for len(specs) > 0 {
		some := specs[:min(revokeBatch, len(specs))]
		specs = specs[len(some):]
		list := adminapi.CredentialList{TypeMeta: adminapi.TypeOf(adminapi.CredentialListKind)}
		for i := range some {
			one := adminapi.Credential{TypeMeta: adminapi.TypeOf(adminapi.CredentialKind), Spec: some[i]}
			if one.Spec.Cluster == "" {
				one.Spec.Cluster = cluster
			}
			list.Items = append(list.Items, one)
		}
		var answer adminapi.CredentialList
		if err := s.post(ctx, adminapi.CredentialsPath, nil, &list, &answer, adminapi.CredentialListKind); err != nil {
			return result, err
		}
		result.Items = append(result.Items, answer.Items...)
	}
	return result, nil
}

// ofCertificates describes client certificates as the gate does.
func ofCertificates(data []byte) ([]adminapi.CredentialSpec, error) {
	certificates, err := parseCertificates(data)
	if err != nil {
		return nil, err
	}
	var all []adminapi.CredentialSpec
	for _, leaf := range certificates {
		if leaf.IsCA || leaf.Subject.CommonName == "" {
			continue
		}
		all = append(all, ofCertificate(leaf))
	}
	return all, nil
}

func ofCertificate(leaf *x509.Certificate) adminapi.CredentialSpec {
	sum := sha256.Sum256(leaf.Raw)
	return adminapi.CredentialSpec{
		ID: "X509SHA256=" + hex.EncodeToString(sum[:]), Mechanism: "clientCertificate",
		Username: leaf.Subject.CommonName, Groups: leaf.Subject.Organization, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Certificate: &adminapi.CertificateTarget{Serial: leaf.SerialNumber.Text(hexadecimal), Issuer: leaf.Issuer.String()},
	}
}

// ofObjects reads one Credential or a list of them.
func ofObjects(path string, in io.Reader) ([]adminapi.CredentialSpec, error) {
	if path != "-" {
		file, err := os.Open(path) //nolint:gosec // the user names it
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFile))
	if err != nil {
		return nil, err
	}
	var list adminapi.CredentialList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	if list.Kind == adminapi.CredentialKind {
		list.Items = make([]adminapi.Credential, 1)
		if err := json.Unmarshal(data, &list.Items[0]); err != nil {
			return nil, err
		}
		list.TypeMeta = adminapi.TypeOf(adminapi.CredentialListKind)
	}
	if err := list.Is(adminapi.CredentialListKind); err != nil {
		return nil, err
	}
	specs := make([]adminapi.CredentialSpec, 0, len(list.Items))
	for i := range list.Items {
		specs = append(specs, list.Items[i].Spec)
	}
	return specs, nil
}

// pages reads a list of the cluster, page by page.
func (s *server) pages(ctx context.Context, path string, query url.Values, each func(body []byte) (next string, err error)) error {
	query.Set("limit", strconv.Itoa(revokeBatch))
	for {
		body, err := withQuery(s.client.RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json"), query).DoRaw(ctx)
		if err != nil {
			return s.explain(err)
		}
		next, err := each(body)
		if err != nil {
			return exitWith(ExitFailed, "%s: the answer cannot be read: %w", s.url, err)
		}
		if next == "" {
			return nil
		}
		query.Set("continue", next)
	}
}

// ofRequests describes what the cluster has signed for clients.
func (s *server) ofRequests(ctx context.Context) (all []adminapi.CredentialSpec, err error) {
	return all, s.pages(ctx, "/apis/certificates.k8s.io/v1/certificatesigningrequests", url.Values{}, func(body []byte) (string, error) {
		var list certificatesv1.CertificateSigningRequestList
		if err := json.Unmarshal(body, &list); err != nil {
			return "", err
		}
		for i := range list.Items {
			one := &list.Items[i]
			block, _ := pem.Decode(one.Status.Certificate)
			if block == nil || one.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName && one.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName {
				continue
			}
			leaf, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return "", fmt.Errorf("CertificateSigningRequest %s: %w", one.Name, err)
			}
			if leaf.Subject.CommonName != "" {
				all = append(all, ofCertificate(leaf))
			}
		}
		return list.Continue, nil
	})
}

// ofSecrets describes the tokens that the cluster keeps.
func (s *server) ofSecrets(ctx context.Context) (all []adminapi.CredentialSpec, err error) {
	accounts := url.Values{"fieldSelector": {"type=" + string(corev1.SecretTypeServiceAccountToken)}}
	if err := s.pages(ctx, "/api/v1/secrets", accounts, secrets(func(one *corev1.Secret) error {
		target, err := ofToken(string(one.Data[corev1.ServiceAccountTokenKey]))
		if err != nil {
			return nil //nolint:nilerr // a Secret whose token is not there yet
		}
		account := one.Annotations[corev1.ServiceAccountNameKey]
		all = append(all, adminapi.CredentialSpec{
			ID: target.Credential.ID, Issuer: target.Credential.Issuer, Mechanism: "serviceAccountSecret",
			Username: "system:serviceaccount:" + one.Namespace + ":" + account, UID: one.Annotations[corev1.ServiceAccountUIDKey],
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + one.Namespace},
		})
		return nil
	})); err != nil {
		return nil, err
	}
	bootstrap := url.Values{"fieldSelector": {"type=bootstrap.kubernetes.io/token"}}
	return all, s.pages(ctx, "/api/v1/namespaces/kube-system/secrets", bootstrap, secrets(func(one *corev1.Secret) error {
		id := string(one.Data["token-id"])
		if one.Name != "bootstrap-token-"+id {
			return nil // no token can be made of it
		}
		spec := adminapi.CredentialSpec{ID: "BOOTSTRAP=" + id, Mechanism: "bootstrapToken", Username: "system:bootstrap:" + id, Groups: []string{"system:bootstrappers"}}
		if groups := string(one.Data["auth-extra-groups"]); groups != "" {
			spec.Groups = append(spec.Groups, strings.Split(groups, ",")...)
		}
		if text := string(one.Data["expiration"]); text != "" {
			var err error
			if spec.NotAfter, err = time.Parse(time.RFC3339, text); err != nil {
				return fmt.Errorf("expiration of Secret %s: %w", one.Name, err)
			}
		}
		all = append(all, spec)
		return nil
	}))
}

// secrets reads a page of Secrets.
func secrets(each func(*corev1.Secret) error) func(body []byte) (string, error) {
	return func(body []byte) (string, error) {
		var list corev1.SecretList
		if err := json.Unmarshal(body, &list); err != nil {
			return "", err
		}
		for i := range list.Items {
			if err := each(&list.Items[i]); err != nil {
				return "", err
			}
		}
		return list.Continue, nil
	}
}

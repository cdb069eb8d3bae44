package kubeapi

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	clientcmdv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/secret"
)

// credential is what a kubeconfig's current context proves the gate with: exactly one of the three.
type credential struct {
	certificate *tls.Certificate
	token       secret.String
	tokenFile   string
	files       []string
}

// parseKubeconfig reads a kubeconfig strictly and returns the credential of its current context. Relative file names
// are relative to directory. All mistakes are reported at once; no error shows what a credential is made of.
func parseKubeconfig(data []byte, directory string) (*credential, error) {
	var file clientcmdv1.Config
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if file.Kind != "Config" || file.APIVersion != "v1" {
		return nil, fmt.Errorf("kubeconfig: want apiVersion v1 and kind Config, not %q and %q", file.APIVersion, file.Kind)
	}
	if file.CurrentContext == "" {
		return nil, errors.New("kubeconfig: current-context is not set; name the context that holds the gate's credential")
	}
	context, err := pick("contexts", file.CurrentContext, file.Contexts, func(c clientcmdv1.NamedContext) string { return c.Name })
	if err != nil {
		return nil, err
	}
	if context.Context.AuthInfo == "" {
		return nil, fmt.Errorf("kubeconfig: contexts[%s].context.user is not set; it must name the gate's credential", context.Name)
	}
	user, err := pick("users", context.Context.AuthInfo, file.AuthInfos, func(u clientcmdv1.NamedAuthInfo) string { return u.Name })
	if err != nil {
		return nil, err
	}
	problems := refusedInUser(&user.AuthInfo)
	if name := context.Context.Cluster; name != "" {
		cluster, err := pick("clusters", name, file.Clusters, func(c clientcmdv1.NamedCluster) string { return c.Name })
		if err != nil {
			problems = append(problems, err)
		} else {
			problems = append(problems, refusedInCluster(cluster.Name, &cluster.Cluster)...)
		}
	}
	cred, err := credentialOf(&user.AuthInfo, directory)
	if err != nil {
		problems = append(problems, err)
	}
	for i, problem := range problems {
		if _, ok := errors.AsType[*located](problem); !ok {
			problems[i] = fmt.Errorf("kubeconfig: users[%s].user: %w", user.Name, problem)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return cred, nil
}

// located is a problem that already says where it is.
type located struct{ text string }

// Error implements error.
func (l *located) Error() string { return "kubeconfig: " + l.text }

// pick finds the one element of that name.
func pick[T any](list, name string, elements []T, nameOf func(T) string) (T, error) {
	var found []T
	for _, element := range elements {
		if nameOf(element) == name {
			found = append(found, element)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	var none T
	return none, &located{fmt.Sprintf("%s: want exactly one named %q, found %d", list, name, len(found))}
}

// refusedInUser lists what the gate does not take from a kubeconfig's user.
func refusedInUser(user *clientcmdv1.AuthInfo) (problems []error) {
	refuse := func(set bool, text string) {
		if set {
			problems = append(problems, errors.New(text))
		}
	}
	refuse(user.Exec != nil, "exec is refused: the gate runs no programs for its credential; use tokenFile and have it renewed")
	refuse(user.AuthProvider != nil, "auth-provider is refused: use a client certificate, token or tokenFile")
	refuse(user.Username != "" || user.Password != "", "username and password are refused: Kubernetes no longer knows basic authentication")
	refuse(user.Impersonate != "" || user.ImpersonateUID != "" || len(user.ImpersonateGroups) > 0 || len(user.ImpersonateUserExtra) > 0,
		"as, as-uid, as-groups and as-user-extra are refused: the gate impersonates its callers, and only they")
	return problems
}

// refusedInCluster lists what would be ignored, since the cluster's own configuration counts, and whose writer would be
// surprised.
func refusedInCluster(name string, cluster *clientcmdv1.Cluster) (problems []error) {
	refuse := func(set bool, text string) {
		if set {
			problems = append(problems, &located{fmt.Sprintf("clusters[%s].cluster: %s", name, text)})
		}
	}
	refuse(cluster.InsecureSkipTLSVerify, "insecure-skip-tls-verify is refused: the API server's certificate is always verified")
	refuse(cluster.ProxyURL != "", "proxy-url is refused: the gate connects to the API server directly")
	return problems
}

// credentialOf returns the user's one credential.
func credentialOf(user *clientcmdv1.AuthInfo, directory string) (*credential, error) {
	hasCertificate := user.ClientCertificate != "" || len(user.ClientCertificateData) > 0 ||
		user.ClientKey != "" || len(user.ClientKeyData) > 0
	switch {
	case hasCertificate && user.Token == "" && user.TokenFile == "":
		return certificateOf(user, directory)
	case !hasCertificate && user.Token != "" && user.TokenFile == "":
		if !validToken(user.Token) {
			return nil, errors.New("token contains characters that no token has, such as blanks")
		}
		return &credential{token: secret.New(user.Token)}, nil
	case !hasCertificate && user.Token == "" && user.TokenFile != "":
		path := within(directory, user.TokenFile)
		return &credential{tokenFile: path, files: []string{path}}, nil
	default:
		return nil, errors.New("want exactly one credential: client-certificate with client-key, token, or tokenFile")
	}
}

// certificateOf loads the client certificate and its key.
func certificateOf(user *clientcmdv1.AuthInfo, directory string) (*credential, error) {
	var cred credential
	load := func(field, file string, data []byte) ([]byte, error) {
		switch {
		case file != "" && len(data) > 0:
			return nil, fmt.Errorf("%s and %s-data are both set; remove one", field, field)
		case file != "":
			path := within(directory, file)
			cred.files = append(cred.files, path)
			content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
			if err != nil {
				return nil, fmt.Errorf("%s: %w", field, err)
			}
			return content, nil
		case len(data) > 0:
			return data, nil
		default:
			return nil, fmt.Errorf("%s is missing; a client certificate needs its key", field)
		}
	}
	chain, chainErr := load("client-certificate", user.ClientCertificate, user.ClientCertificateData)
	key, keyErr := load("client-key", user.ClientKey, user.ClientKeyData)
	if err := errors.Join(chainErr, keyErr); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("client-certificate and client-key: %w", err)
	}
	cred.certificate = &pair
	return &cred, nil
}

// within makes a relative file name one relative to directory.
func within(directory, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(directory, name)
}

// validToken reports whether token can be sent in a header without being read as something else.
func validToken(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return true
}

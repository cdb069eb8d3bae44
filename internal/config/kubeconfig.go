package config

import (
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

const maxKubeconfigBytes = 4 << 20

// kubeconfig is the part of a kubeconfig that is judged here. The client library reads the whole.
type kubeconfig struct {
	CurrentContext string `json:"current-context"`
	Contexts       []struct {
		Name    string `json:"name"`
		Context struct {
			User    string `json:"user"`
			Cluster string `json:"cluster"`
		} `json:"context"`
	} `json:"contexts"`
	Clusters []struct {
		Name    string            `json:"name"`
		Cluster kubeconfigCluster `json:"cluster"`
	} `json:"clusters"`
	Users []struct {
		Name string         `json:"name"`
		User kubeconfigUser `json:"user"`
	} `json:"users"`
}

type kubeconfigCluster struct {
	Server                   string `json:"server"`
	SkipVerify               bool   `json:"insecure-skip-tls-verify"`
	CertificateAuthority     string `json:"certificate-authority"`
	CertificateAuthorityData string `json:"certificate-authority-data"`
}

type kubeconfigUser struct {
	ClientCertificate     string              `json:"client-certificate"`
	ClientCertificateData string              `json:"client-certificate-data"`
	ClientKey             string              `json:"client-key"`
	ClientKeyData         string              `json:"client-key-data"`
	Token                 string              `json:"token"`
	TokenFile             string              `json:"tokenFile"`
	Username              string              `json:"username"`
	Exec                  *struct{}           `json:"exec"`
	AuthProvider          *struct{}           `json:"auth-provider"`
	As                    string              `json:"as"`
	AsUID                 string              `json:"as-uid"`
	AsGroups              []string            `json:"as-groups"`
	AsUserExtra           map[string][]string `json:"as-user-extra"`
}

// access reads the kubeconfig that holds the gate's own credential. No message repeats its content.
func (c *checker) access(at *field.Path, name string) *CheckedAccess {
	data, path := c.read(at, name, maxKubeconfigBytes)
	if data == nil {
		return nil
	}
	c.warnReadable(at, path)
	refuse := func(detail string) { c.invalid(at, name, "%s: %s", path, detail) }

	var parsed kubeconfig
	if err := yaml.Unmarshal(data, &parsed); err != nil {
		refuse("is not a kubeconfig") // the decoder's words could quote a token
		return nil
	}
	user := c.currentUser(&parsed, refuse)
	if user == nil {
		return nil
	}
	c.gateCredential(user, refuse)
	for _, name := range []string{user.ClientCertificate, user.ClientKey} {
		if name != "" {
			if content := c.fetch(besides(path, name), maxPEMBytes); content.err != nil || len(content.data) == 0 {
				refuse("names the file " + name + ", which cannot be read or is empty; check the name and its permissions")
			}
		}
	}
	// The client library reads a token file again by itself, so its content is not part of the configuration.
	if user.TokenFile != "" {
		if token, err := ReadFile(besides(path, user.TokenFile), maxPEMBytes); err != nil || strings.TrimSpace(string(token)) == "" {
			refuse("names the token file " + user.TokenFile + ", which cannot be read or is empty; check the name and its permissions")
		}
	}
	return &CheckedAccess{Kubeconfig: path, Content: data}
}

// currentUser finds the user of the current context.
func (c *checker) currentUser(parsed *kubeconfig, refuse func(string)) *kubeconfigUser {
	if parsed.CurrentContext == "" {
		refuse("has no current-context; choose one with kubectl config use-context")
		return nil
	}
	for _, context := range parsed.Contexts {
		if context.Name != parsed.CurrentContext {
			continue
		}
		for _, cluster := range parsed.Clusters {
			if cluster.Name == context.Context.Cluster && cluster.Cluster.SkipVerify {
				refuse("sets insecure-skip-tls-verify; remove it: the cluster's certificateAuthorityFile decides whom the gate trusts")
			}
		}
		for i := range parsed.Users {
			if parsed.Users[i].Name == context.Context.User {
				return &parsed.Users[i].User
			}
		}
		refuse("the current context names a user that is not in the file")
		return nil
	}
	refuse("current-context names a context that is not in the file")
	return nil
}

// currentCluster finds the cluster of the current context; nil if there is none.
func (k *kubeconfig) currentCluster() *kubeconfigCluster {
	for _, context := range k.Contexts {
		if context.Name != k.CurrentContext {
			continue
		}
		for i := range k.Clusters {
			if k.Clusters[i].Name == context.Context.Cluster {
				return &k.Clusters[i].Cluster
			}
		}
	}
	return nil
}

// gateCredential sees that the user has a credential, and one that the gate can use unattended.
func (c *checker) gateCredential(user *kubeconfigUser, refuse func(string)) {
	certificate := user.ClientCertificate != "" || user.ClientCertificateData != ""
	key := user.ClientKey != "" || user.ClientKeyData != ""
	switch {
	case certificate != key:
		refuse("the user has a client certificate without its key, or the reverse")
	case !certificate && user.Token == "" && user.TokenFile == "" && user.Exec == nil:
		refuse("the current context's user has no credential that the gate can use; give it a client certificate, a tokenFile or a token")
	}
	if user.Username != "" || user.AuthProvider != nil {
		refuse("the user has a password or an auth-provider, which Kubernetes no longer takes; use a client certificate or a tokenFile")
	}
	if user.As != "" || user.AsUID != "" || len(user.AsGroups) > 0 || len(user.AsUserExtra) > 0 {
		refuse("the user impersonates somebody (as, as-groups, ...): these would replace the callers' identities; remove them")
	}
}

// besides makes a name in a kubeconfig absolute, as Kubernetes does.
func besides(kubeconfig, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(kubeconfig), name)
}

// kubeconfigParts are the contents that the gate's access to a cluster depends on.
func (c *checker) kubeconfigParts(access *CheckedAccess) [][]byte {
	parts := [][]byte{access.Content}
	var parsed kubeconfig
	if yaml.Unmarshal(access.Content, &parsed) != nil {
		return parts
	}
	for _, user := range parsed.Users {
		for _, name := range []string{user.User.ClientCertificate, user.User.ClientKey} {
			if name != "" {
				parts = append(parts, c.contents[besides(access.Kubeconfig, name)].data)
			}
		}
	}
	return parts
}

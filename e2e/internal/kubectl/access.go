package kubectl

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// contextName is the name of the one cluster, user and context of a kubeconfig that Access writes.
const contextName = "e2e"

// Access is how to reach a server and as whom. A zero credential is none: anonymous access.
type Access struct {
	// Server is the base URL, with a path if there is one.
	Server string
	// CA is the PEM of what signed the server's certificate. Empty means the host's roots.
	CA []byte
	// Token is a bearer token.
	Token string
	// ClientCertificate is a client's certificate.
	ClientCertificate *pki.KeyPair
	// Namespace is the default namespace; empty means "default".
	Namespace string
}

// WithToken is the same server with another credential: a bearer token.
func (a Access) WithToken(token string) Access {
	a.Token, a.ClientCertificate = token, nil
	return a
}

// WithCertificate is the same server with another credential: a client certificate.
func (a Access) WithCertificate(pair *pki.KeyPair) Access {
	a.Token, a.ClientCertificate = "", pair
	return a
}

// WithServer is the same credential at another server.
func (a Access) WithServer(server string, ca []byte) Access {
	a.Server, a.CA = server, ca
	return a
}

// Write writes a kubeconfig that holds everything it needs in itself.
func (a Access) Write(file string) error {
	user := &clientcmdapi.AuthInfo{Token: a.Token}
	if a.ClientCertificate != nil {
		key, err := a.ClientCertificate.KeyPEM()
		if err != nil {
			return fmt.Errorf("write kubeconfig %s: %w", file, err)
		}
		user.ClientCertificateData, user.ClientKeyData = a.ClientCertificate.CertPEM(), key
	}
	config := clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{contextName: {Server: a.Server, CertificateAuthorityData: a.CA}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{contextName: user},
		Contexts:       map[string]*clientcmdapi.Context{contextName: {Cluster: contextName, AuthInfo: contextName, Namespace: a.Namespace}},
		CurrentContext: contextName,
	}
	content, err := clientcmd.Write(config)
	if err != nil {
		return fmt.Errorf("write kubeconfig %s: %w", file, err)
	}
	if err := pki.WriteFile(file, content); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

// REST is the same access for client-go, without client-side rate limits, so that tests measure the server.
func (a Access) REST() (*rest.Config, error) {
	config := &rest.Config{
		Host:            a.Server,
		BearerToken:     a.Token,
		TLSClientConfig: rest.TLSClientConfig{CAData: a.CA},
		QPS:             -1,
	}
	if a.ClientCertificate != nil {
		key, err := a.ClientCertificate.KeyPEM()
		if err != nil {
			return nil, err
		}
		config.CertData, config.KeyData = a.ClientCertificate.CertPEM(), key
	}
	return config, nil
}

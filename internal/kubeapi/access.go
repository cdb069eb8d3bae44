package kubeapi

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	"github.com/ostiary/ostiary/internal/tlspolicy"
)

// userAgent names the gate on requests of its own. Callers' requests keep theirs.
const userAgent = "ostiary"

// Config says where a cluster is and how the gate proves itself there. All fields but TLSServerName are required.
type Config struct {
	// Kubeconfig holds the bytes of the kubeconfig whose current context names the gate's credential: a client
	// certificate with its key, a token, or a token file, which is read again every minute. Everything else in it is
	// unused or refused.
	Kubeconfig []byte
	// Directory is where the kubeconfig lies; file names in it are relative to it.
	Directory string
	// Server is the API server's URL: https, host and optional port, nothing else.
	Server *url.URL
	// CertificateAuthority holds the PEM certificates of the CAs that may have signed the API server's.
	CertificateAuthority []byte
	// TLSServerName is the name in the API server's certificate. Empty means the URL's host.
	TLSServerName string
}

// Access is the gate's own access to one cluster. It is immutable and safe for concurrent use. Make a new one when the
// configuration or one of Files changes, and Close the old.
type Access struct {
	general, upgrade *http.Transport
	callers          http.RoundTripper
	upgrading        http.RoundTripper
	// client speaks the API group authorization.k8s.io, and asks for paths.
	client, authentication, core, certificates *rest.RESTClient
	files                                      []string
}

// New checks config and returns the access. It reads the files that the kubeconfig names, and connects to nothing.
func New(config Config) (*Access, error) {
	serverErr := checkServer(config.Server)
	roots, rootsErr := parseAuthorities(config.CertificateAuthority)
	cred, credErr := parseKubeconfig(config.Kubeconfig, config.Directory)
	if err := errors.Join(serverErr, rootsErr, credErr); err != nil {
		return nil, err
	}
	tlsConfig := tlspolicy.Client(roots, config.TLSServerName, cred.certificate)
	a := &Access{files: cred.files}
	a.general, a.upgrade = newTransports(tlsConfig)
	general, err := authenticated(a.general, cred)
	if err != nil {
		return nil, err
	}
	upgrade, err := authenticated(a.upgrade, cred)
	if err != nil {
		return nil, err
	}
	host := config.Server.Host
	a.callers = &guard{next: general, host: host, impersonates: true}
	a.upgrading = &guard{next: upgrade, host: host, impersonates: true}
	for version, client := range map[schema.GroupVersion]**rest.RESTClient{
		authorizationv1.SchemeGroupVersion: &a.client, authenticationv1.SchemeGroupVersion: &a.authentication, corev1.SchemeGroupVersion: &a.core,
		certificatesv1.SchemeGroupVersion: &a.certificates,
	} {
		if *client, err = newClient(config.Server, version, &guard{next: general, host: host}); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Transports returns what carries callers' requests: general for all that don't switch protocols, over HTTP/2 where the
// server speaks it, and upgrade for those that do, over HTTP/1.1 (STR-1). Each refuses, without sending anything, a
// request to another server (ErrForeignServer) and one without exactly one impersonated user or with a Connection
// header that could drop it (ErrNoIdentity). Neither follows the environment's proxy settings, decompresses, or bounds
// how long a response may take: watches take hours.
func (a *Access) Transports() (general, upgrade http.RoundTripper) { return a.callers, a.upgrading }

// Files lists the files that the credential was read from, for whoever watches them. A token file is among them though
// it is read again without a new Access.
func (a *Access) Files() []string { return a.files }

// Close closes idle connections. Requests under way go on, and their connections close by themselves when they have
// been idle for a while.
func (a *Access) Close() {
	a.general.CloseIdleConnections()
	a.upgrade.CloseIdleConnections()
}

// authenticated puts the gate's credential on every request, by client-go's own wrappers. A client certificate is in
// the TLS configuration already.
func authenticated(next http.RoundTripper, cred *credential) (http.RoundTripper, error) {
	wrapped, err := transport.HTTPWrappersForConfig(&transport.Config{
		BearerToken: cred.token.Reveal(), BearerTokenFile: cred.tokenFile,
	}, next)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: tokenFile: %w", err)
	}
	return wrapped, nil
}

// newClient returns a client of the gate's own requests, for one API group.
func newClient(server *url.URL, version schema.GroupVersion, next http.RoundTripper) (*rest.RESTClient, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{authorizationv1.AddToScheme, authenticationv1.AddToScheme, corev1.AddToScheme, certificatesv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("kubeapi: scheme: %w", err)
		}
	}
	metav1.AddToGroupVersion(scheme, version)
	path := "/apis"
	if version.Group == corev1.GroupName {
		path = "/api"
	}
	client, err := rest.RESTClientForConfigAndClient(&rest.Config{
		Host:      server.String(),
		APIPath:   path,
		UserAgent: userAgent,
		QPS:       -1, // bounded by the one who asks, not here
		// client-go would print them through a logger of its own.
		WarningHandler: rest.NoWarnings{},
		ContentConfig: rest.ContentConfig{
			GroupVersion:         &version,
			NegotiatedSerializer: serializer.NewCodecFactory(scheme).WithoutConversion(),
			ContentType:          runtime.ContentTypeProtobuf,
			AcceptContentTypes:   runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON,
		},
	}, &http.Client{
		Transport: next,
		// A redirect would carry the gate's credential to where the answer says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	if err != nil {
		return nil, fmt.Errorf("kubeapi: client: %w", err)
	}
	return client, nil
}

// checkServer demands a URL that leaves nothing open.
func checkServer(server *url.URL) error {
	if server == nil {
		return errors.New("kubeapi: no server URL")
	}
	if server.Scheme != "https" || server.Host == "" || server.Opaque != "" || server.User != nil ||
		server.Path != "" && server.Path != "/" || server.RawQuery != "" || server.Fragment != "" {
		return fmt.Errorf("kubeapi: server %q: want https://host or https://host:port and nothing else", server.Redacted())
	}
	return nil
}

// parseAuthorities reads a CA bundle: certificates only, at least one. An empty pool would be read as the host's roots.
func parseAuthorities(bundle []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	count := 0
	for rest := bundle; ; count++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("kubeapi: CA bundle: block %d is a %q; put certificates there only", count+1, block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("kubeapi: CA bundle: block %d: %w", count+1, err)
		}
		pool.AddCert(certificate)
	}
	if count == 0 {
		return nil, errors.New("kubeapi: CA bundle: no PEM certificate in it")
	}
	return pool, nil
}

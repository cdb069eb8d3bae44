package controlplane

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/ostiary/ostiary/e2e/internal/jsonlines"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// FrontProxyName is the common name that the API server accepts of an authenticating proxy.
const FrontProxyName = "front-proxy-client"

// serviceIP is the first address of the API server's service range, which clients inside pods would use.
const serviceIP = "10.96.0.1"

// Authorities are those of one control plane, each for one purpose, as in a cluster that is run with care.
type Authorities struct {
	// Serving signs the servers' certificates.
	Serving *pki.Authority
	// Client signs the certificates of people, programs and nodes.
	Client *pki.Authority
	// RequestHeader signs the certificates of authenticating proxies.
	RequestHeader *pki.Authority
	// Etcd signs both sides of etcd.
	Etcd *pki.Authority
}

func newAuthorities() (*Authorities, error) {
	var a Authorities
	for _, one := range []struct {
		name string
		into **pki.Authority
	}{
		{"serving-ca", &a.Serving}, {"client-ca", &a.Client}, {"request-header-ca", &a.RequestHeader}, {"etcd-ca", &a.Etcd},
	} {
		authority, err := pki.NewAuthority(one.name)
		if err != nil {
			return nil, err
		}
		*one.into = authority
	}
	return &a, nil
}

// files are the names of what the programs read.
type files struct {
	servingCA, requestHeaderCA, etcdCA        string
	clientCA                                  pki.Files
	serving, etcdServer, etcdClient           pki.Files
	kubeletClient                             pki.Files
	serviceAccountKey, serviceAccountPub      string
	auditPolicy, tokenFile, authentication    string
	auditLog, etcdData, controllerManagerConf string
}

// writeFiles issues what the programs need and writes it into dir.
func (c *ControlPlane) writeFiles() error {
	a, dir := c.Authorities, c.Dir
	f := &c.files
	f.auditLog, f.etcdData = filepath.Join(dir, "audit.log"), filepath.Join(dir, "etcd")
	c.audit = jsonlines.Open[auditv1.Event](f.auditLog)
	f.controllerManagerConf = filepath.Join(dir, "controller-manager.kubeconfig")
	var err error
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	writeCA := func(into *string, authority *pki.Authority, name string) {
		var e error
		*into, e = authority.Write(dir, name)
		keep(e)
	}
	issue := func(into *pki.Files, authority *pki.Authority, name string, leaf pki.Leaf) {
		pair, e := authority.Issue(leaf)
		keep(e)
		if e == nil {
			*into, e = pair.Write(dir, name)
			keep(e)
		}
	}
	write := func(into *string, name string, content []byte) {
		*into = filepath.Join(dir, name)
		keep(pki.WriteFile(*into, content))
	}
	writeCA(&f.servingCA, a.Serving, "serving-ca")
	writeCA(&f.requestHeaderCA, a.RequestHeader, "request-header-ca")
	writeCA(&f.etcdCA, a.Etcd, "etcd-ca")
	clientCA, e := a.Client.WriteWithKey(dir, "client-ca")
	keep(e)
	f.clientCA = clientCA

	apiServer := pki.Server("kube-apiserver", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
	apiServer.IPs = append(apiServer.IPs, net.ParseIP(serviceIP))
	issue(&f.serving, a.Serving, "kube-apiserver", apiServer)
	etcdServer := pki.Server("etcd")
	etcdServer.ExtKeyUsage = append(etcdServer.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	issue(&f.etcdServer, a.Etcd, "etcd-server", etcdServer)
	issue(&f.etcdClient, a.Etcd, "etcd-client", pki.Client("kube-apiserver"))
	issue(&f.kubeletClient, a.Client, "kubelet-client", pki.Client("kube-apiserver-kubelet-client"))
	if err != nil {
		return err
	}

	// ServiceAccount tokens are signed with RSA in the clusters that kubeadm makes.
	key, err := pki.NewKey(pki.RSA2048)
	if err != nil {
		return err
	}
	c.ServiceAccountKey = key
	private, err := pki.PrivateKeyPEM(key)
	if err != nil {
		return err
	}
	public, err := pki.PublicKeyPEM(key.Public())
	if err != nil {
		return err
	}
	write(&f.serviceAccountKey, "service-account.key", private)
	write(&f.serviceAccountPub, "service-account.pub", public)
	write(&f.auditPolicy, "audit-policy.yaml", []byte(auditPolicy(c.options.Audit)))
	if c.options.TokenFile != "" {
		write(&f.tokenFile, "tokens.csv", []byte(c.options.TokenFile))
	}
	if len(c.options.AuthenticationConfiguration) > 0 {
		write(&f.authentication, "authentication.yaml", c.options.AuthenticationConfiguration)
	}
	keep(os.MkdirAll(f.etcdData, 0o700))
	return err
}

// auditPolicy logs every request, when it is complete or panicked. Streams such as watches and exec are logged at
// their end, and when their response starts, so that both can be waited for.
func auditPolicy(level AuditLevel) string {
	if level == "" {
		level = AuditMetadata
	}
	return "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: " + string(level) + "\n"
}

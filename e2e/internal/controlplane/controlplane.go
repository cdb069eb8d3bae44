// Package controlplane runs real control planes: etcd, kube-apiserver and kube-controller-manager on free ports of
// 127.0.0.1, with authorities of their own. A start takes some seconds; tests of one package share one where they can
// (start it in TestMain).
package controlplane

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ostiary/ostiary/e2e/internal/jsonlines"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/process"
)

const (
	// startDeadline bounds the start of one program; it takes seconds, more while a compiler runs beside it.
	startDeadline = 5 * time.Minute
	// stopGrace is how long a program may take to end by itself. Nothing that is left matters, so it is short.
	stopGrace = 3 * time.Second
	// portAttempts bounds how often a start is tried again because a port was taken in between.
	portAttempts = 5
)

// ControlPlane is one that runs. Its methods are safe for concurrent use.
type ControlPlane struct {
	// Dir holds all its files, logs included.
	Dir string
	// URL is the API server's, straight, with nothing in between.
	URL string
	// Authorities signed its certificates.
	Authorities *Authorities
	// ServiceAccountKey signs ServiceAccount tokens.
	ServiceAccountKey crypto.Signer
	// AdminKubeconfig is a file for a member of system:masters.
	AdminKubeconfig string
	// Admin is a client with the same rights.
	Admin *kubernetes.Clientset
	// APIServerArgs are the flags that kube-apiserver was started with, as a manifest would have them.
	APIServerArgs []string

	options    Options
	frontProxy func() (pki.Files, error)
	files      files
	audit      *jsonlines.Log[auditv1.Event]
	ownDir     bool
	processes  []*process.Process // in the order of their start
}

// Issuer is that of ServiceAccounts' tokens.
const Issuer = "https://kubernetes.default.svc.cluster.local"

// Start starts a control plane and waits until it is ready. Whoever calls it must call Stop. When the start fails,
// nothing is left running, and the error holds the end of the failing program's log.
func Start(ctx context.Context, options Options) (_ *ControlPlane, err error) {
	c := &ControlPlane{Dir: options.Dir, options: options}
	c.frontProxy = sync.OnceValues(c.writeFrontProxy)
	if c.Dir == "" {
		if c.Dir, err = os.MkdirTemp("", "ostiary-controlplane-"); err != nil {
			return nil, fmt.Errorf("start a control plane: %w", err)
		}
		c.ownDir = true
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start a control plane: %w", err), c.Stop())
		}
	}()
	if c.Authorities, err = newAuthorities(); err != nil {
		return nil, err
	}
	if err := c.writeFiles(); err != nil {
		return nil, err
	}
	etcdURL, err := c.startEtcd(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.startAPIServer(ctx, etcdURL); err != nil {
		return nil, err
	}
	if options.NoControllerManager {
		return c, nil
	}
	return c, c.startControllerManager(ctx)
}

// Stop ends all programs, the last started first, and removes the temporary folder.
func (c *ControlPlane) Stop() error {
	var errs []error
	for _, p := range slices.Backward(c.processes) {
		errs = append(errs, p.Stop(stopGrace))
	}
	if c.ownDir && !c.options.Keep {
		errs = append(errs, os.RemoveAll(c.Dir))
	}
	return errors.Join(errs...)
}

// LogTails is the end of every program's log, for messages about failures.
func (c *ControlPlane) LogTails() string {
	var all strings.Builder
	for _, p := range c.processes {
		all.WriteString(p.LogTail())
	}
	return all.String()
}

// CA is the PEM of what signed the API server's certificate.
func (c *ControlPlane) CA() []byte { return c.Authorities.Serving.PEM() }

// Access is the API server without a credential.
func (c *ControlPlane) Access() kubectl.Access {
	return kubectl.Access{Server: c.URL, CA: c.CA()}
}

// CertificateAccess is the API server with a client certificate issued for it.
func (c *ControlPlane) CertificateAccess(leaf pki.Leaf) (kubectl.Access, error) {
	pair, err := c.Authorities.Client.Issue(leaf)
	if err != nil {
		return kubectl.Access{}, err
	}
	return c.Access().WithCertificate(pair), nil
}

// FrontProxy is a certificate that the API server believes what its X-Remote headers say, and its key. They are written
// once: gates watch them.
func (c *ControlPlane) FrontProxy() (pki.Files, error) { return c.frontProxy() }

func (c *ControlPlane) writeFrontProxy() (pki.Files, error) {
	pair, err := c.Authorities.RequestHeader.Issue(pki.Client(FrontProxyName))
	if err != nil {
		return pki.Files{}, err
	}
	return pair.Write(c.Dir, FrontProxyName)
}

// ServingCAFile is the file with the certificate that signed the API server's.
func (c *ControlPlane) ServingCAFile() string { return c.files.servingCA }

// ServiceAccountSigningKeyFile is the file with the private key of ServiceAccounts' tokens.
func (c *ControlPlane) ServiceAccountSigningKeyFile() string { return c.files.serviceAccountKey }

// RequestHeaderCAFile is the file with the certificate that signs those of authenticating proxies.
func (c *ControlPlane) RequestHeaderCAFile() string { return c.files.requestHeaderCA }

// ServiceAccountKeyFile is the file with the public key of ServiceAccounts' tokens.
func (c *ControlPlane) ServiceAccountKeyFile() string { return c.files.serviceAccountPub }

// ClientCAFile is the file with the certificate that signed the clients'.
func (c *ControlPlane) ClientCAFile() string { return c.files.clientCA.Cert }

// AuditEvents are all events of the audit log so far.
func (c *ControlPlane) AuditEvents() ([]auditv1.Event, error) {
	return c.audit.Read()
}

// WaitAudit waits for the first event of the audit log that matches.
func (c *ControlPlane) WaitAudit(ctx context.Context, match func(auditv1.Event) bool) (auditv1.Event, error) {
	return c.audit.Wait(ctx, match)
}

func (c *ControlPlane) log(name string) string { return filepath.Join(c.Dir, name+".log") }

func (c *ControlPlane) say(format string, args ...any) {
	if c.options.Progress == nil {
		return
	}
	// A lost line of progress must not end a start.
	_, _ = fmt.Fprintf(c.options.Progress, format+"\n", args...)
}

// adminClient is a client without client-side rate limits.
func adminClient(access kubectl.Access) (*kubernetes.Clientset, *rest.Config, error) {
	config, err := access.REST()
	if err != nil {
		return nil, nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	return client, config, err
}

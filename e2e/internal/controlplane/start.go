package controlplane

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/process"
)

const (
	// pollInterval is how often a starting program is asked whether it is ready.
	pollInterval = 50 * time.Millisecond
	// pollTimeout bounds one such question.
	pollTimeout = 5 * time.Second
)

// start starts a program whose arguments hold free ports, and waits until ready says yes. Where a port was taken in
// between, it starts again with others.
func (c *ControlPlane) start(ctx context.Context, program binaries.Program, ports int, args func([]int) []string,
	ready func(context.Context, []int) error,
) ([]int, error) {
	path, ok := c.options.Binaries[program]
	if !ok {
		return nil, fmt.Errorf("start %s: it was not built", program)
	}
	begin := time.Now()
	for attempt := 1; ; attempt++ {
		free, err := process.FreePorts(ports)
		if err != nil {
			return nil, err
		}
		p, err := process.Start(process.Spec{
			Name: string(program), Path: path, Args: args(free), Dir: c.Dir, Log: c.log(string(program)),
		})
		if err != nil {
			return nil, err
		}
		c.processes = append(c.processes, p)
		err = c.awaitReady(ctx, p, func(ctx context.Context) error { return ready(ctx, free) })
		if err == nil {
			c.say("%s is ready after %s", program, time.Since(begin).Round(100*time.Millisecond))
			return free, nil
		}
		if !p.PortTaken() || attempt == portAttempts {
			return nil, fmt.Errorf("%w\n%s", err, p.LogTail())
		}
	}
}

// awaitReady asks until the answer is yes, the program ends or the deadline passes.
func (c *ControlPlane) awaitReady(ctx context.Context, p *process.Process, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var last error
	for {
		if last = ready(ctx); last == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-p.Done():
			return fmt.Errorf("%s ended instead of getting ready: %w", p.Name(), endedAs(p.Err()))
		case <-ctx.Done():
			return fmt.Errorf("%s did not get ready: %w; the last answer: %w", p.Name(), context.Cause(ctx), last)
		}
	}
}

// endedAs gives a program that ended well an error all the same: it was to stay.
func endedAs(err error) error {
	if err == nil {
		return fmt.Errorf("exit status 0")
	}
	return err
}

// healthy asks a URL and takes anything but 200 for an error.
func healthy(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return nil
}

// probe is an HTTP client that trusts one authority and shows one certificate.
func probe(ca *pki.Authority, pair *pki.KeyPair) *http.Client {
	return &http.Client{
		Timeout: pollTimeout,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{
				MinVersion: tls.VersionTLS12, RootCAs: ca.Pool(), Certificates: []tls.Certificate{pair.TLS()},
			},
			DisableKeepAlives: true,
		},
	}
}

func (c *ControlPlane) startEtcd(ctx context.Context) (url string, err error) {
	pair, err := c.Authorities.Etcd.Issue(pki.Client("probe"))
	if err != nil {
		return "", err
	}
	client := probe(c.Authorities.Etcd, pair)
	f := c.files
	local := func(port int) string { return "https://127.0.0.1:" + strconv.Itoa(port) }
	ports, err := c.start(ctx, binaries.Etcd, 2, func(ports []int) []string {
		return []string{
			"--name=e2e",
			"--data-dir=" + f.etcdData,
			"--listen-client-urls=" + local(ports[0]),
			"--advertise-client-urls=" + local(ports[0]),
			"--listen-peer-urls=" + local(ports[1]),
			"--initial-advertise-peer-urls=" + local(ports[1]),
			"--initial-cluster=e2e=" + local(ports[1]),
			"--cert-file=" + f.etcdServer.Cert, "--key-file=" + f.etcdServer.Key,
			"--client-cert-auth", "--trusted-ca-file=" + f.etcdCA,
			"--peer-cert-file=" + f.etcdServer.Cert, "--peer-key-file=" + f.etcdServer.Key,
			"--peer-client-cert-auth", "--peer-trusted-ca-file=" + f.etcdCA,
			// Nothing has to survive a power cut here.
			"--unsafe-no-fsync",
			"--log-level=warn",
		}
	}, func(ctx context.Context, ports []int) error {
		return healthy(ctx, client, local(ports[0])+"/health")
	})
	if err != nil {
		return "", err
	}
	return local(ports[0]), nil
}

func (c *ControlPlane) startAPIServer(ctx context.Context, etcdURL string) error {
	pair, err := c.Authorities.Client.Issue(pki.Client("e2e-admin", "system:masters"))
	if err != nil {
		return err
	}
	client := probe(c.Authorities.Serving, pair)
	local := func(port int) string { return "https://127.0.0.1:" + strconv.Itoa(port) }
	ports, err := c.start(ctx, binaries.KubeAPIServer, 1, func(ports []int) []string {
		c.APIServerArgs = c.apiServerArgs(etcdURL, ports[0])
		return c.APIServerArgs
	}, func(ctx context.Context, ports []int) error {
		return healthy(ctx, client, local(ports[0])+"/readyz")
	})
	if err != nil {
		return err
	}
	c.URL = local(ports[0])
	access := c.Access().WithCertificate(pair)
	c.AdminKubeconfig = filepath.Join(c.Dir, "admin.kubeconfig")
	if err := access.Write(c.AdminKubeconfig); err != nil {
		return err
	}
	c.Admin, _, err = adminClient(access)
	return err
}

func (c *ControlPlane) apiServerArgs(etcdURL string, port int) []string {
	f, o := c.files, c.options
	args := []string{
		"--etcd-servers=" + etcdURL,
		"--etcd-cafile=" + f.etcdCA, "--etcd-certfile=" + f.etcdClient.Cert, "--etcd-keyfile=" + f.etcdClient.Key,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port),
		// The endpoints of the kubernetes service may not name a loopback address, and nothing here uses them.
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + f.serving.Cert, "--tls-private-key-file=" + f.serving.Key,
		"--client-ca-file=" + f.clientCA.Cert,
		"--service-account-issuer=" + Issuer,
		"--service-account-key-file=" + f.serviceAccountPub,
		"--service-account-signing-key-file=" + f.serviceAccountKey,
		"--service-cluster-ip-range=10.96.0.0/24",
		"--authorization-mode=Node,RBAC",
		"--enable-bootstrap-token-auth=true",
		"--kubelet-client-certificate=" + f.kubeletClient.Cert, "--kubelet-client-key=" + f.kubeletClient.Key,
		"--kubelet-certificate-authority=" + f.servingCA,
		"--kubelet-preferred-address-types=InternalIP",
		"--audit-policy-file=" + f.auditPolicy, "--audit-log-path=" + f.auditLog, "--audit-log-mode=blocking",
		"--v=1",
	}
	// The flag and the file's own word exclude each other.
	if !bytes.Contains(o.AuthenticationConfiguration, []byte("\nanonymous:")) {
		args = append(args, "--anonymous-auth="+strconv.FormatBool(o.Anonymous))
	}
	if f.authentication != "" {
		args = append(args, "--authentication-config="+f.authentication)
	}
	if f.tokenFile != "" {
		args = append(args, "--token-auth-file="+f.tokenFile)
	}
	if !o.NoRequestHeader {
		args = append(args,
			"--requestheader-client-ca-file="+f.requestHeaderCA,
			"--requestheader-allowed-names="+FrontProxyName,
			"--requestheader-username-headers=X-Remote-User",
			"--requestheader-uid-headers=X-Remote-Uid",
			"--requestheader-group-headers=X-Remote-Group",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		)
	}
	return append(args, o.ExtraArgs...)
}

func (c *ControlPlane) startControllerManager(ctx context.Context) error {
	access, err := c.CertificateAccess(pki.Client("e2e-controller-manager", "system:masters"))
	if err != nil {
		return err
	}
	f := c.files
	if err := access.Write(f.controllerManagerConf); err != nil {
		return err
	}
	_, err = c.start(ctx, binaries.KubeControllerManager, 0, func([]int) []string {
		return []string{
			"--kubeconfig=" + f.controllerManagerConf,
			"--secure-port=0",
			"--leader-elect=false",
			"--controllers=" + strings.Join(controllers(), ","),
			"--service-account-private-key-file=" + f.serviceAccountKey,
			"--root-ca-file=" + f.servingCA,
			"--cluster-signing-cert-file=" + f.clientCA.Cert, "--cluster-signing-key-file=" + f.clientCA.Key,
		}
	}, func(ctx context.Context, _ []int) error {
		// Its work is what counts: the ServiceAccount that every pod needs.
		return c.serviceAccountReady(ctx, "default", "default")
	})
	return err
}

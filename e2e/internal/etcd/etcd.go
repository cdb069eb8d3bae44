// Package etcd runs an etcd cluster of several members, each a process of its own, with mutual TLS on every link: what
// several gates keep their ledger in. Members can be stopped, killed and started again.
package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/process"
)

const (
	// startDeadline bounds the start of the cluster, and of one member.
	startDeadline = 3 * time.Minute
	// stopGrace is short: nothing that is left matters.
	stopGrace = 3 * time.Second
	// pollInterval is how often a state is asked for again, pollTimeout bounds one question.
	pollInterval = 50 * time.Millisecond
	pollTimeout  = time.Second
	// snapshotCount makes members that were away long catch up by a snapshot, as in a cluster that is busy.
	snapshotCount = 500
)

// Host is a machine that a member runs on: see package network.
type Host interface {
	// Enter moves the calling thread to it.
	Enter() error
	// DialContext connects from it.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Place is where a member runs.
type Place struct {
	// Host is nil for this machine.
	Host Host
	// Address is what the others reach it by.
	Address netip.Addr
}

// Member is one of a cluster.
type Member struct {
	// Name is its name, Endpoint where clients reach it.
	Name, Endpoint string

	place   Place
	dir     string
	id      atomic.Uint64
	client  *clientv3.Client
	cluster *Cluster

	mu      sync.Mutex
	process *process.Process
}

// Cluster is one that runs. It is safe for concurrent use.
type Cluster struct {
	// Members are all of it.
	Members []*Member
	// Dir has all files.
	Dir string
	// CAFile is what both sides are verified by; ClientFiles are a client's certificate and key.
	CAFile      string
	ClientFiles pki.Files

	authority *pki.Authority
	clientTLS tls.Certificate
	server    pki.Files
	program   string
	fast      bool
}

// Options are what one cluster has that another has not.
type Options struct {
	// Binaries must have etcd.
	Binaries binaries.Paths
	// Places is where the members run.
	Places []Place
	// Dir takes all files. Required.
	Dir string
	// Fast leaves out that data is brought to the disk before it is answered for: for measurements of what comes above.
	Fast bool
}

// Start starts a cluster and waits until it answers. Whoever calls it must call Stop.
func Start(ctx context.Context, options Options) (_ *Cluster, err error) {
	c := &Cluster{Dir: options.Dir, program: options.Binaries[binaries.Etcd], fast: options.Fast}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start an etcd cluster: %w", err), c.Stop())
		}
	}()
	if err := c.certificates(options.Places); err != nil {
		return nil, err
	}
	ports, err := process.FreePorts(2 * len(options.Places))
	if err != nil {
		return nil, err
	}
	var initial []string
	for i, place := range options.Places {
		m := &Member{Name: "m" + strconv.Itoa(i), place: place, cluster: c}
		m.dir = filepath.Join(c.Dir, m.Name)
		if err := os.MkdirAll(m.dir, 0o700); err != nil {
			return nil, err
		}
		m.Endpoint = m.url(ports[2*i])
		c.Members = append(c.Members, m)
		initial = append(initial, m.Name+"="+m.url(ports[2*i+1]))
	}
	for i, m := range c.Members {
		if err := m.start(ports[2*i+1], initial); err != nil {
			return nil, err
		}
		if m.client, err = c.Connect(m); err != nil {
			return nil, err
		}
	}
	for _, m := range c.Members {
		if err := m.WaitReady(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (m *Member) url(port int) string {
	return "https://" + net.JoinHostPort(m.place.Address.String(), strconv.Itoa(port))
}

// certificates issues what both sides need.
func (c *Cluster) certificates(places []Place) error {
	var err error
	if c.authority, err = pki.NewAuthority("ledger-etcd-ca"); err != nil {
		return err
	}
	if c.CAFile, err = c.authority.Write(c.Dir, "etcd-ca"); err != nil {
		return err
	}
	leaf := pki.Server("etcd")
	leaf.ExtKeyUsage = append(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	for _, place := range places {
		leaf.IPs = append(leaf.IPs, net.IP(place.Address.AsSlice()))
	}
	server, err := c.authority.Issue(leaf)
	if err != nil {
		return err
	}
	if c.server, err = server.Write(c.Dir, "etcd-server"); err != nil {
		return err
	}
	client, err := c.authority.Issue(pki.Client("ostiary"))
	if err != nil {
		return err
	}
	c.clientTLS = client.TLS()
	c.ClientFiles, err = client.Write(c.Dir, "etcd-client")
	return err
}

func (m *Member) start(peerPort int, initial []string) error {
	c, peer := m.cluster, m.url(peerPort)
	spec := process.Spec{
		Name: "etcd " + m.Name, Path: c.program, Dir: m.dir, Log: filepath.Join(m.dir, "etcd.log"),
		Args: []string{
			"--name=" + m.Name, "--data-dir=" + filepath.Join(m.dir, "data"),
			"--listen-client-urls=" + m.Endpoint, "--advertise-client-urls=" + m.Endpoint,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=" + strings.Join(initial, ","), "--initial-cluster-token=ledger",
			"--cert-file=" + c.server.Cert, "--key-file=" + c.server.Key, "--client-cert-auth", "--trusted-ca-file=" + c.CAFile,
			"--peer-cert-file=" + c.server.Cert, "--peer-key-file=" + c.server.Key, "--peer-client-cert-auth", "--peer-trusted-ca-file=" + c.CAFile,
			"--snapshot-count=" + strconv.Itoa(snapshotCount), "--log-level=warn",
		},
	}
	if c.fast {
		spec.Args = append(spec.Args, "--unsafe-no-fsync")
	}
	if m.place.Host != nil {
		spec.Thread = m.place.Host.Enter
	}
	var err error
	m.process, err = process.Start(spec)
	return err
}

// Connect returns a client of one member, from the member's own machine: no cut concerns it.
func (c *Cluster) Connect(m *Member) (*clientv3.Client, error) {
	options := []grpc.DialOption{grpc.WithNoProxy()}
	if m.place.Host != nil {
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return m.place.Host.DialContext(ctx, "tcp", address)
		}))
	}
	return clientv3.New(clientv3.Config{
		Endpoints: []string{m.Endpoint}, TLS: c.TLS(), Logger: zap.NewNop(), DialOptions: options,
	})
}

// TLS is a client's side of a connection to any member.
func (c *Cluster) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.authority.Pool(), Certificates: []tls.Certificate{c.clientTLS}}
}

// Endpoints are where clients reach the members.
func (c *Cluster) Endpoints() []string {
	var all []string
	for _, m := range c.Members {
		all = append(all, m.Endpoint)
	}
	return all
}

// Leader returns the member that leads, by what a member says that answers.
func (c *Cluster) Leader(ctx context.Context) (*Member, error) {
	var errs []error
	for _, m := range c.Members {
		status, err := m.status(ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if i := slices.IndexFunc(c.Members, func(one *Member) bool { return one.id.Load() == status.Leader }); status.Leader != 0 && i >= 0 {
			return c.Members[i], nil
		}
	}
	return nil, fmt.Errorf("no member of the etcd cluster knows a leader: %w", errors.Join(errs...))
}

func (m *Member) status(ctx context.Context) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	return m.client.Status(ctx, m.Endpoint)
}

// WaitReady waits until the member answers, and knows a leader.
func (m *Member) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		status, err := m.status(ctx)
		if err == nil && status.Leader != 0 {
			m.id.Store(status.Header.GetMemberId())
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("etcd member %s did not get ready: %w; %w\n%s", m.Name, context.Cause(ctx), err, m.Process().LogTail())
		}
	}
}

// Compact drops the history of the store up to now, by way of a member.
func (m *Member) Compact(ctx context.Context) error {
	status, err := m.status(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	_, err = m.client.Compact(ctx, status.Header.GetRevision())
	return err
}

// Client is a client of this member, from its own machine.
func (m *Member) Client() *clientv3.Client { return m.client }

// Process is the member's program as it runs now.
func (m *Member) Process() *process.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process
}

// Pause stops the member in its tracks (SIGSTOP); Resume lets it go on.
func (m *Member) Pause() error { return m.Process().Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (m *Member) Resume() error { return m.Process().Signal(syscall.SIGCONT) }

// Kill ends the member at once; what it had not written is lost.
func (m *Member) Kill() error { return m.Process().Kill() }

// Restart starts a member that ended, with the data that it had.
func (m *Member) Restart() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next, err := m.process.Restart()
	if err == nil {
		m.process = next
	}
	return err
}

// Stop ends all members.
func (c *Cluster) Stop() error {
	var errs []error
	for _, m := range c.Members {
		if m.client != nil {
			_ = m.client.Close()
		}
		if p := m.Process(); p != nil {
			_ = p.Signal(syscall.SIGCONT) // a member that is stopped cannot end
			errs = append(errs, p.Stop(stopGrace))
		}
	}
	return errors.Join(errs...)
}

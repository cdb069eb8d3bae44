//go:build linux

package chaos_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/chaos"
	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/etcd"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/network"
)

// replicas and members are how many gates and etcd members there are.
const (
	replicas = 3
	members  = 3
)

// site is three replicas of the gate, three members of etcd, and the wires between them.
type site struct {
	wires    *network.Network // nil where this process may not make any
	etcd     *etcd.Cluster
	replicas []*replica
	crowd    *crowd
	history  chaos.History
	began    time.Time
	counts   counts
	nextID   atomic.Int64
}

// replica is a place where a gate runs, and runs again after it was killed.
type replica struct {
	index  int
	host   *network.Host // nil: this machine
	dir    string
	config gate.Object
	door   atomic.Pointer[door]
	// faults counts what was done to its process: who measures across a change measures something else.
	faults atomic.Int64
}

// door is a gate that runs, with its clients.
type door struct {
	gate    *gate.Gate
	host    *network.Host
	roots   *tls.Config
	mu      sync.Mutex
	clients map[*credential]*http.Client // of certificates; all others share that of nil
	// ready is set once the gate has said that it is ready. Before it has fetched the provider's keys, its 401
	// of an ID token says nothing about revocations.
	ready atomic.Bool
}

// siteOptions are what one site has that another has not.
type siteOptions struct {
	persons int
	// flat puts everything on this machine, without wires.
	flat bool
	// embedded is one replica alone with a store of its own.
	embedded bool
	// change, if not nil, has the last word on the configuration.
	change func(gate.Object)
}

// newSite starts everything. It is stopped at the end of the test.
func newSite(t *testing.T, options siteOptions) *site {
	t.Helper()
	s := &site{began: time.Now()}
	var err error
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s.crowd, err = newCrowd(options.persons)
	must(err)
	if !options.flat {
		s.connect(t)
	}
	// In the order of their end: replicas, then etcd, then the wires.
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if !options.embedded {
		cluster := etcd.Options{Binaries: shared.paths, Dir: t.TempDir()}
		for i := range members {
			place := etcd.Place{Address: loopback}
			if s.wires != nil {
				place = etcd.Place{Host: s.member(i), Address: s.member(i).Address}
			}
			cluster.Places = append(cluster.Places, place)
		}
		s.etcd, err = etcd.Start(t.Context(), cluster)
		must(err)
		t.Cleanup(func() {
			if err := s.etcd.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	count := replicas
	if options.embedded {
		count = 1
	}
	for i := range count {
		r := &replica{index: i, dir: t.TempDir()}
		if s.wires != nil {
			r.host = s.wires.Hosts[i]
		}
		r.config, err = s.configure(r.dir)
		must(err)
		if options.change != nil {
			options.change(r.config)
		}
		must(r.start(t.Context()))
		t.Cleanup(func() {
			_ = r.signal(syscall.SIGCONT)
			if g := r.door.Load().gate; t.Failed() {
				t.Logf("replica %d: %s", i, g.Process.LogTail())
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		})
		s.replicas = append(s.replicas, r)
	}
	return s
}

// connect makes the wires, where this process may.
func (s *site) connect(t *testing.T) {
	t.Helper()
	var names []string
	for i := range replicas {
		names = append(names, "replica-"+strconv.Itoa(i))
	}
	for i := range members {
		names = append(names, "etcd-"+strconv.Itoa(i))
	}
	wires, err := network.New(names...)
	if errors.Is(err, network.ErrNotAllowed) {
		t.Logf("no wire is cut in this run: %v; run it as root", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	s.wires = wires
	life, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		cancel()
		if err := wires.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range replicas {
		for _, address := range []string{shared.plane.URL, shared.issuer.Issuer} {
			at, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			if err := wires.Hosts[i].Forward(life, at.Port()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// member is the machine of an etcd member.
func (s *site) member(i int) *network.Host { return s.wires.Hosts[replicas+i] }

// configure writes a replica's files, and returns its configuration.
func (s *site) configure(dir string) (gate.Object, error) {
	users, err := s.crowd.users.Write(dir, "users-ca")
	if err != nil {
		return nil, err
	}
	tokens, authentication := filepath.Join(dir, "tokens.csv"), filepath.Join(dir, "authentication.json")
	if err := os.WriteFile(tokens, []byte(s.crowd.tokens), 0o600); err != nil {
		return nil, err
	}
	content, err := json.Marshal(gate.Object{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": []any{gate.Object{
			"issuer":        gate.Object{"url": shared.issuer.Issuer, "certificateAuthority": string(shared.issuer.CA), "audiences": []any{audience}},
			"claimMappings": gate.Object{"username": gate.Object{"claim": "sub", "prefix": ""}, "groups": gate.Object{"claim": "groups", "prefix": ""}},
		}},
	})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(authentication, content, 0o600); err != nil {
		return nil, err
	}
	cluster, err := gate.RequestHeader(shared.plane, "prod")
	if err != nil {
		return nil, err
	}
	cluster["access"] = gate.Object{"kubeconfig": shared.impersonator}
	ledger := gate.Object{"embedded": gate.Object{"directory": filepath.Join(dir, "ledger")}}
	if s.etcd != nil {
		files := s.etcd.ClientFiles
		ledger = gate.Object{"etcd": gate.Object{"endpoints": s.etcd.Endpoints(), "tls": gate.Object{
			"certificateAuthorityFile": s.etcd.CAFile, "certFile": files.Cert, "keyFile": files.Key,
		}}}
	}
	if len(s.replicas) > 0 {
		ledger["keyFile"] = filepath.Join(s.replicas[0].dir, "ledger.key") // all have the first one's
	}
	return gate.Object{
		"clusters": []any{cluster},
		"listen":   gate.Object{"drainTimeout": "1s", "limits": gate.Object{"connectionsPerSource": 100_000, "streamsPerConnection": 10_000}},
		"authentication": gate.Object{
			"clientCertificate": gate.Object{"caFiles": []any{users}},
			"staticToken":       gate.Object{"file": tokens, "allowClearText": true},
			"jwt":               gate.Object{"file": authentication},
		},
		"ledger": ledger,
	}, nil
}

// start starts the replica's gate, for the first time or anew.
func (r *replica) start(ctx context.Context) error {
	options := gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: r.config, Dir: r.dir, NotReady: r.door.Load() != nil}
	if r.host != nil {
		options.Host = r.host
	}
	g, err := gate.Start(ctx, options)
	if err != nil {
		return fmt.Errorf("replica %d: %w", r.index, err)
	}
	d := &door{gate: g, host: r.host, roots: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: g.Authority.Pool()}, clients: make(map[*credential]*http.Client)}
	go func() {
		if g.WaitReady(context.WithoutCancel(ctx)) == nil { // or its process ended
			d.ready.Store(true)
		}
	}()
	r.door.Store(d)
	return nil
}

// stop ends the gate in good order, unless it was killed.
func (r *replica) stop() error {
	select {
	case <-r.door.Load().gate.Process.Done():
		return nil
	default:
		return r.door.Load().gate.Stop()
	}
}

// signal sends a signal to the gate's process.
func (r *replica) signal(signal os.Signal) error {
	r.faults.Add(1)
	return r.door.Load().gate.Process.Signal(signal)
}

// kill ends the gate's process at once.
func (r *replica) kill() error {
	r.faults.Add(1)
	return r.door.Load().gate.Process.Kill()
}

// ended reports whether the process behind a door is gone.
func (d *door) ended() bool {
	select {
	case <-d.gate.Process.Done():
		return true
	default:
		return false
	}
}

// client is the one for a credential: those without a certificate share one.
func (d *door) client(c *credential) *http.Client {
	if c != nil && c.pair == nil {
		c = nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.clients[c]; known != nil {
		return known
	}
	made := d.newClient(c)
	d.clients[c] = made
	return made
}

func (d *door) newClient(c *credential) *http.Client {
	config := d.roots.Clone()
	if c != nil && c.pair != nil {
		config.Certificates = []tls.Certificate{c.pair.TLS()}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	if d.host != nil {
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return d.host.DialContext(ctx, network, address)
		}
	}
	return &http.Client{Transport: transport}
}

// now is the time since the run began.
func (s *site) now() time.Duration { return time.Since(s.began) }

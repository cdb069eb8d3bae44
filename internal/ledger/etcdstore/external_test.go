package etcdstore_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
	"github.com/ostiary/ostiary/internal/testca"
	"github.com/ostiary/ostiary/internal/tlspolicy"
)

// patience is how long a test waits for what must happen. It says nothing about how soon that is.
const patience = ledgertest.Patience

// tlsFiles writes a server's certificate and what it trusts.
func tlsFiles(t *testing.T, dir string, authority *testca.CA) transport.TLSInfo {
	t.Helper()
	chain, key := testca.PEM(t, authority.Issue(t, testca.Usage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)))
	for name, content := range map[string][]byte{"tls.crt": chain, "tls.key": key, "ca.crt": authority.PEM()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return transport.TLSInfo{
		CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"),
		TrustedCAFile: filepath.Join(dir, "ca.crt"), ClientCertAuth: true,
	}
}

// serveEtcd runs an etcd with a socket, as others run theirs, at an address of 127.0.0.1; port 0 is a free one. It returns
// its URL.
func serveEtcd(t *testing.T, authority *testca.CA, port string) string {
	t.Helper()
	dir := t.TempDir()
	c := embed.NewConfig()
	c.Dir, c.LogLevel, c.LogOutputs = filepath.Join(dir, "data"), "fatal", []string{os.DevNull}
	c.ListenPeerUrls = nil
	c.ListenClientUrls = []url.URL{{Scheme: "https", Host: net.JoinHostPort("127.0.0.1", port)}}
	c.AdvertiseClientUrls = c.ListenClientUrls
	c.ClientTLSInfo = tlsFiles(t, dir, authority)
	c.InitialCluster, c.InitialClusterToken = c.InitialClusterFromName(c.Name), dir // the token makes it a cluster of its own
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	return "https://" + etcd.Clients[0].Addr().String()
}

// serveCluster runs three members that make up one cluster, with TLS between them too, and returns their URLs and what ends
// each.
func serveCluster(t *testing.T, authority *testca.CA) (endpoints []string, stop []func()) {
	t.Helper()
	const size = 3
	dir := t.TempDir()
	info := tlsFiles(t, dir, authority)
	var peers, initial []string
	var held []net.Listener // until all are known
	for i := range size {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, listener)
		peers = append(peers, listener.Addr().String())
		initial = append(initial, fmt.Sprintf("m%d=https://%s", i, peers[i]))
	}
	for _, listener := range held {
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
	errs := make(chan error, size)
	members := make([]*embed.Etcd, size)
	for i := range size {
		c := embed.NewConfig()
		c.Name, c.Dir, c.LogLevel, c.LogOutputs = fmt.Sprintf("m%d", i), filepath.Join(dir, fmt.Sprintf("data%d", i)), "fatal", []string{os.DevNull}
		c.ListenPeerUrls = []url.URL{{Scheme: "https", Host: peers[i]}}
		c.AdvertisePeerUrls = c.ListenPeerUrls
		c.ListenClientUrls = []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
		c.AdvertiseClientUrls = c.ListenClientUrls
		c.ClientTLSInfo, c.PeerTLSInfo = info, info
		c.InitialCluster, c.InitialClusterToken = strings.Join(initial, ","), dir
		go func() {
			var err error
			members[i], err = embed.StartEtcd(c)
			errs <- err
		}()
	}
	for range size {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for _, member := range members {
		stop = append(stop, sync.OnceFunc(member.Close))
		t.Cleanup(stop[len(stop)-1])
		endpoints = append(endpoints, "https://"+member.Clients[0].Addr().String())
	}
	return endpoints, stop
}

// client is how a gate reaches the etcd of an authority.
func client(t *testing.T, authority *testca.CA) *tls.Config {
	t.Helper()
	certificate := authority.Issue(t, testca.Subject("gate"))
	return tlspolicy.Client(authority.Pool(), "", &certificate)
}

func external(t *testing.T, config *tls.Config, endpoints ...string) *etcdstore.Store {
	t.Helper()
	store, err := etcdstore.External(t.Context(), etcdstore.ExternalConfig{Endpoints: endpoints, TLS: config, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// eventually waits until done returns nil.
func eventually(t *testing.T, done func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-again.C
	}
}

// TestExternal: what is written can be read and watched, and a second store sees it.
func TestExternal(t *testing.T) {
	t.Parallel()
	authority := testca.New(t, "etcd")
	endpoint := serveEtcd(t, authority, "0")
	one, other := external(t, client(t, authority), endpoint), external(t, client(t, authority), endpoint)
	eventually(t, one.Ready)
	eventually(t, other.Ready)
	ledgertest.Run(t, ledgertest.Subject{Store: one, Other: other, Compact: one.Compact})
	first := put(t, one, "a/1", "x")
	seen := make(chan ledger.Change, 1)
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() {
		watched <- other.Watch(ctx, "a/", first, func(c ledger.Change) error { seen <- c; return nil })
	}()
	put(t, one, "a/2", "y")
	if c := <-seen; len(c.Records) != 1 || c.Records[0].Key != "a/2" || string(c.Records[0].Value) != "y" {
		t.Errorf("change %v", c)
	}
	cancel()
	if err := <-watched; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
	if got, err := other.Read(t.Context(), "a/1"); err != nil || string(got.Value) != "x" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestExternalCluster: three members keep what one does, and go on without one of them.
func TestExternalCluster(t *testing.T) {
	t.Parallel()
	authority := testca.New(t, "etcd")
	endpoints, stop := serveCluster(t, authority)
	one, other := external(t, client(t, authority), endpoints...), external(t, client(t, authority), endpoints[2], endpoints[1])
	eventually(t, one.Ready)
	eventually(t, other.Ready)
	ledgertest.Run(t, ledgertest.Subject{Store: one, Other: other, Compact: one.Compact})
	stop[0]()
	eventually(t, func() error {
		_, err := one.Commit(t.Context(), ledger.Transaction{Puts: []ledger.Record{{Key: "y/a", Value: []byte("v")}}})
		return err
	})
	eventually(t, func() error {
		_, err := other.Read(t.Context(), "y/a")
		return err
	})
	if used, quota := one.Room(); used == 0 || quota != 2<<30 {
		t.Errorf("%d of %d bytes are used", used, quota)
	}
}

// TestExternalComesUpByItself: a store that is not there is said to be so, and is used once it is.
func TestExternalComesUpByItself(t *testing.T) {
	t.Parallel()
	authority := testca.New(t, "etcd")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // holds the port, and answers nothing
	if err != nil {
		t.Fatal(err)
	}
	store := external(t, client(t, authority), "https://"+listener.Addr().String())
	if _, err := store.Read(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "not asked yet") {
		t.Errorf("error %v", err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	serveEtcd(t, authority, port)
	eventually(t, store.Ready)
	put(t, store, "k", "v")
}

// TestExternalTrustsOneAuthority: neither side takes a certificate of another authority; new certificates come into use
// without a new store.
func TestExternalTrustsOneAuthority(t *testing.T) {
	t.Parallel()
	authority, stranger := testca.New(t, "etcd"), testca.New(t, "stranger")
	endpoint := serveEtcd(t, authority, "0")
	unknown := stranger.Issue(t, testca.Subject("gate"))
	for name, config := range map[string]*tls.Config{
		"the server's is not trusted": client(t, stranger),
		"the gate's is not trusted":   tlspolicy.Client(authority.Pool(), "", &unknown),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := external(t, config, endpoint)
			eventually(t, func() error { // it was tried
				if err := store.Ready(); err == nil || strings.Contains(err.Error(), "not asked yet") {
					return errors.Join(errors.New("no verdict"), err)
				}
				return nil
			})
			if _, err := store.Read(t.Context(), "k"); err == nil {
				t.Fatal("it was read all the same")
			}
			if err := store.UseTLS(client(t, authority)); err != nil {
				t.Fatal(err)
			}
			eventually(t, store.Ready)
			put(t, store, "k", "v")
		})
	}
}

// TestExternalOfTwoClusters: members of two clusters would be two ledgers.
func TestExternalOfTwoClusters(t *testing.T) {
	t.Parallel()
	authority := testca.New(t, "etcd")
	store := external(t, client(t, authority), serveEtcd(t, authority, "0"), serveEtcd(t, authority, "0"))
	eventually(t, func() error {
		if err := store.Ready(); err == nil || !strings.Contains(err.Error(), "members of different clusters") {
			return errors.Join(errors.New("not refused"), err)
		}
		return nil
	})
}

// TestExternalDemandsMutualTLS: a store without a client certificate cannot be made.
func TestExternalDemandsMutualTLS(t *testing.T) {
	t.Parallel()
	authority := testca.New(t, "etcd")
	for name, config := range map[string]*tls.Config{"no TLS": nil, "no certificate": tlspolicy.Client(authority.Pool(), "", nil)} {
		store, err := etcdstore.External(t.Context(), etcdstore.ExternalConfig{
			Endpoints: []string{"https://127.0.0.1:2379"}, TLS: config, Logger: slog.New(slog.DiscardHandler),
		})
		if err == nil {
			store.Close()
			t.Errorf("%s: taken", name)
		}
	}
}

package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"github.com/ostiary/ostiary/internal/authn/bootstraptoken"
	"github.com/ostiary/ostiary/internal/authn/serviceaccount"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/frontproxy"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identityheader"
	"github.com/ostiary/ostiary/internal/impersonation"
	"github.com/ostiary/ostiary/internal/kubeapi"
	"github.com/ostiary/ostiary/internal/tlspolicy"
)

// The identity modes, as in the configuration.
const (
	modeRequestHeader = "requestHeader"
	modeImpersonation = "impersonation"
)

const (
	// dialTimeout bounds the TCP connect and, again, the TLS handshake to an API server. A client waits at most this
	// long to learn that a cluster is gone.
	dialTimeout = 10 * time.Second
	// keepIdle is how many idle HTTP/1.1 connections to an API server are kept: as many reads can be under way at a time
	// without a handshake for any of them. kube-apiserver itself lets 400 in at a time by default.
	keepIdle = 256
	// idleUpstream closes upstream connections that nobody used, well before kube-apiserver does after 90 s: a request that
	// meets its end there on the way would fail.
	idleUpstream = time.Minute
)

// upstream is one API server with its connections.
type upstream struct {
	gateway *gateway.Cluster
	// access is the gate's own account on the cluster; nil where it has none.
	access *kubeapi.Access
	// keys are those of the cluster's ServiceAccount tokens; nil where none are recognised.
	keys serviceaccount.Keys
	// bootstrap follows the cluster's bootstrap tokens; nil where they are not taken.
	bootstrap *bootstrapSecrets
	digest    config.Digest
	// closers let go of its connections.
	closers []func()
}

// upstreams connects the configured clusters; those that did not change are taken over with their open connections.
func upstreams(life context.Context, clusters []config.CheckedCluster, previous *generation, sees *witness, logger *slog.Logger) ([]*upstream, error) {
	var all []*upstream
	var mistakes []error
	for i := range clusters {
		cluster := &clusters[i]
		if same := previous.upstream(cluster); same != nil {
			all = append(all, same)
			continue
		}
		one, err := newUpstream(life, cluster, sees, logger.With(slog.String("cluster", cluster.Name)))
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("clusters[%d]: %w", i, err))
			continue
		}
		all = append(all, one)
	}
	return all, errors.Join(mistakes...)
}

// upstream returns the connections of an unchanged cluster, or nil. g may be nil.
func (g *generation) upstream(cluster *config.CheckedCluster) *upstream {
	if g == nil {
		return nil
	}
	for _, one := range g.clusters {
		if one.gateway.Name == cluster.Name && one.digest == cluster.Digest {
			return one
		}
	}
	return nil
}

// newUpstream makes the connections of one cluster, in its identity mode, and the gate's own account there.
// life bounds what it does in the background.
func newUpstream(life context.Context, cluster *config.CheckedCluster, sees *witness, logger *slog.Logger) (*upstream, error) {
	one := &upstream{digest: cluster.Digest}
	life, end := context.WithCancel(life)
	one.closers = append(one.closers, end)
	if err := one.connect(life, cluster, sees, logger); err != nil {
		one.close()
		return nil, err
	}
	return one, nil
}

// connect makes the gate's own account, then the way for callers.
func (u *upstream) connect(life context.Context, cluster *config.CheckedCluster, sees *witness, logger *slog.Logger) (err error) {
	if cluster.Access != nil {
		if u.access, err = newAccess(cluster, cluster.Access); err != nil {
			return fmt.Errorf("access: %w", err)
		}
		u.closers = append(u.closers, u.access.Close)
		sees.watch(life, u.access, cluster.Name)
	}
	if accounts := cluster.ServiceAccounts; accounts != nil {
		if accounts.KeysFromCluster {
			u.keys = serviceaccount.NewClusterKeys(life, u.access, logger)
		} else if u.keys, err = serviceaccount.NewStaticKeys(accounts.Keys); err != nil {
			return err
		}
	}
	if cluster.BootstrapTokens && u.access != nil {
		u.bootstrap = new(bootstrapSecrets)
		u.bootstrap.watch = kubeapi.WatchSecrets(life, u.access, metav1.NamespaceSystem, bootstrapapi.SecretTypeBootstrapToken,
			func(found *corev1.Secret) *bootstraptoken.Record {
				record := bootstraptoken.FromSecret(found)
				sees.bootstrap(life, record.Credential(), cluster.Name)
				return record
			}, u.bootstrap.use)
	}
	switch {
	case cluster.RequestHeader != nil:
		return u.frontProxy(cluster)
	case cluster.Impersonation != nil:
		return u.impersonating(cluster)
	default:
		return errors.New("no identity mode")
	}
}

// ready returns an error while the cluster's own tokens cannot be judged yet.
func (u *upstream) ready() error {
	if u.keys != nil {
		if err := u.keys.Ready(); err != nil {
			return err
		}
	}
	if u.bootstrap != nil && !u.bootstrap.watch.Synced() {
		return bootstraptoken.ErrNotSynced
	}
	return nil
}

// bootstrapSecrets are a cluster's own bootstrap tokens.
type bootstrapSecrets struct {
	watch *kubeapi.SecretWatch[*bootstraptoken.Record]
	table atomic.Pointer[bootstraptoken.Table] // nil until the cluster was heard
}

// use takes over what there is.
func (b *bootstrapSecrets) use(all []*bootstraptoken.Record) {
	b.table.Store(bootstraptoken.NewTable(all))
}

// Table implements bootstraptoken.Source.
func (b *bootstrapSecrets) Table() (*bootstraptoken.Table, error) {
	table := b.table.Load()
	if table == nil {
		return nil, bootstraptoken.ErrNotSynced
	}
	return table, nil
}

// close lets go of what is idle; requests under way go on.
func (u *upstream) close() {
	for _, one := range u.closers {
		one()
	}
}

// newAccess is an account of the gate's own on a cluster.
func newAccess(cluster *config.CheckedCluster, access *config.CheckedAccess) (*kubeapi.Access, error) {
	made, err := kubeapi.New(kubeapi.Config{
		Kubeconfig: access.Content, Directory: filepath.Dir(access.Kubeconfig),
		Server: cluster.Server, TLSServerName: cluster.TLSServerName, CertificateAuthority: cluster.Authorities.PEM(),
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", access.Kubeconfig, err)
	}
	return made, nil
}

// frontProxy hands identities on as an authenticating proxy does: under a front-proxy certificate (GW-1).
func (u *upstream) frontProxy(cluster *config.CheckedCluster) error {
	stripper, err := frontproxy.NewStripper(cluster.StripHeaders, cluster.StripHeaderPrefixes)
	if err != nil {
		return fmt.Errorf("identity.requestHeader: %w", err)
	}
	general := newTransport(frontProxyTLS(cluster), http2)
	upgrade := newTransport(frontProxyTLS(cluster), http1)
	u.gateway = &gateway.Cluster{
		Name: cluster.Name, Server: cluster.Server, Mode: modeRequestHeader,
		HTTP2: general, HTTP1: upgrade, Assert: identityheader.Asserter(frontproxy.Encode, stripper.Strip),
	}
	u.closers = append(u.closers, general.CloseIdleConnections, upgrade.CloseIdleConnections)
	return nil
}

// impersonating hands identities on as Impersonate-* headers under the gate's own credential, which therefore may do
// nothing but impersonate and ask for reviews.
func (u *upstream) impersonating(cluster *config.CheckedCluster) error {
	access, err := newAccess(cluster, &cluster.Impersonation.CheckedAccess)
	if err != nil {
		return fmt.Errorf("identity.impersonation.kubeconfig: %w", err)
	}
	checker, err := impersonation.New(impersonation.Config{Reviewer: access.Reviewer(), LegacyOnly: cluster.Impersonation.LegacyOnly})
	if err != nil {
		return err
	}
	general, upgrade := access.Transports()
	u.gateway = &gateway.Cluster{
		Name: cluster.Name, Server: cluster.Server, Mode: modeImpersonation,
		HTTP2: general, HTTP1: upgrade, Assert: identityheader.Asserter(impersonation.Encode, impersonation.Strip), Impersonator: checker,
	}
	u.closers = append(u.closers, access.Close)
	return nil
}

// frontProxyTLS trusts the cluster's CA alone and presents the front-proxy certificate (G-30).
func frontProxyTLS(cluster *config.CheckedCluster) *tls.Config {
	return tlspolicy.Client(cluster.Authorities.Pool(), cluster.TLSServerName, &cluster.RequestHeader.Certificate)
}

// protocol is what a transport speaks.
type protocol bool

const (
	http2 protocol = true  // where the API server offers it
	http1 protocol = false // only, as upgrades need (STR-1)
)

// newTransport returns a transport that goes to the API server directly: a proxy from the environment would see every
// token that the gate does not.
func newTransport(config *tls.Config, speaks protocol) *http.Transport {
	t := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: keepIdle,
		IdleConnTimeout:     idleUpstream,
		DisableCompression:  true, // clients ask for compression themselves; the gate never looks inside
		ForceAttemptHTTP2:   bool(speaks),
	}
	if speaks == http2 {
		// A connection on which nothing comes back any more would hold every request that is put on it.
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout}
	} else {
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	return t
}

package etcdstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

const (
	// pingAfter is when a connection that is silent is asked whether it stands; gRPC takes no less.
	pingAfter = 10 * time.Second
	// pingTimeout is how long it may take to answer. It is also how long what was sent may stay unacknowledged (TCP user
	// timeout), which is what notices a link that was cut: the ledger asks five times a second.
	pingTimeout = 2 * time.Second
	// linger is how long a connection that was replaced serves calls that began on it.
	linger = 2 * callTimeout
)

// ExternalConfig is what a store in an etcd cluster is made of.
type ExternalConfig struct {
	// Endpoints are https URLs, one for each member: only members that are named are asked, and their versions checked.
	Endpoints []string
	// TLS has the roots that the members are verified by, and the client certificate that they know the gate by. Required.
	TLS *tls.Config
	// Prefix stands before every key and ends with a slash; empty is DefaultPrefix.
	Prefix string
	// Quota is how many bytes the members may have, where they do not say so (before etcd 3.6); 0 is 2 GiB, etcd's own default.
	Quota int64
	// Logger takes what operators should know of the cluster. Required.
	Logger *slog.Logger
}

// external is a cluster that others run.
type external struct {
	store  *Store
	logger *slog.Logger
	quota  int64
	life   context.Context //nolint:containedctx // the life of the connections and of what looks at the members
	end    context.CancelFunc
	looks  sync.WaitGroup

	mu      sync.Mutex
	members []*member
	config  *tls.Config
	cut     context.CancelFunc // ends the link in use
	known   bool               // the cluster was reached once
}

// External returns a store in an etcd cluster. It does not wait for the cluster: until that is reached, and its versions are
// found good, everything that is asked of the store fails, and says why. ctx bounds the life of its connections.
func External(ctx context.Context, config ExternalConfig) (*Store, error) {
	switch {
	case len(config.Endpoints) == 0:
		return nil, errors.New("etcdstore: no endpoints")
	case config.TLS == nil || config.TLS.GetClientCertificate == nil && len(config.TLS.Certificates) == 0:
		return nil, errors.New("etcdstore: an external etcd is reached by mutual TLS only")
	case config.Logger == nil:
		return nil, errors.New("etcdstore: a logger is required")
	}
	if config.Prefix == "" {
		config.Prefix = DefaultPrefix
	}
	e := &external{logger: config.Logger, quota: cmp.Or(config.Quota, defaultQuota)}
	e.life, e.end = context.WithCancel(ctx)
	for _, endpoint := range config.Endpoints {
		e.members = append(e.members, &member{endpoint: endpoint, err: errNotAsked, again: make(chan struct{}, 1)})
	}
	e.store = &Store{prefix: config.Prefix + layout, outside: e, close: func() {
		e.end()
		e.looks.Wait()
		_ = e.store.link.Load().client.Close()
	}}
	e.store.refusal.Store(&refusal{errNotAsked})
	if err := e.connect(config.TLS); err != nil { //nolint:contextcheck // it has e.life, which is of ctx
		e.end()
		return nil, err
	}
	for _, m := range e.members {
		e.looks.Go(func() { e.attend(m) })
	}
	return e.store, nil
}

// ErrEmbedded says that there is no connection whose certificates could be changed.
var ErrEmbedded = errors.New("etcdstore: an embedded store has no certificates")

// UseTLS opens new connections with other certificates. Calls under way end on the old ones; watches end with an error, and
// are to be begun anew.
func (s *Store) UseTLS(config *tls.Config) error {
	if s.outside == nil {
		return ErrEmbedded
	}
	return s.outside.connect(config)
}

// connect makes a link the one in use.
func (e *external) connect(config *tls.Config) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	life, cut := context.WithCancel(e.life)
	endpoints := e.usable()
	if len(endpoints) == 0 {
		endpoints = e.all()
	}
	client, err := dial(life, config, endpoints)
	if err != nil {
		cut()
		return err
	}
	at := &link{client: client, gone: life.Done()}
	at.watcher = func() (*clientv3.Client, func(), error) {
		// Watches that share a connection hold up one another, and calls.
		own, err := dial(life, config, client.Endpoints())
		if err != nil {
			return nil, nil, err
		}
		return own, func() { _ = own.Close() }, nil
	}
	before, cutBefore := e.store.link.Swap(at), e.cut
	e.config, e.cut = config, cut
	for _, m := range e.members {
		select {
		case m.again <- struct{}{}: // with the new certificates
		default:
		}
	}
	if before != nil {
		lingering, done := context.WithTimeout(e.life, linger)
		context.AfterFunc(lingering, func() {
			done()
			cutBefore()
			_ = before.client.Close()
		})
	}
	return nil
}

// dial returns a client that begins to connect.
func dial(life context.Context, config *tls.Config, endpoints []string) (*clientv3.Client, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: endpoints, TLS: config.Clone(), Context: life, Logger: zap.NewNop(), // every failure is an error that we log
		DialKeepAliveTime: pingAfter, DialKeepAliveTimeout: pingTimeout,
		DialOptions: []grpc.DialOption{grpc.WithNoProxy()}, // not the environment's: it would see the gate's connections
	})
	if err != nil {
		return nil, fmt.Errorf("etcdstore: connect: %w", err)
	}
	// Its resolver is made by this and not by the first call: etcd's client does not guard one that is being made against
	// SetEndpoints. It does not wait for a connection.
	client.ActiveConnection().Connect()
	return client, nil
}

// all are the endpoints of all members.
func (e *external) all() []string {
	endpoints := make([]string, 0, len(e.members))
	for _, m := range e.members {
		endpoints = append(endpoints, m.endpoint)
	}
	return endpoints
}

// usable are the endpoints of members whose version was found good. It is called under the lock.
func (e *external) usable() []string {
	var endpoints []string
	for _, m := range e.members {
		if m.good {
			endpoints = append(endpoints, m.endpoint)
		}
	}
	return endpoints
}

// lookAtRoom takes the least room that a member has for that of the cluster: one that is full stops all. It is called under the
// lock.
func (e *external) lookAtRoom() {
	used, quota := int64(0), int64(0)
	for _, m := range e.members {
		if m.good && (quota == 0 || m.used*quota > used*m.quota) {
			used, quota = m.used, m.quota
		}
	}
	if quota > 0 {
		e.store.room.look(used, quota)
	}
}

// judge decides, by what is known of the members, whether the cluster may be asked. It is called under the lock.
func (e *external) judge() {
	var unreachable []error
	reason := error(nil)
	cluster := uint64(0)
	for _, m := range e.members {
		switch {
		case m.refused != nil:
			reason = fmt.Errorf("etcdstore: %s: %w", m.endpoint, m.refused)
		case m.good && cluster != 0 && m.cluster != cluster:
			reason = fmt.Errorf("etcdstore: the endpoints are members of different clusters (%s is of %x, others of %x): each would hold a ledger of its own; name the members of one",
				m.endpoint, m.cluster, cluster)
		case m.good:
			cluster = m.cluster
		default:
			unreachable = append(unreachable, fmt.Errorf("%s: %w", m.endpoint, m.err))
		}
		if reason != nil {
			break
		}
	}
	e.lookAtRoom()
	endpoints := e.usable()
	if reason == nil && len(endpoints) == 0 {
		reason = fmt.Errorf("etcdstore: no member of the etcd cluster could be asked yet: %w", errors.Join(unreachable...))
	}
	if reason != nil {
		e.store.refusal.Store(&refusal{reason})
		return
	}
	if client := e.store.link.Load().client; !slices.Equal(client.Endpoints(), endpoints) {
		client.SetEndpoints(endpoints...)
	}
	e.store.refusal.Store(nil)
	if !e.known {
		e.known = true
		e.logger.Info("the ledger's etcd is reached", slog.Int("members", len(endpoints)))
	}
}

package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"slices"
	"sync"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/tlspolicy"
)

// exposed are the clusters whose API server trusts the issuer's root: what it signs would count there without a look at the record,
// and could not be shut out. The zero value knows none. It is safe for concurrent use.
type exposed struct {
	mu    sync.Mutex
	names map[string]bool
}

// look asks every cluster which CAs it takes client certificates of, as each API server says in a handshake, and says which has the
// root among them. A cluster that cannot be reached is not known to.
func (e *exposed) look(ctx context.Context, checked *config.Checked, logger *slog.Logger) {
	if checked.Issuer == nil {
		return
	}
	names := make(map[string]bool)
	for i := range checked.Clusters {
		cluster := &checked.Clusters[i]
		accepted, err := acceptedCAs(ctx, cluster)
		if err != nil {
			logger.Debug("a cluster does not say whose client certificates it takes", slog.String("cluster", cluster.Name), slog.String("cause", err.Error()))
			continue
		}
		if trusts(accepted, checked.Issuer.Root.Certificate) {
			names[cluster.Name] = true
			logger.Error("alarm: the API server trusts the root of the gate's issuer for clients: certificates that were shut out here count there; take it out of --client-ca-file, and make another root",
				slog.String("cluster", cluster.Name))
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.names = names
}

// notice is what people should know of it; empty where there is nothing.
func (e *exposed) notice() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range e.names {
		return "the API server of cluster " + name + " trusts the root of the gate's issuer: take it out of its --client-ca-file"
	}
	return ""
}

// trusts reports whether a root is among the CAs that a server named.
func trusts(accepted [][]byte, root *x509.Certificate) bool {
	return slices.ContainsFunc(accepted, func(subject []byte) bool { return slices.Equal(subject, root.RawSubject) })
}

// acceptedCAs are the names of the CAs that an API server takes client certificates of. None is sent to it.
func acceptedCAs(ctx context.Context, cluster *config.CheckedCluster) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	name := cluster.TLSServerName
	if name == "" {
		name = cluster.Server.Hostname()
	}
	var accepted [][]byte
	handshake := tlspolicy.Client(cluster.Authorities.Pool(), name, nil)
	handshake.GetClientCertificate = func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		accepted = asked.AcceptableCAs
		return new(tls.Certificate), nil
	}
	address := cluster.Server.Host
	if cluster.Server.Port() == "" {
		address = net.JoinHostPort(cluster.Server.Hostname(), "443")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return accepted, tls.Client(conn, handshake).HandshakeContext(ctx)
}

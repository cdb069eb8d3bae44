package collect

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/tlspolicy"
)

// handshakeTimeout bounds one attempt: a server that is there answers within a second.
const handshakeTimeout = 10 * time.Second

// Handshakes asks a server which versions of TLS it takes. Nothing is sent after the handshake.
func (g *Gatherer) Handshakes(ctx context.Context, server, serverName string) {
	parsed, err := url.Parse(server)
	if err != nil {
		return
	}
	host, port := parsed.Hostname(), parsed.Port()
	if port == "" {
		port = "443"
	}
	if serverName == "" {
		serverName = host
	}
	dialer := &net.Dialer{Timeout: handshakeTimeout}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		plain, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
		if err != nil {
			g.note(facts.SourceHandshake, facts.Unreadable, len(g.found.Handshakes), err.Error(), "a direct way to the API server")
			return
		}
		g.found.Handshakes = append(g.found.Handshakes, shake(ctx, plain, server, serverName, version))
	}
	g.note(facts.SourceHandshake, facts.Read, len(g.found.Handshakes), "", "")
}

// shake makes one handshake and closes the connection.
func shake(ctx context.Context, plain net.Conn, server, serverName string, version uint16) facts.Handshake {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	connection := tls.Client(plain, tlspolicy.Probe(serverName, version))
	err := connection.HandshakeContext(ctx)
	made := facts.Handshake{Server: server, Offered: tls.VersionName(version)}
	if err == nil {
		state := connection.ConnectionState()
		made.Accepted, made.Cipher = state.Version == version, tls.CipherSuiteName(state.CipherSuite)
	}
	_ = connection.Close() // nothing was sent on it
	return made
}

package collect

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
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
	made, err := handshakes(ctx, server, net.JoinHostPort(host, port), serverName)
	g.found.Handshakes = append(g.found.Handshakes, made...)
	if err != nil {
		g.note(facts.SourceHandshake, facts.Unreadable, len(g.found.Handshakes), server+": "+err.Error(), "a direct way to the API server")
		return
	}
	g.noteNoBetter(facts.SourceHandshake, facts.Read, len(g.found.Handshakes), "")
}

// WebhookHandshakes does the same with every webhook that the API servers known so far ask about tokens.
func (g *Gatherer) WebhookHandshakes(ctx context.Context) {
	asked, failed := map[string]bool{}, ""
	for i := range g.found.APIServers {
		address := currentServer(g.found.APIServers[i].Webhook)
		parsed, err := url.Parse(address)
		if err != nil || parsed.Scheme != "https" || asked[address] {
			continue // what is asked in clear has no handshake
		}
		asked[address] = true
		port := parsed.Port()
		if port == "" {
			port = "443"
		}
		made, err := handshakes(ctx, address, net.JoinHostPort(parsed.Hostname(), port), parsed.Hostname())
		g.found.WebhookHandshakes = append(g.found.WebhookHandshakes, made...)
		if err != nil {
			failed = err.Error()
		}
	}
	switch {
	case failed != "":
		// Names of the cluster lead nowhere from most places: that is no source that somebody could be given a right to.
		g.note(facts.SourceWebhookHandshake, facts.NotAsked, len(g.found.WebhookHandshakes), failed, "a run from where the webhook can be reached")
	case len(asked) > 0:
		g.note(facts.SourceWebhookHandshake, facts.Read, len(g.found.WebhookHandshakes), "", "")
	}
}

// currentServer is the address that a kubeconfig's current context leads to; empty where there is none.
func currentServer(k *facts.Kubeconfig) string {
	if k == nil {
		return ""
	}
	for _, cluster := range k.Clusters {
		if cluster.Name == k.CurrentCluster {
			return cluster.Server
		}
	}
	return ""
}

// handshakes tries every version of TLS at an address.
func handshakes(ctx context.Context, server, address, serverName string) ([]facts.Handshake, error) {
	dialer := &net.Dialer{Timeout: handshakeTimeout}
	var all []facts.Handshake
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		plain, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return all, err
		}
		all = append(all, shake(ctx, plain, server, serverName, version))
	}
	return all, nil
}

// shake makes one handshake and closes the connection.
func shake(ctx context.Context, plain net.Conn, server, serverName string, version uint16) facts.Handshake {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	made := facts.Handshake{Server: server, Offered: tls.VersionName(version)}
	config := tlspolicy.Probe(serverName, version)
	config.GetClientCertificate = func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		made.AsksCertificate, made.Authorities = true, authorityNames(asked.AcceptableCAs)
		return &tls.Certificate{}, nil // none is sent
	}
	connection := tls.Client(plain, config)
	err := connection.HandshakeContext(ctx)
	if err == nil {
		state := connection.ConnectionState()
		made.Accepted, made.Cipher = state.Version == version, tls.CipherSuiteName(state.CipherSuite)
	}
	_ = connection.Close() // nothing was sent on it
	return made
}

// authorityNames are the common names of CAs that a server names (RFC 8446 section 4.2.4).
func authorityNames(subjects [][]byte) []string {
	var names []string
	for _, raw := range subjects {
		var sequence pkix.RDNSequence
		if rest, err := asn1.Unmarshal(raw, &sequence); err != nil || len(rest) > 0 {
			continue // a name that is none names nobody
		}
		var name pkix.Name
		name.FillFromRDNSequence(&sequence)
		names = append(names, name.CommonName)
	}
	return names
}

// Package tlspolicy is the one maker of tls.Config: for the gate's listeners, and for every connection that Ostiary opens.
//
// TLS 1.3 is preferred and 1.2 the least (G-30); under 1.2 only suites with forward secrecy and authenticated encryption
// are offered. Session tickets are off on the gate's listener: a ticket carries the client's certificate, so whoever holds
// the ticket key could be anyone, and kubectl and client-go never resume sessions. Were they on, a resumed session would
// still be verified like any other, since verification happens per connection and not in the handshake.
package tlspolicy

import (
	"crypto/tls"
	"crypto/x509"
)

// suites are the TLS 1.2 cipher suites in use; TLS 1.3 has no others than good ones.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// base is what both sides share.
func base() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites()}
}

// Gate returns the configuration of the gate's listener. Clients are asked for a certificate and need not have one;
// it is verified after the handshake, by the client-certificate mechanism (X509-1). authorities is the hint that tells
// clients which certificates are of use; it may be nil.
func Gate(certificate tls.Certificate, authorities *x509.CertPool) *tls.Config {
	config := Server(certificate)
	config.ClientAuth = tls.RequestClientCert
	config.ClientCAs = authorities
	return config
}

// Callers returns the configuration of a listener that demands a client certificate. It is verified after the handshake,
// per request, so that changed CAs count on open connections too; authorities is the hint that tells clients which
// certificates are of use.
func Callers(certificate tls.Certificate, authorities *x509.CertPool) *tls.Config {
	config := Server(certificate)
	config.ClientAuth = tls.RequireAnyClientCert
	config.ClientCAs = authorities
	return config
}

// Reloading returns the configuration of a listener that asks current for the one to use at each handshake, so that
// certificates and CAs change without a new listener. Connections that are open keep theirs.
func Reloading(current func() *tls.Config) *tls.Config {
	config := base()
	config.NextProtos = protocols()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return current(), nil }
	return config
}

// protocols are what listeners speak, best first.
func protocols() []string { return []string{"h2", "http/1.1"} }

// Server returns the configuration of a listener that asks for no client certificate.
func Server(certificate tls.Certificate) *tls.Config {
	config := base()
	config.Certificates = []tls.Certificate{certificate}
	config.NextProtos = protocols()
	config.SessionTicketsDisabled = true
	return config
}

// Probe returns the configuration of a connection that asks whether a server would take a version, and carries nothing: no
// request follows the handshake, so that who answers need not prove who it is.
func Probe(serverName string, version uint16) *tls.Config {
	return &tls.Config{
		ServerName: serverName, MinVersion: tls.VersionTLS10, MaxVersion: version, // the old versions are what is asked about
		InsecureSkipVerify: true, //nolint:gosec // nothing is sent
	}
}

// Client returns the configuration of a connection that Ostiary opens. A nil roots means the host's roots, which only
// connections to providers may use; serverName overrides the name to verify; certificate may be nil.
func Client(roots *x509.CertPool, serverName string, certificate *tls.Certificate) *tls.Config {
	config := base()
	config.RootCAs = roots
	config.ServerName = serverName
	if certificate != nil {
		// Always sent, whatever the server's hint says: a connection without it would be nobody's.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return certificate, nil
		}
	}
	return config
}

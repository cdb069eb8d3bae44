package kubeapi

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Limits of the connections to an API server.
const (
	// dialTimeout and handshakeTimeout are ample for any network that an API server is used over, and short enough for
	// the caller to learn of a dead one before he gives up.
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	// keepAlive notices a peer that vanished under an HTTP/1.1 connection, which a silent exec stream else never would.
	keepAlive = 30 * time.Second
	// pingAfter and pingTimeout do the same for HTTP/2, as client-go does: many watches share such a connection.
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
	// idleTimeout is client-go's: below the usual minutes after which load balancers forget a connection.
	idleTimeout = 90 * time.Second
	// idleConnections is how many idle connections to the server are kept. Over HTTP/1.1 each request under way takes
	// one, and net/http's default of 2 would mean a handshake for nearly every request of a busy gate.
	idleConnections = 256
	// maxResponseHeaderBytes is what is read of a response's headers. net/http's default is 10 MiB.
	maxResponseHeaderBytes = 1 << 20
)

// The reasons for which a transport refuses to send a request. Both are faults of the program, not of the caller.
var (
	// ErrNoIdentity: the request would have run as the gate itself.
	ErrNoIdentity = errors.New("kubeapi: refused to send a caller's request without exactly one impersonated user")
	// ErrForeignServer: the request was for another server than the credential.
	ErrForeignServer = errors.New("kubeapi: refused to send the gate's credential to another server")
)

// newTransports returns the two transports to one server. They are made by hand since client-go keeps the ones it makes
// in a cache for good, and every reload of the configuration would add to it.
func newTransports(config *tls.Config) (general, upgrade *http.Transport) {
	create := func() *http.Transport {
		dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
		return &http.Transport{
			Proxy:                  nil, // not the environment's: it would see the gate's connections
			DialContext:            dialer.DialContext,
			TLSClientConfig:        config.Clone(),
			TLSHandshakeTimeout:    handshakeTimeout,
			IdleConnTimeout:        idleTimeout,
			MaxIdleConnsPerHost:    idleConnections,
			MaxResponseHeaderBytes: maxResponseHeaderBytes,
			DisableCompression:     true, // the answer goes on as the client asked for it
			Protocols:              new(http.Protocols),
		}
	}
	general = create()
	general.Protocols.SetHTTP1(true)
	general.Protocols.SetHTTP2(true)
	general.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout}
	upgrade = create()
	upgrade.Protocols.SetHTTP1(true)
	return general, upgrade
}

// guard is the last step before the credential is put on a request.
type guard struct {
	next http.RoundTripper
	host string
	// impersonates is set for callers' requests, which must carry an impersonated user. The gate's own must not.
	impersonates bool
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.check(r); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // as RoundTripper demands
		}
		return nil, err
	}
	// client-go's wrapper leaves an Authorization header alone that is there already. Whoever put it there, the gateway
	// should have stripped it.
	if _, ok := r.Header["Authorization"]; ok {
		r = utilnet.CloneRequest(r)
		delete(r.Header, "Authorization")
	}
	return g.next.RoundTrip(r)
}

// check refuses what must not be sent.
func (g *guard) check(r *http.Request) error {
	if r.URL == nil || r.URL.Scheme != "https" || r.URL.Host != g.host || r.Host != "" && r.Host != g.host {
		return ErrForeignServer
	}
	user := r.Header["Impersonate-User"]
	if !g.impersonates {
		if len(user) > 0 {
			return ErrNoIdentity
		}
		return nil
	}
	if len(user) != 1 || user[0] == "" {
		return ErrNoIdentity
	}
	for _, value := range r.Header["Connection"] {
		// Attack: "Connection: Impersonate-User" makes the next hop drop the header.
		if !strings.EqualFold(value, "upgrade") {
			return ErrNoIdentity
		}
	}
	return nil
}

var _ http.RoundTripper = (*guard)(nil)

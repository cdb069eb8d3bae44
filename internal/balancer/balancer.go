// Package balancer settles who is at the other end of a request that came through a balancer: the client's address and its
// certificate (G-10). What a balancer says counts only if it is named by its address, and, for certificates, known by one of
// its own. Nobody else is believed, and what they say is removed.
package balancer

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/ostiary/ostiary/internal/certchain"
)

// The headers by which balancers tell of hops before them.
const (
	Forwarded     = "Forwarded"       // RFC 7239
	XForwardedFor = "X-Forwarded-For" // its predecessor
)

// The headers that carry a client's certificate and the chain below it (RFC 9440).
const (
	clientCert      = "Client-Cert"
	clientCertChain = "Client-Cert-Chain"
)

// Config says what is believed, and whom. The zero value believes nobody.
type Config struct {
	// AddressesFrom are the balancers whose ForwardedHeader is believed, which is Forwarded or XForwardedFor.
	AddressesFrom   []netip.Prefix
	ForwardedHeader string
	// CertificatesFrom are the balancers whose Client-Cert header is believed, if their own certificate chains to Roots and
	// bears one of Names.
	CertificatesFrom []netip.Prefix
	Roots            *x509.CertPool
	Names            []string
}

// Balancers knows those in front. It is immutable; nil and the zero value believe nobody.
type Balancers struct{ config Config }

// New returns Balancers that believe as config says.
func New(config Config) *Balancers { return &Balancers{config} }

// Peer is who is at the other end.
type Peer struct {
	// Source is the client's address.
	Source netip.Addr
	// Certificates are the client's, the leaf first; none if it showed none.
	Certificates []*x509.Certificate
	// Relayed says that a balancer told of the certificates, or that there are none behind its own: the connection is
	// shared by many clients, and says nothing of any of them.
	Relayed bool
}

// Settle reads and removes what balancers say. direct is the address of the connection's other end. It refuses what a
// believed balancer says and that cannot be read.
func (b *Balancers) Settle(r *http.Request, direct netip.Addr, now time.Time) (Peer, error) {
	peer := Peer{Source: direct}
	if r.TLS != nil {
		peer.Certificates = r.TLS.PeerCertificates
	}
	var err error
	if b != nil && contains(b.config.CertificatesFrom, direct) && b.vouches(peer.Certificates, now) {
		peer.Relayed = true
		peer.Certificates, err = relayed(r.Header)
	}
	if b != nil && err == nil && contains(b.config.AddressesFrom, direct) {
		peer.Source, err = b.source(r.Header, direct)
	}
	strip(r.Header)
	return peer, err
}

// vouches reports whether the connection's certificate is that of a balancer.
func (b *Balancers) vouches(certificates []*x509.Certificate, now time.Time) bool {
	if len(certificates) == 0 || b.config.Roots == nil || !slices.Contains(b.config.Names, certificates[0].Subject.CommonName) {
		return false
	}
	_, err := certchain.Verify(certificates, b.config.Roots, now)
	return err == nil
}

// Errors of what balancers say. They repeat nothing of it.
var (
	errCertificate = errors.New("the balancer's Client-Cert or Client-Cert-Chain header is not one of RFC 9440")
	errAddress     = errors.New("the balancer's header about the client's address cannot be read")
)

// relayed reads the client's certificates (RFC 9440 section 2). Without the header the client showed none.
func relayed(h http.Header) ([]*x509.Certificate, error) {
	leaf, chain := h[clientCert], h[clientCertChain]
	switch {
	case len(leaf) == 0 && len(chain) == 0:
		return nil, nil
	case len(leaf) != 1:
		return nil, errCertificate
	}
	item, err := httpsfv.UnmarshalItem(leaf)
	if err != nil {
		return nil, errCertificate
	}
	certificates, err := appendCertificate(nil, item.Value)
	if err != nil || len(chain) == 0 {
		return certificates, err
	}
	list, err := httpsfv.UnmarshalList(chain)
	if err != nil || len(list) >= certchain.MaxLength {
		return nil, errCertificate
	}
	for _, member := range list {
		item, ok := member.(httpsfv.Item)
		if !ok {
			return nil, errCertificate
		}
		if certificates, err = appendCertificate(certificates, item.Value); err != nil {
			return nil, err
		}
	}
	return certificates, nil
}

func appendCertificate(certificates []*x509.Certificate, value any) ([]*x509.Certificate, error) {
	der, ok := value.([]byte)
	if !ok {
		return nil, errCertificate
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCertificate, err)
	}
	return append(certificates, certificate), nil
}

// source counts from the right: each balancer adds, at the end, whom it was called by, so that what stands left of the
// last one who is not believed is anybody's word.
func (b *Balancers) source(h http.Header, direct netip.Addr) (netip.Addr, error) {
	var hops []netip.Addr
	var err error
	if b.config.ForwardedHeader == Forwarded {
		hops, err = parseForwarded(h[Forwarded])
	} else {
		hops, err = parseXForwardedFor(h[XForwardedFor])
	}
	if err != nil {
		return direct, err
	}
	source := direct
	for i := len(hops) - 1; i >= 0 && contains(b.config.AddressesFrom, source); i-- {
		source = hops[i]
	}
	return source, nil
}

func contains(networks []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(address) })
}

// strip removes what tells of hops before us: the API server's audit log would believe it.
func strip(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "X-Forwarded") || name == Forwarded || name == "X-Real-Ip" || name == clientCert || name == clientCertChain {
			delete(h, name)
		}
	}
}

package config

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ProxyProtocol names balancers that send PROXY protocol headers of version 2. They must send one; nobody else may.
type ProxyProtocol struct {
	// Networks (CIDR) of the balancers.
	From []string `json:"from" jsonschema:"minItems=1"`
}

// ForwardedAddresses names balancers whose header tells clients' addresses. Hops are counted from the right: what stands
// left of the last address that is not a balancer's is not believed.
type ForwardedAddresses struct {
	// Networks (CIDR) of the balancers.
	From []string `json:"from" jsonschema:"minItems=1"`
	// The one header that they set.
	Header string `json:"header" jsonschema:"enum=Forwarded,enum=X-Forwarded-For"`
}

// ClientCertificateHeader names balancers that end TLS and pass clients' certificates on in the headers Client-Cert and
// Client-Cert-Chain (RFC 9440). They prove themselves by a certificate of their own.
type ClientCertificateHeader struct {
	// Networks (CIDR) of the balancers.
	From []string `json:"from" jsonschema:"minItems=1"`
	// PEM bundles of the CAs that sign the balancers' certificates; not those of users.
	CAFiles []string `json:"caFiles" jsonschema:"minItems=1"`
	// Common names of the balancers' certificates. At least one.
	AllowedNames []string `json:"allowedNames" jsonschema:"minItems=1"`
}

// CheckedBalancers are those in front of the gate whose word counts.
type CheckedBalancers struct {
	// ProxyProtocolFrom send PROXY headers.
	ProxyProtocolFrom []netip.Prefix
	// AddressesFrom set ForwardedHeader.
	AddressesFrom   []netip.Prefix
	ForwardedHeader string
	// CertificatesFrom pass certificates on, under a certificate of CertificateAuthorities with one of CertificateNames;
	// nil where nobody does.
	CertificatesFrom       []netip.Prefix
	CertificateAuthorities *Bundle
	CertificateNames       []string
}

func (c *checker) balancers(p *field.Path, written *Listen, users *CheckedClientCertificate) CheckedBalancers {
	var checked CheckedBalancers
	if written.ProxyProtocol != nil {
		checked.ProxyProtocolFrom = c.balancersFrom(p.Child("proxyProtocol"), written.ProxyProtocol.From)
	}
	if forwarded := written.ForwardedAddresses; forwarded != nil {
		at := p.Child("forwardedAddresses")
		checked.AddressesFrom, checked.ForwardedHeader = c.balancersFrom(at, forwarded.From), forwarded.Header
		if forwarded.Header != "Forwarded" && forwarded.Header != "X-Forwarded-For" {
			c.errs = append(c.errs, field.NotSupported(at.Child("header"), forwarded.Header, []string{"Forwarded", "X-Forwarded-For"}))
		}
	}
	if written.ClientCertificateHeader != nil {
		c.certificateBalancers(p.Child("clientCertificateHeader"), written.ClientCertificateHeader, users, &checked)
	}
	return checked
}

func (c *checker) certificateBalancers(p *field.Path, written *ClientCertificateHeader, users *CheckedClientCertificate, checked *CheckedBalancers) {
	checked.CertificatesFrom, checked.CertificateNames = c.balancersFrom(p, written.From), written.AllowedNames
	c.names(p.Child("allowedNames"), written.AllowedNames, "a common name")
	if len(written.AllowedNames) == 0 {
		c.required(p.Child("allowedNames"), "name the common names of the balancers' certificates")
	}
	files := p.Child("caFiles")
	if len(written.CAFiles) == 0 {
		c.required(files, "name the CAs that sign the balancers' certificates")
		return
	}
	checked.CertificateAuthorities = c.bundle(written.CAFiles, files.Index)
	if bundle := checked.CertificateAuthorities; bundle != nil && users != nil && shareKey(bundle, &users.Authorities) {
		c.invalid(files, written.CAFiles, "shares a key with authentication.clientCertificate.caFiles: then a user's certificate could be a balancer's, and its bearer anybody; use another CA")
	}
}

func (c *checker) balancersFrom(p *field.Path, from []string) []netip.Prefix {
	if len(from) == 0 {
		c.required(p.Child("from"), "name the networks of the balancers")
	}
	return c.networks(p.Child("from"), from)
}

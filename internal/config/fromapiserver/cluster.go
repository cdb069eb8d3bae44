package fromapiserver

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/ostiary/ostiary/internal/config"
)

const (
	fallbackName = "kubernetes" // kubeadm's own default
	fallbackHost = "127.0.0.1"

	// The gate's port: the API server's usual one, unless the API server has it and both may run on one host.
	gatePort            = 6443
	gatePortBesides6443 = 8443
)

// cluster describes the API server itself: where it is, and how identities are handed to it.
func (c *converter) cluster() {
	f := c.flags
	cluster := config.Cluster{Name: c.source.ClusterName}
	if len(validation.IsDNS1123Label(cluster.Name)) > 0 {
		cluster.Name = fallbackName
	}
	cert := c.servingCertificate()
	host, port := c.endpoint()
	cluster.Server = "https://" + net.JoinHostPort(host, port)
	cluster.CertificateAuthorityFile = c.serverAuthority(cert.file)
	if leaf := c.leaf(cert.file); leaf != nil && leaf.VerifyHostname(host) != nil && len(leaf.DNSNames) > 0 {
		cluster.TLSServerName = leaf.DNSNames[0]
		c.comment("clusters[0].tlsServerName", "The API server's certificate is not for %q but for this name.", host)
	}
	if f.proxyClientCertFile != "" {
		cluster.Identity.RequestHeader = &config.RequestHeader{KeyPair: config.KeyPair{
			CertFile: c.file("proxy-client-cert-file", f.proxyClientCertFile),
			KeyFile:  c.file("proxy-client-key-file", f.proxyClientKeyFile),
		}}
		c.comment("clusters[0].identity.requestHeader", `--proxy-client-cert-file and --proxy-client-key-file, which the API server's aggregation layer uses too.
G-30, G-31: issue a certificate for Ostiary alone from the CA of --requestheader-client-ca-file and add its name to
--requestheader-allowed-names, so that either can be replaced without the other.`)
		c.requestHeaderFlags(cluster.Identity.RequestHeader.CertFile)
	} else {
		cluster.Identity.RequestHeader = &config.RequestHeader{
			KeyPair: config.KeyPair{CertFile: "front-proxy-client.crt", KeyFile: "front-proxy-client.key"},
		}
		c.comment("clusters[0].identity.requestHeader", `REPLACE THIS: the flags name no front-proxy certificate. Issue one from the CA of --requestheader-client-ca-file
(another CA than --client-ca-file) with the extended key usage clientAuth. Or, where the API server's flags cannot be set,
write instead of requestHeader:
impersonation: {kubeconfig: <kubeconfig of a user that may impersonate>}`)
		c.warn("there is no --proxy-client-cert-file: clusters[0].identity names files that do not exist yet; its comment says what to do")
		c.requestHeaderFlags("")
	}
	header := cluster.Identity.RequestHeader
	header.StripHeaders = besides(slices.Concat(f.userHeaders, f.uidHeaders, f.groupHeaders), "X-Remote-User", "X-Remote-Uid", "X-Remote-Group")
	header.StripHeaderPrefixes = besides(f.extraHeaderPrefixes, "X-Remote-Extra-")
	c.written.Clusters = []config.Cluster{cluster}
}

// besides returns the names that are none of the standard ones.
func besides(names []string, standard ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(standard, func(one string) bool { return strings.EqualFold(one, name) })
	})
}

// endpoint is where Ostiary reaches the API server.
func (c *converter) endpoint() (host, port string) {
	f := c.flags
	port = strconv.Itoa(f.securePort)
	specific := func(address string) bool {
		parsed, err := netip.ParseAddr(address)
		return err == nil && !parsed.IsUnspecified()
	}
	switch {
	case specific(f.advertiseAddress):
		c.comment("clusters[0].server", "--advertise-address and --secure-port.")
		return f.advertiseAddress, port
	case c.source.Endpoint != "":
		if host, port, err := net.SplitHostPort(c.source.Endpoint); err == nil {
			c.comment("clusters[0].server", "kubeadm's controlPlaneEndpoint. It must lead to the API servers, not to Ostiary.")
			return host, port
		}
	case specific(f.bindAddress):
		c.comment("clusters[0].server", "--bind-address and --secure-port.")
		return f.bindAddress, port
	}
	c.comment("clusters[0].server", "The flags name no address: this is right where Ostiary runs on the API server's own host.")
	return fallbackHost, port
}

// pair is the API server's own certificate and key.
type pair struct{ file, key string }

func (c *converter) servingCertificate() pair {
	if c.flags.tlsCertFile == "" {
		return pair{file: path.Join(c.flags.certDir, "apiserver.crt"), key: path.Join(c.flags.certDir, "apiserver.key")}
	}
	host, _ := c.source.OnHost(c.flags.tlsCertFile)
	key, _ := c.source.OnHost(c.flags.tlsPrivateKey)
	return pair{file: host, key: key}
}

// isCA tells a certificate that may sign others from one that stands for itself, and changes with every renewal.
func isCA(certificate *x509.Certificate) bool { return certificate.IsCA }

// serverAuthority finds the CA that signed the API server's certificate. No flag names it.
func (c *converter) serverAuthority(certFile string) string {
	const at = "clusters[0].certificateAuthorityFile"
	var candidates []string
	if c.source.Certificates != "" {
		candidates = append(candidates, path.Join(c.source.Certificates, "ca.crt"))
	}
	if c.flags.clientCAFile != "" {
		host, _ := c.source.OnHost(c.flags.clientCAFile)
		candidates = append(candidates, host)
	}
	candidates = append(candidates, path.Join(path.Dir(certFile), "ca.crt"), certFile)
	leaf := c.leaf(certFile)
	for _, candidate := range candidates {
		if leaf == nil {
			break
		}
		if authorities := c.certificates(candidate); slices.ContainsFunc(authorities, isCA) && chains(leaf, c.certificates(certFile), authorities) {
			c.comment(at, "The API server's certificate was signed by a CA in this file.")
			return candidate
		}
	}
	c.comment(at, "CHECK THIS: no flag names the CA that signed the API server's certificate; this is a guess.")
	if leaf != nil {
		c.warn("none of the CAs that the flags name signed %q: clusters[0].certificateAuthorityFile is a guess", certFile)
	}
	return candidates[0]
}

func chains(leaf *x509.Certificate, presented, authorities []*x509.Certificate) bool {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, certificate := range authorities {
		roots.AddCert(certificate)
	}
	for _, certificate := range presented {
		intermediates.AddCert(certificate)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: leaf.NotBefore,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}

// leaf is the first certificate of a file; nil where it cannot be read.
func (c *converter) leaf(name string) *x509.Certificate {
	if certificates := c.certificates(name); len(certificates) > 0 {
		return certificates[0]
	}
	return nil
}

func (c *converter) certificates(name string) []*x509.Certificate {
	data, err := c.readFile(name)
	if err != nil {
		return nil
	}
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			certificates = append(certificates, certificate)
		}
	}
	return certificates
}

// requestHeaderFlags compares the API server's flags with what Ostiary will send.
func (c *converter) requestHeaderFlags(certFile string) {
	f := c.flags
	switch f.requestHeaderCAFile {
	case "":
		c.warn("there is no --requestheader-client-ca-file: the API server will not believe Ostiary's headers until it is set, with --requestheader-allowed-names")
	case f.clientCAFile:
		c.warn("--requestheader-client-ca-file and --client-ca-file are one file: then any user's certificate may pass for a front proxy's, and Ostiary refuses to start; use a CA of its own for the front proxy")
	}
	for _, header := range []struct {
		flag, want string
		have       []string
	}{
		{"requestheader-username-headers", "X-Remote-User", f.userHeaders},
		{"requestheader-uid-headers", "X-Remote-Uid", f.uidHeaders},
		{"requestheader-group-headers", "X-Remote-Group", f.groupHeaders},
		{"requestheader-extra-headers-prefix", "X-Remote-Extra-", f.extraHeaderPrefixes},
	} {
		if !slices.ContainsFunc(header.have, func(name string) bool { return strings.EqualFold(name, header.want) }) {
			c.warn("--%s does not hold %s: the API server will ignore that header of Ostiary's; add it", header.flag, header.want)
		}
	}
	if len(f.requestHeaderNames) == 0 && f.requestHeaderCAFile != "" {
		c.warn("--requestheader-allowed-names is empty: every certificate of that CA may pass for anybody; set it")
	}
	if leaf := c.leaf(certFile); leaf != nil && len(f.requestHeaderNames) > 0 && !slices.Contains(f.requestHeaderNames, leaf.Subject.CommonName) {
		c.warn("--requestheader-allowed-names does not hold %q, the name in %q: the API server will refuse Ostiary's headers; add it", leaf.Subject.CommonName, certFile)
	}
}

// listen gives the gate the API server's own certificate: clients know its CA already.
func (c *converter) listen() {
	cert := c.servingCertificate()
	port := gatePort
	if c.flags.securePort == port {
		port = gatePortBesides6443
	}
	c.written.Listen = config.Listen{Address: ":" + strconv.Itoa(port), TLS: config.KeyPair{CertFile: cert.file, KeyFile: cert.key}}
	c.comment("listen.address", "A port that the API server does not have, so that both may run on one host.")
	if c.flags.tlsCertFile != "" {
		c.file("tls-cert-file", c.flags.tlsCertFile) // for its warnings
		c.file("tls-private-key-file", c.flags.tlsPrivateKey)
		c.comment("listen.tls", "--tls-cert-file and --tls-private-key-file. Clients must reach Ostiary by a name in this certificate;\na certificate of its own, from a CA that clients know, keeps the API server's key out of the gate.")
	} else {
		c.comment("listen.tls", "Made by the API server itself in --cert-dir, as there is no --tls-cert-file. Issue one for Ostiary instead.")
		c.warn("there is no --tls-cert-file: listen.tls names the certificate that the API server made for itself; issue one for Ostiary")
	}
	if len(c.flags.sniCertificates) > 0 {
		c.warn("--tls-sni-cert-key is not taken over: Ostiary serves the one certificate of listen.tls; it should hold all names that clients use")
	}
}

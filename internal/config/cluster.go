package config

import (
	"crypto/x509"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// groupMasters is the group that the API server lets do everything, whatever RBAC says.
const groupMasters = "system:masters"

func (c *checker) clusters(p *field.Path, written []Cluster, all *Checked) []CheckedCluster {
	if len(written) == 0 {
		c.required(p, "name at least one API server")
	}
	seen := map[string]bool{}
	checked := make([]CheckedCluster, len(written))
	for i := range written {
		at := p.Index(i)
		checked[i] = c.cluster(at, &written[i], all)
		if name := written[i].Name; name != "" && seen[name] {
			c.duplicate(at.Child("name"), name, "each cluster needs a name of its own")
		}
		seen[written[i].Name] = true
	}
	return checked
}

func (c *checker) cluster(p *field.Path, written *Cluster, all *Checked) CheckedCluster {
	c.label(p.Child("name"), written.Name)
	if name := written.TLSServerName; name != "" && !isHost(name) {
		c.invalid(p.Child("tlsServerName"), name, "must be a DNS name or an IP address")
	}
	checked := CheckedCluster{
		Name:          written.Name,
		Server:        c.server(p.Child("server"), written.Server),
		TLSServerName: written.TLSServerName,
		Audiences:     written.Audiences,
	}
	authorities := c.bundle([]string{written.CertificateAuthorityFile}, func(int) *field.Path { return p.Child("certificateAuthorityFile") })
	c.identity(p.Child("identity"), written.Identity, all.ClientCertificate, &checked)
	c.names(p.Child("audiences"), written.Audiences, "an audience")
	if len(checked.Audiences) == 0 {
		checked.Audiences = all.Audiences
	}
	switch {
	case written.Access != nil:
		checked.Access = c.access(p.Child("access", "kubeconfig"), written.Access.Kubeconfig)
	case checked.Impersonation != nil:
		checked.Access = &checked.Impersonation.CheckedAccess
	}
	if written.ServiceAccounts != nil {
		checked.ServiceAccounts = c.serviceAccounts(p.Child("serviceAccounts"), written.ServiceAccounts, &checked)
		if len(checked.Audiences) == 0 {
			checked.Audiences = written.ServiceAccounts.Issuers // AUD-1
		}
	}
	if authorities == nil {
		return checked
	}
	checked.Authorities = *authorities
	checked.BootstrapTokens = all.BootstrapToken != nil && all.BootstrapToken.FromCluster
	parts := [][]byte{c.settings(p, written), c.settings(p, checked.BootstrapTokens), authorities.Digest[:]}
	if checked.RequestHeader != nil {
		parts = append(parts, checked.RequestHeader.Digest[:])
	}
	if written.ServiceAccounts != nil {
		parts = append(parts, c.keyParts(written.ServiceAccounts)...)
	}
	if checked.Access != nil {
		parts = append(parts, c.kubeconfigParts(checked.Access)...)
	}
	if checked.Impersonation != nil {
		parts = append(parts, c.kubeconfigParts(&checked.Impersonation.CheckedAccess)...)
	}
	checked.Digest = digestOf(parts...)
	return checked
}

// clusterTokens sees that mechanisms which accept clusters' own tokens have a cluster that can judge them, and the reverse.
func (c *checker) clusterTokens(p *field.Path, written *Authentication, checked *Checked) {
	accounts, access := false, false
	for i := range checked.Clusters {
		accounts = accounts || checked.Clusters[i].ServiceAccounts != nil
		access = access || checked.Clusters[i].Access != nil
	}
	for name, on := range map[string]bool{"serviceAccountSecret": written.ServiceAccountSecret != nil, "tokenRequest": written.TokenRequest != nil} {
		if on && !accounts {
			c.required(p.Child(name), "no cluster has serviceAccounts, so that no such token could be recognised; write clusters[].serviceAccounts")
		}
	}
	if accounts && written.ServiceAccountSecret == nil && written.TokenRequest == nil {
		c.warn(field.NewPath("clusters"), "serviceAccounts has no effect: neither authentication.serviceAccountSecret nor authentication.tokenRequest is there")
	}
	if written.BootstrapToken != nil && written.BootstrapToken.FromCluster && !access {
		c.required(p.Child("bootstrapToken", "fromCluster"), "no cluster has an account of the gate's that could watch its Secrets; write clusters[].access")
	}
}

// settings returns a part of the written configuration as bytes for a digest.
func (c *checker) settings(p *field.Path, part any) []byte {
	data, err := json.Marshal(part)
	if err != nil { // without bytes to compare, a change of this part could go unnoticed
		c.errs = append(c.errs, field.InternalError(p, err))
	}
	return data
}

// label checks a name that appears in paths, logs and metrics.
func (c *checker) label(p *field.Path, name string) {
	if name == "" {
		c.required(p, `a short name for paths, logs and metrics, for example "prod"`)
		return
	}
	for _, problem := range validation.IsDNS1123Label(name) {
		c.invalid(p, name, "%s", problem)
	}
}

// server parses the URL of an API server. The value is not repeated where it may hold a password.
func (c *checker) server(p *field.Path, written string) *url.URL {
	if written == "" {
		c.required(p, "the API server's URL, for example https://10.0.0.1:6443")
		return nil
	}
	server, err := url.Parse(written)
	if err != nil {
		c.invalid(p, field.OmitValueType{}, "is not a URL; write one like https://10.0.0.1:6443")
		return nil
	}
	if server.User != nil {
		c.invalid(p, server.Redacted(), "must not hold a user name or password; the gate's credential belongs in identity")
		return nil
	}
	good := true
	refuse := func(detail string) {
		c.invalid(p, written, "%s", detail)
		good = false
	}
	if server.Scheme != "https" {
		refuse("must start with https://; the gate hands identities to the API server and must know that it is the right one")
	}
	if !isHost(server.Hostname()) {
		refuse("must have an IP address or a DNS name as its host")
	}
	if port := server.Port(); port != "" {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			refuse("the port must be a number from 1 to 65535")
		}
	}
	if server.Path != "" && server.Path != "/" {
		refuse("must not have a path; requests keep their own")
	}
	if server.RawQuery != "" || server.ForceQuery || server.Fragment != "" || server.Opaque != "" {
		refuse("must be only https://host:port, without query or fragment")
	}
	if !good {
		return nil
	}
	return &url.URL{Scheme: server.Scheme, Host: server.Host}
}

func (c *checker) identity(p *field.Path, written UpstreamIdentity, users *CheckedClientCertificate, checked *CheckedCluster) {
	switch {
	case written.RequestHeader == nil && written.Impersonation == nil:
		c.required(p, "write requestHeader or impersonation; without one the API server would not know who the caller is")
	case written.RequestHeader != nil && written.Impersonation != nil:
		c.forbidden(p, "requestHeader and impersonation exclude each other; remove one")
	}
	if written.RequestHeader != nil {
		at := p.Child("requestHeader")
		checked.RequestHeader = c.frontProxy(at, written.RequestHeader.KeyPair, users)
		checked.StripHeaders = c.headerNames(at.Child("stripHeaders"), written.RequestHeader.StripHeaders)
		checked.StripHeaderPrefixes = c.headerNames(at.Child("stripHeaderPrefixes"), written.RequestHeader.StripHeaderPrefixes)
	}
	if written.Impersonation != nil {
		if access := c.access(p.Child("impersonation", "kubeconfig"), written.Impersonation.Kubeconfig); access != nil {
			checked.Impersonation = &CheckedImpersonation{CheckedAccess: *access, LegacyOnly: written.Impersonation.LegacyOnly}
		}
	}
}

// headerNames checks names, or beginnings of names, of headers.
func (c *checker) headerNames(p *field.Path, names []string) []string {
	for i, name := range names {
		if problems := validation.IsHTTPHeaderName(name); len(problems) > 0 {
			c.invalid(p.Index(i), name, "%s", strings.Join(problems, "; "))
		}
	}
	return names
}

// clientPair is a pair by which another server knows the gate (RH-2). Unlike the gate's server certificate it must be valid:
// no request that goes out under it could succeed.
func (c *checker) clientPair(p *field.Path, written KeyPair, server string) *Pair {
	pair := c.pair(p, written)
	if pair == nil {
		return nil
	}
	at, leaf := p.Child("certFile"), pair.Certificate.Leaf
	if !allowsUsage(leaf, x509.ExtKeyUsageClientAuth) {
		c.invalid(at, written.CertFile, "the certificate is not for clients (extended key usage clientAuth), so %s would refuse it; issue one that is", server)
	}
	if problem := outsideValidity(leaf, c.now); problem != "" {
		c.invalid(at, written.CertFile, "the certificate %s, so %s would refuse it; renew it", problem, server)
	}
	return pair
}

// frontProxy is the pair by which an API server knows the gate as an authenticating proxy.
func (c *checker) frontProxy(p *field.Path, written KeyPair, users *CheckedClientCertificate) *Pair {
	pair := c.clientPair(p, written, "the API server")
	if pair == nil {
		return nil
	}
	at, leaf := p.Child("certFile"), pair.Certificate.Leaf
	if slices.Contains(leaf.Subject.Organization, groupMasters) {
		c.invalid(at, written.CertFile, "the certificate is in group %s: whoever gets hold of it owns the cluster even without the gate; issue one without", groupMasters)
	}
	if users != nil && signedBy(pair, &users.Authorities) {
		c.invalid(at, written.CertFile, "the certificate was signed by a CA of authentication.clientCertificate.caFiles: then any user's certificate may pass for the gate's; use a CA of its own for the front proxy (kube-apiserver's --requestheader-client-ca-file)")
	}
	return pair
}

// signedBy reports whether the pair's certificate chains to the bundle, at whatever time and for whatever use.
func signedBy(pair *Pair, authorities *Bundle) bool {
	leaf, intermediates := pair.Certificate.Leaf, x509.NewCertPool()
	for _, der := range pair.Certificate.Certificate[1:] {
		if certificate, err := x509.ParseCertificate(der); err == nil {
			intermediates.AddCert(certificate)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: authorities.Pool(), Intermediates: intermediates,
		CurrentTime: leaf.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}

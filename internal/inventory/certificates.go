package inventory

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/power"
)

// certificateID is how Kubernetes and the gate call a certificate (X509-9).
func certificateID(fingerprint string) string { return "X509SHA256=" + fingerprint }

// clientCertificate is a certificate as a line.
func clientCertificate(c *facts.Certificate) Credential {
	return Credential{
		ID: certificateID(c.Fingerprint), Kind: KindCredential, Mechanism: string(identity.ClientCertificate), Issuer: c.Issuer, caName: c.Issuer,
		Username: c.CommonName, Groups: c.Organizations, Issued: c.NotBefore, Expires: c.NotAfter, Confidence: Listed,
	}
}

// certificates lists those of the CSR API, of files, and of the record of issues.
func (b *builder) certificates() {
	for i := range b.facts.CertificateRequests {
		request := &b.facts.CertificateRequests[i]
		if request.Certificate == nil || !request.Certificate.ClientAuth {
			continue
		}
		c := clientCertificate(request.Certificate)
		c.IssuedBy, c.ApprovedBy, c.recorded = request.Username, request.Approver, true
		c.Stored = []string{"CertificateSigningRequest " + request.Name}
		b.add(c, string(facts.SourceCertificates))
	}
	for i := range b.facts.Kubeconfigs {
		file := &b.facts.Kubeconfigs[i]
		for j := range file.Users {
			user := &file.Users[j]
			if user.Certificate == nil {
				continue
			}
			c := clientCertificate(user.Certificate)
			c.Stored, c.recorded = []string{file.File.Path}, true
			b.add(c, string(facts.SourceKubeconfigs))
		}
	}
	for i := range b.facts.CertificateFiles {
		file := &b.facts.CertificateFiles[i]
		for j := range file.Certificates {
			if b.isFrontProxy(&file.Certificates[j]) {
				b.frontProxy(&file.Certificates[j], file.Path)
				continue
			}
			c := clientCertificate(&file.Certificates[j])
			c.Stored, c.recorded = []string{file.Path}, true
			b.add(c, string(facts.SourceCertificateFiles))
		}
	}
	for i := range b.facts.APIServers {
		if certificate := b.facts.APIServers[i].FrontProxy; certificate != nil {
			path := b.facts.APIServers[i].Flags.Text("proxy-client-cert-file", "")
			b.frontProxy(certificate, path)
		}
	}
}

// frontProxy lists a certificate that may say who others are.
func (b *builder) frontProxy(certificate *facts.Certificate, path string) {
	c := clientCertificate(certificate)
	c.Mechanism, c.recorded = string(identity.ProxyHeader), true
	c.Stored = []string{path}
	c.Power = power.Power{Level: power.Masters, AllNamespaces: true, Reasons: []power.Reason{{What: "say in headers that it is any user in any group"}}}
	b.add(c, string(facts.SourceCertificateFiles))
}

// isFrontProxy reports whether the request-header CA signed a certificate, and not the clients' CA of the same name.
func (b *builder) isFrontProxy(c *facts.Certificate) bool {
	signs := func(all []facts.Certificate) bool {
		for i := range all {
			if all[i].CommonName != "" && strings.Contains(c.Issuer, "CN="+all[i].CommonName) {
				return true
			}
		}
		return false
	}
	var headers, clients []facts.Certificate
	if extension := b.facts.Extension; extension != nil {
		headers, clients = extension.RequestHeaderCAs, extension.ClientCAs
	}
	for i := range b.facts.APIServers {
		headers = append(slices.Clip(headers), b.facts.APIServers[i].RequestHeaderCAs...)
		clients = append(slices.Clip(clients), b.facts.APIServers[i].ClientCAs...)
	}
	return signs(headers) && !signs(clients)
}

// keys lists private keys with which credentials can be made.
func (b *builder) keys() {
	for i := range b.facts.Keys {
		key := &b.facts.Keys[i]
		if key.State != facts.Read || key.Use == "front proxy" || key.Use == "etcd CA" {
			continue
		}
		mechanism, what := identity.ClientCertificate, "make a certificate for any user in any group"
		switch key.Use {
		case "request-header CA":
			mechanism, what = identity.ProxyHeader, "make a proxy's certificate, and say in headers that it is any user in any group"
		case "service account tokens":
			mechanism, what = identity.TokenRequest, "make a token for any ServiceAccount"
		}
		b.add(Credential{
			ID: "KEY=" + key.KeyDigest, Kind: KindKey, Mechanism: string(mechanism), Issuer: "file", Username: "(anybody)", Owner: "holder of the key of " + key.Use,
			OwnerBy: "what the key is for", Power: power.Power{Level: power.Masters, AllNamespaces: true, Reasons: []power.Reason{{What: what}}},
			Issued: key.Changed, Endless: true, Stored: []string{key.Path}, Confidence: Listed, recorded: true,
		}, string(facts.SourceKeys))
	}
}

package config

import (
	"bytes"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ProxyHeader accepts identities that an authenticating proxy names in headers, under a client certificate of its own.
type ProxyHeader struct {
	// PEM bundles of the CAs that sign the certificates of authenticating proxies, and nobody else's: kube-apiserver's
	// --requestheader-client-ca-file.
	CAFiles []string `json:"caFiles" jsonschema:"minItems=1"`
	// Common names of certificates that are believed (RH-3). At least one (G-31), but in profile kubernetes, where none
	// means any.
	AllowedNames []string `json:"allowedNames,omitempty"`
	// Headers that name the user, in the order in which they are read (RH-5). Default X-Remote-User.
	UsernameHeaders []string `json:"usernameHeaders,omitempty"`
	// Headers that name the uid (RH-6). Default X-Remote-Uid, which must be among them.
	UIDHeaders []string `json:"uidHeaders,omitempty"`
	// Headers that name groups, one each (RH-7). Default X-Remote-Group.
	GroupHeaders []string `json:"groupHeaders,omitempty"`
	// Beginnings of headers that name extras (RH-8). Default X-Remote-Extra-.
	ExtraHeaderPrefixes []string `json:"extraHeaderPrefixes,omitempty"`
	MechanismPolicy     `json:",inline"`
}

// The headers of an authenticating proxy, where the configuration names no others. All of them are taken off every
// request in any case.
const (
	defaultUsernameHeader    = "X-Remote-User"
	defaultUIDHeader         = "X-Remote-Uid"
	defaultGroupHeader       = "X-Remote-Group"
	defaultExtraHeaderPrefix = "X-Remote-Extra-"
)

// setDefaults fills in the headers that were left out.
func (p *ProxyHeader) setDefaults() {
	for list, fallback := range map[*[]string]string{
		&p.UsernameHeaders: defaultUsernameHeader, &p.UIDHeaders: defaultUIDHeader,
		&p.GroupHeaders: defaultGroupHeader, &p.ExtraHeaderPrefixes: defaultExtraHeaderPrefix,
	} {
		if len(*list) == 0 {
			*list = []string{fallback}
		}
	}
}

// CheckedProxyHeader is the authenticating-proxy mechanism.
type CheckedProxyHeader struct {
	// Authorities share no key with those of client certificates.
	Authorities Bundle
	// AllowedNames is empty in profile kubernetes only, and means any name then.
	AllowedNames []string
	// The headers; none of the lists is empty.
	UsernameHeaders, UIDHeaders, GroupHeaders, ExtraHeaderPrefixes []string
	CheckedPolicy
}

func (c *checker) proxyHeader(p *field.Path, written *ProxyHeader, users *CheckedClientCertificate) *CheckedProxyHeader {
	at := p.Child("caFiles")
	if len(written.CAFiles) == 0 {
		c.required(at, "name at least one bundle of the CAs that sign authenticating proxies' certificates")
		return nil
	}
	c.names(at, written.CAFiles, "a file")
	full := *written
	full.setDefaults()
	checked := &CheckedProxyHeader{
		AllowedNames:        written.AllowedNames,
		UsernameHeaders:     c.headerNames(p.Child("usernameHeaders"), full.UsernameHeaders),
		UIDHeaders:          c.headerNames(p.Child("uidHeaders"), full.UIDHeaders),
		GroupHeaders:        c.headerNames(p.Child("groupHeaders"), full.GroupHeaders),
		ExtraHeaderPrefixes: c.headerNames(p.Child("extraHeaderPrefixes"), full.ExtraHeaderPrefixes),
		CheckedPolicy:       c.policy(p, written.MechanismPolicy),
	}
	if !slices.Contains(full.UIDHeaders, defaultUIDHeader) { // RH-13
		c.invalid(p.Child("uidHeaders"), written.UIDHeaders, "must hold %s, as kube-apiserver demands: aggregated API servers know no other", defaultUIDHeader)
	}
	names := p.Child("allowedNames")
	c.names(names, written.AllowedNames, "a common name")
	if len(written.AllowedNames) == 0 && !checked.Kubernetes {
		c.required(names, "name the common names of the proxies' certificates: without them, every certificate of these CAs could be anybody (G-31)")
	}
	authorities := c.bundle(written.CAFiles, at.Index)
	if authorities == nil {
		return nil
	}
	checked.Authorities = *authorities
	if users != nil && related(authorities, &users.Authorities) {
		c.invalid(at, written.CAFiles, "is, signed or was signed by a CA of authentication.clientCertificate.caFiles: then a user's certificate could be a proxy's, and its bearer anybody; use a CA of its own for proxies")
	}
	return checked
}

// shareKey reports whether the two bundles have a public key in common, under whatever names.
func shareKey(a, b *Bundle) bool {
	for _, one := range a.Certificates {
		for _, other := range b.Certificates {
			if bytes.Equal(one.RawSubjectPublicKeyInfo, other.RawSubjectPublicKeyInfo) {
				return true
			}
		}
	}
	return false
}

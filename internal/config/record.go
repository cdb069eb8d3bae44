package config

import (
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// accessLog is checked last: it must not be a file that the gate reads.
func (c *checker) accessLog(p *field.Path, written AccessLog) CheckedAccessLog {
	if written.File == "" {
		return CheckedAccessLog{}
	}
	at, path := p.Child("file"), c.absolute(written.File)
	if slices.Contains(c.files, path) {
		c.invalid(at, written.File, "%s is a file that this configuration reads; appending to it would destroy it", path)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		c.invalid(at, written.File, "the folder %s does not exist; create it", filepath.Dir(path))
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		c.invalid(at, written.File, "%s is a folder; name a file", path)
	}
	return CheckedAccessLog{File: path}
}

func (c *checker) tracing(p *field.Path, written *Tracing) *CheckedTracing {
	if written == nil {
		return nil
	}
	if rate := written.SamplingPerMillion; rate < 0 || rate > maxSamplingPerMillion {
		c.invalid(p.Child("samplingPerMillion"), rate, "must be between 0 and %d", maxSamplingPerMillion)
	}
	checked := &CheckedTracing{SamplingPerMillion: written.SamplingPerMillion}
	parts := [][]byte{c.settings(p, written)}
	at := p.Child("certificateAuthorityFile")
	if written.CertificateAuthorityFile != "" {
		checked.Authorities = c.bundle([]string{written.CertificateAuthorityFile}, func(int) *field.Path { return at })
		if checked.Authorities != nil {
			parts = append(parts, checked.Authorities.Digest[:])
		}
	}
	checked.Endpoint = c.collector(p.Child("endpoint"), written.Endpoint)
	if checked.Endpoint != nil && checked.Endpoint.Scheme == "http" && written.CertificateAuthorityFile != "" {
		c.invalid(at, written.CertificateAuthorityFile, "has no effect on an http endpoint; write https, or remove it")
	}
	checked.Digest = digestOf(parts...)
	return checked
}

// collector parses the URL of a trace collector. Traces name users and paths, so plain http off the host is warned of.
func (c *checker) collector(p *field.Path, written string) *url.URL {
	if written == "" {
		c.required(p, "the collector's URL, for example https://collector:4318")
		return nil
	}
	endpoint, err := url.Parse(written)
	switch {
	case err != nil || endpoint.Opaque != "":
		c.invalid(p, field.OmitValueType{}, "is not a URL; write one like https://collector:4318")
	case endpoint.User != nil:
		c.invalid(p, endpoint.Redacted(), "must not hold a user name or password")
	case endpoint.Scheme != "https" && endpoint.Scheme != "http":
		c.invalid(p, written, "must start with https:// (or http:// for a collector on the same host)")
	case !isHost(endpoint.Hostname()):
		c.invalid(p, written, "must have an IP address or a DNS name as its host")
	case endpoint.RawQuery != "" || endpoint.ForceQuery || endpoint.Fragment != "":
		c.invalid(p, written, "must have no query or fragment")
	default:
		if endpoint.Scheme == "http" && !isLoopback(endpoint.Hostname()) {
			c.warn(p, "traces go over the network in clear text; use https")
		}
		return endpoint
	}
	return nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && address.IsLoopback())
}

package signin

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Address is where a gate is, and how it proves that it is the gate. Two addresses that are equal are one gate.
type Address struct {
	// URL is the gate's, without a path: https://host or https://host:port, in the spelling of ParseURL.
	URL string `json:"url"`
	// Authorities are the PEM of the CAs that vouch for the gate; empty means those of the system.
	Authorities string `json:"authorities,omitempty"`
	// ServerName is the name to verify instead of the URL's host; empty means the host.
	ServerName string `json:"serverName,omitempty"`
}

// ParseURL brings a gate's URL into the one spelling that is compared: lower case, without the port 443, and without the
// path of a cluster behind the gate.
func ParseURL(text string) (string, error) {
	parsed, err := url.Parse(text)
	switch {
	case err != nil:
		return "", fmt.Errorf("the gate's address is no URL: %w", err)
	case parsed.Scheme != "https":
		return "", fmt.Errorf("the gate's address is %q, which is not https: a credential sent there could be read on the way", text)
	case parsed.Hostname() == "" || strings.Contains(parsed.Hostname(), "%"):
		return "", fmt.Errorf("the gate's address %q names no host that others would find", text)
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		return "", errors.New("the gate's address has a user name, a query or a fragment; give https://host:port")
	}
	host := strings.TrimSuffix(strings.ToLower(parsed.Host), ":443")
	return "https://" + strings.TrimSuffix(host, ":"), nil
}

// pool returns the CAs that vouch for the gate; nil means those of the system.
func (a Address) pool() (*x509.CertPool, error) {
	if a.Authorities == "" {
		return nil, nil //nolint:nilnil // the system's CAs
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(a.Authorities)) {
		return nil, errors.New("the CAs that vouch for the gate hold no certificate in PEM")
	}
	return pool, nil
}

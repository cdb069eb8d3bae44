package proxyheader

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/certchain"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/memo"
)

// rejectionHolds is how long a rejected certificate is not verified again on its connection: as for client certificates,
// a client that repeats a bad one costs no signature check a request.
const rejectionHolds = time.Second

// ErrName rejects a certificate whose common name is not one of an authenticating proxy's (RH-3).
var ErrName = errors.New("the certificate's common name is not that of an allowed proxy")

// Config is what a Mechanism is made of.
type Config struct {
	// Roots are the CAs that sign certificates of authenticating proxies, and of nobody else. Nil: nobody is believed.
	Roots *x509.CertPool
	// AllowedNames are the common names that are believed (RH-3). Empty means none, unless AnyName is set.
	AllowedNames []string
	// AnyName believes every certificate of Roots, as kube-apiserver does when its list is empty (G-31).
	AnyName bool
	// UsernameHeaders, UIDHeaders and GroupHeaders are the names of headers, ExtraHeaderPrefixes the beginnings of
	// names, in the order in which they are read (RH-5 to RH-8). Case does not matter.
	UsernameHeaders, UIDHeaders, GroupHeaders, ExtraHeaderPrefixes []string
}

// Mechanism believes authenticating proxies. It is immutable and safe for concurrent use.
type Mechanism struct {
	config      Config
	credentials *memo.Memo[assertionKey, *authn.Credential]
}

// assertionKey stands for one proxy's assertion of one identity.
type assertionKey [sha256.Size]byte

// New returns a mechanism for config.
func New(config Config) *Mechanism {
	return &Mechanism{config: config, credentials: memo.New[assertionKey, *authn.Credential]()}
}

// verdict is what is remembered of a connection's certificate.
type verdict struct {
	by          *Mechanism
	proxy       string             // the common name, where err is nil
	certificate *authn.Certificate // the same
	err         error
	from, until time.Time
}

// Authenticate answers for the headers that came with the request. A client certificate that is no proxy's is rejected
// even where there are no headers (RH-2, CHAIN-5); the mechanisms after this one are asked all the same.
func (m *Mechanism) Authenticate(_ context.Context, r *authn.Request) authn.Answer {
	if len(r.Certificates) == 0 || r.Relayed || m.config.Roots == nil {
		// RH-1. A balancer that passes certificates on is not believed to pass headers on unchanged.
		return authn.None()
	}
	proxy := m.proxy(r)
	if proxy.err != nil {
		return authn.Reject(proxy.err)
	}
	username := first(r.Asserted, m.config.UsernameHeaders)
	if username == "" {
		return authn.None() // RH-5
	}
	id := identity.Identity{
		Username: username,
		UID:      first(r.Asserted, m.config.UIDHeaders),
		Groups:   groups(r.Asserted, m.config.GroupHeaders),
		Extra:    extra(r.Asserted, m.config.ExtraHeaderPrefixes),
	}
	key := keyOf(proxy.certificate.ID, &id)
	if known, ok := m.credentials.Get(key); ok {
		return authn.Accept(known)
	}
	credential := &authn.Credential{
		// An assertion has no id of its own: who asserted whom is what can be shut out.
		ID:        identity.CredentialID{Issuer: "CN=" + proxy.proxy, Value: "PROXYHEADER=" + username},
		Mechanism: identity.ProxyHeader,
		Identity:  id,
		// The proxy's, which vouched.
		Certificate: proxy.certificate,
	}
	m.credentials.Put(key, credential)
	return authn.Accept(credential)
}

// proxy judges the connection's certificate, once a connection.
func (m *Mechanism) proxy(r *authn.Request) *verdict {
	if v, ok := r.Conn.Verdict(authn.ProxySlot).(*verdict); ok && v.by == m && !r.Now.Before(v.from) && !r.Now.After(v.until) {
		return v
	}
	v := m.verify(r.Certificates, r.Now)
	r.Conn.SetVerdict(authn.ProxySlot, v)
	return v
}

func (m *Mechanism) verify(presented []*x509.Certificate, now time.Time) *verdict {
	verified, err := certchain.Verify(presented, m.config.Roots, now)
	name := presented[0].Subject.CommonName
	if err == nil && !m.config.AnyName && !slices.Contains(m.config.AllowedNames, name) {
		err = fmt.Errorf("%w: %q", ErrName, name)
	}
	if err != nil {
		return &verdict{by: m, err: err, from: now, until: now.Add(rejectionHolds)}
	}
	return &verdict{by: m, proxy: name, certificate: verified.Certificate(), from: verified.From, until: verified.Until}
}

// first is the first value of the first header whose first value is not empty (RH-5, RH-6).
func first(h http.Header, names []string) string {
	for _, name := range names {
		if value := h.Get(name); value != "" {
			return value
		}
	}
	return ""
}

// groups are all values but empty ones (RH-7). Commas do not separate: a group's name may hold one.
func groups(h http.Header, names []string) []string {
	all := []string{} // RH-10: a list even when there is none
	for _, name := range names {
		for _, value := range h.Values(name) {
			if value != "" {
				all = append(all, value)
			}
		}
	}
	return all
}

// extra reads the extras (RH-8, RH-9). Names that decode to one key are taken in their order, which Kubernetes leaves
// open.
func extra(h http.Header, prefixes []string) map[string][]string {
	var all map[string][]string
	for _, prefix := range prefixes {
		for _, name := range slices.Sorted(maps.Keys(h)) {
			if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
				continue
			}
			key := strings.ToLower(name[len(prefix):])
			if decoded, err := url.PathUnescape(key); err == nil {
				key = decoded
			}
			if all == nil {
				all = make(map[string][]string)
			}
			all[key] = append(all[key], h[name]...)
		}
	}
	return all
}

// keyBytes is the length of assertions that are digested without an allocation.
const keyBytes = 1024

// keyOf digests an assertion by the proxy with the certificate of that id: each list after its length and each part after
// its own, so that no two give the same input.
func keyOf(proxy string, id *identity.Identity) assertionKey {
	var stack [keyBytes]byte
	input := appendParts(stack[:0], proxy, id.Username, id.UID)
	input = appendParts(input, id.Groups...)
	if len(id.Extra) > 0 {
		for _, name := range slices.Sorted(maps.Keys(id.Extra)) {
			input = appendParts(appendParts(input, name), id.Extra[name]...)
		}
	}
	return sha256.Sum256(input)
}

// appendParts adds a list.
func appendParts(input []byte, parts ...string) []byte {
	input = binary.BigEndian.AppendUint64(input, uint64(len(parts)))
	for _, part := range parts {
		input = append(binary.BigEndian.AppendUint64(input, uint64(len(part))), part...)
	}
	return input
}

var _ authn.Mechanism = (*Mechanism)(nil)

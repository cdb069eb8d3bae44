package balancer_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/balancer"
	"github.com/ostiary/ostiary/internal/testca"
)

var (
	near = netip.MustParsePrefix("10.0.0.0/24")
	far  = netip.MustParseAddr("203.0.113.9")
	hop  = netip.MustParseAddr("10.0.0.1")
)

func settle(t *testing.T, config balancer.Config, direct netip.Addr, header http.Header, shown ...*x509.Certificate) (balancer.Peer, error) {
	t.Helper()
	r := &http.Request{Header: header}
	if len(shown) > 0 {
		r.TLS = &tls.ConnectionState{PeerCertificates: shown}
	}
	peer, err := balancer.New(config).Settle(r, direct, time.Now())
	if len(header) > 0 {
		t.Errorf("%v goes on", header)
	}
	return peer, err
}

// TestAddresses is attack 18: only named balancers are believed, counting from the right.
func TestAddresses(t *testing.T) {
	t.Parallel()
	forwarded := func(lines ...string) http.Header { return http.Header{"Forwarded": lines} }
	legacy := func(lines ...string) http.Header { return http.Header{"X-Forwarded-For": lines} }
	for _, tt := range []struct {
		name   string
		kind   string
		direct netip.Addr
		header http.Header
		want   string // empty: refused
	}{
		{"nobody told", balancer.XForwardedFor, hop, http.Header{}, "10.0.0.1"},
		{"stranger", balancer.XForwardedFor, far, legacy("1.2.3.4"), "203.0.113.9"},
		{"balancer", balancer.XForwardedFor, hop, legacy("1.2.3.4"), "1.2.3.4"},
		{"client's own word before it", balancer.XForwardedFor, hop, legacy("9.9.9.9, 1.2.3.4"), "1.2.3.4"},
		{"client's own word in a line of its own", balancer.XForwardedFor, hop, legacy("9.9.9.9", "1.2.3.4"), "1.2.3.4"},
		{"two balancers", balancer.XForwardedFor, hop, legacy("9.9.9.9, 1.2.3.4, 10.0.0.2"), "1.2.3.4"},
		{"balancers only", balancer.XForwardedFor, hop, legacy("10.0.0.3, 10.0.0.2"), "10.0.0.3"},
		{"with a port", balancer.XForwardedFor, hop, legacy("1.2.3.4:567"), "1.2.3.4"},
		{"IPv6 with a port", balancer.XForwardedFor, hop, legacy("[2001:db8::1]:567"), "2001:db8::1"},
		{"IPv4 in IPv6", balancer.XForwardedFor, hop, legacy("::ffff:1.2.3.4"), "1.2.3.4"},
		{"the other header", balancer.XForwardedFor, hop, forwarded("for=1.2.3.4"), "10.0.0.1"},
		{"no address", balancer.XForwardedFor, hop, legacy("unknown"), ""},
		{"empty", balancer.XForwardedFor, hop, legacy(""), ""},
		{"trailing comma", balancer.XForwardedFor, hop, legacy("1.2.3.4,"), ""},
		{"Forwarded", balancer.Forwarded, hop, forwarded("for=9.9.9.9, for=1.2.3.4;proto=https;by=10.0.0.1"), "1.2.3.4"},
		{"Forwarded IPv6", balancer.Forwarded, hop, forwarded(`For="[2001:db8::1]:4711"`), "2001:db8::1"},
		{"Forwarded quoted comma", balancer.Forwarded, hop, forwarded(`host="a,for=9.9.9.9";for=1.2.3.4`), "1.2.3.4"},
		{"Forwarded twice in one element", balancer.Forwarded, hop, forwarded("for=1.2.3.4;for=9.9.9.9"), ""},
		{"Forwarded without for", balancer.Forwarded, hop, forwarded("proto=https"), ""},
		{"Forwarded obfuscated", balancer.Forwarded, hop, forwarded("for=_hidden"), ""},
		{"Forwarded open quote", balancer.Forwarded, hop, forwarded(`for="1.2.3.4`), ""},
		{"Forwarded escape", balancer.Forwarded, hop, forwarded(`for="1.2.3\.4"`), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			peer, err := settle(t, balancer.Config{AddressesFrom: []netip.Prefix{near}, ForwardedHeader: tt.kind}, tt.direct, tt.header.Clone())
			if (err != nil) != (tt.want == "") || err == nil && peer.Source.String() != tt.want {
				t.Errorf("%s %v, want %q", peer.Source, err, tt.want)
			}
			if twin, err := settle(t, balancer.Config{}, tt.direct, tt.header.Clone()); err != nil || twin.Source != tt.direct {
				t.Errorf("nobody is named, yet %s %v", twin.Source, err)
			}
		})
	}
}

func binary(certificates ...*x509.Certificate) string {
	text := ""
	for i, certificate := range certificates {
		if i > 0 {
			text += ", "
		}
		text += ":" + base64.StdEncoding.EncodeToString(certificate.Raw) + ":"
	}
	return text
}

// TestCertificatesG10: a client's certificate comes from a named balancer alone, known by its own certificate.
func TestCertificatesG10(t *testing.T) {
	t.Parallel()
	balancers, users, others := testca.New(t, "balancers"), testca.New(t, "users"), testca.New(t, "others")
	middle := users.Intermediate(t, "middle")
	jane := middle.Issue(t, testca.Subject("jane")).Leaf
	good := balancers.Issue(t, testca.Subject("edge")).Leaf
	config := balancer.Config{CertificatesFrom: []netip.Prefix{near}, Roots: balancers.Pool(), Names: []string{"edge"}}
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	for _, tt := range []struct {
		name    string
		direct  netip.Addr
		shown   *x509.Certificate
		header  http.Header
		relayed bool
		leaf    string
		chain   int
		refused bool
	}{
		{name: "leaf", direct: hop, shown: good, header: header("Client-Cert", binary(jane)), relayed: true, leaf: "jane", chain: 1},
		{name: "leaf and chain", direct: hop, shown: good, header: header("Client-Cert", binary(jane), "Client-Cert-Chain", binary(middle.Certificate)), relayed: true, leaf: "jane", chain: 2},
		{name: "client without a certificate", direct: hop, shown: good, header: header(), relayed: true},
		{name: "another address", direct: far, shown: good, header: header("Client-Cert", binary(jane)), leaf: "edge", chain: 1},
		{name: "another name", direct: hop, shown: balancers.Issue(t, testca.Subject("other")).Leaf, header: header("Client-Cert", binary(jane)), leaf: "other", chain: 1},
		{name: "another CA", direct: hop, shown: others.Issue(t, testca.Subject("edge")).Leaf, header: header("Client-Cert", binary(jane)), leaf: "edge", chain: 1},
		{name: "for servers only", direct: hop, shown: balancers.Issue(t, testca.Subject("edge"), testca.Usage(x509.ExtKeyUsageServerAuth)).Leaf, header: header("Client-Cert", binary(jane)), leaf: "edge", chain: 1},
		{name: "no certificate", direct: hop, header: header("Client-Cert", binary(jane))},
		{name: "twice", direct: hop, shown: good, header: header("Client-Cert", binary(jane), "Client-Cert", binary(jane)), refused: true},
		{name: "chain without a leaf", direct: hop, shown: good, header: header("Client-Cert-Chain", binary(middle.Certificate)), refused: true},
		{name: "no structured field", direct: hop, shown: good, header: header("Client-Cert", "MIIB"), refused: true},
		{name: "no certificate in it", direct: hop, shown: good, header: header("Client-Cert", ":AAAA:"), refused: true},
		{name: "list where one item belongs", direct: hop, shown: good, header: header("Client-Cert", binary(jane, jane)), refused: true},
		{name: "text in the chain", direct: hop, shown: good, header: header("Client-Cert", binary(jane), "Client-Cert-Chain", `"x"`), refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var shown []*x509.Certificate
			if tt.shown != nil {
				shown = append(shown, tt.shown)
			}
			peer, err := settle(t, config, tt.direct, tt.header.Clone(), shown...)
			if (err != nil) != tt.refused {
				t.Fatalf("%v, want refused %v", err, tt.refused)
			}
			if err != nil {
				return
			}
			leaf := ""
			if len(peer.Certificates) > 0 {
				leaf = peer.Certificates[0].Subject.CommonName
			}
			if leaf != tt.leaf || len(peer.Certificates) != tt.chain || peer.Relayed != tt.relayed {
				t.Errorf("%q of %d, relayed %v; want %q of %d, %v", leaf, len(peer.Certificates), peer.Relayed, tt.leaf, tt.chain, tt.relayed)
			}
		})
	}
}

// FuzzHeaders: whatever a balancer sends, it is read or refused, and never goes on.
func FuzzHeaders(f *testing.F) {
	f.Add(`for=1.2.3.4;proto=https, for="[::1]:2"`, ":AAAA:", ":AAAA:, :AAAA:")
	f.Add("1.2.3.4, 5.6.7.8:9", "", "x")
	ca := testca.New(f, "balancers")
	good := ca.Issue(f, testca.Subject("edge")).Leaf
	f.Fuzz(func(t *testing.T, addresses, leaf, chain string) {
		for _, kind := range []string{balancer.Forwarded, balancer.XForwardedFor} {
			peer, err := settle(t, balancer.Config{
				AddressesFrom: []netip.Prefix{near}, ForwardedHeader: kind,
				CertificatesFrom: []netip.Prefix{near}, Roots: ca.Pool(), Names: []string{"edge"},
			}, hop, http.Header{kind: {addresses}, "Client-Cert": {leaf}, "Client-Cert-Chain": {chain}}, good)
			if err == nil && (!peer.Source.IsValid() || !peer.Relayed || len(peer.Certificates) == 0) {
				t.Fatalf("%+v", peer)
			}
		}
	})
}

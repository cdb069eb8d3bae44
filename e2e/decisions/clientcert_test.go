package decisions_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// credentialID is the extra that names a credential (X509-9, OIDC-17).
const credentialID = "authentication.kubernetes.io/credential-id"

// manyCertificates is more than Ostiary takes along with a leaf, and far fewer than TLS has room for.
const manyCertificates = 10

const differsManyCertificates = "More than ten certificates from a client are refused"

// clientAuthority signs the certificates that the reference, and so the gates, believe.
func clientAuthority() *pki.Authority { return shared.reference.Authorities.Client }

// issue makes a call that shows a certificate of the given authority.
func issue(t *testing.T, authority *pki.Authority, leaf pki.Leaf) call {
	t.Helper()
	pair, err := authority.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pair.TLS()
	return call{certificate: &certificate}
}

// alone is the call with its certificate sent without those above it.
func (c call) alone() call {
	certificate := *c.certificate
	certificate.Certificate = certificate.Certificate[:1]
	c.certificate = &certificate
	return c
}

// followedBy is the call with further certificates after its own.
func (c call) followedBy(der ...[]byte) call {
	certificate := *c.certificate
	certificate.Certificate = append(certificate.Certificate[:len(certificate.Certificate):len(certificate.Certificate)], der...)
	c.certificate = &certificate
	return c
}

// with is the call with further headers.
func (c call) with(headers ...string) call {
	c.headers = append(c.headers[:len(c.headers):len(c.headers)], headers...)
	return c
}

// newAuthority makes an authority that nobody believes.
func newAuthority(t *testing.T, name string) *pki.Authority {
	t.Helper()
	authority, err := pki.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// intermediate makes an authority below parent.
func intermediate(t *testing.T, parent *pki.Authority, name string) *pki.Authority {
	t.Helper()
	authority, err := parent.Intermediate(name)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// signed is a call with a certificate that is signed just as the template says, and followed by others.
func signed(t *testing.T, template *x509.Certificate, parent *pki.KeyPair, above ...[]byte) call {
	t.Helper()
	key, err := pki.NewKey(pki.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62)) //nolint:mnd // large enough to be new
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent.Certificate, key.Public(), parent.Key)
	if err != nil {
		t.Fatal(err)
	}
	return call{certificate: &tls.Certificate{Certificate: append([][]byte{der}, above...), PrivateKey: key}}
}

// attribute is a subject attribute.
func attribute(id asn1.ObjectIdentifier, value any) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: id, Value: value}
}

func usages(of ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = of }
}

func TestClientCertificate(t *testing.T) {
	ca := clientAuthority()
	root := &pki.KeyPair{Certificate: ca.Certificate(), Key: ca.Key()}
	commonName, ldapUID, unit := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, asn1.ObjectIdentifier{2, 5, 4, 11}
	leaf := func(change func(*x509.Certificate)) pki.Leaf {
		return pki.Leaf{CommonName: "jane", Organizations: []string{"dev"}, Change: change}
	}
	jane := as("jane", "dev", authenticated)
	good := issue(t, ca, leaf(nil))
	below := intermediate(t, ca, "intermediate")
	lower := intermediate(t, below, "lower intermediate")
	serverOnly, err := ca.Issue(leaf(func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, x509.KeyUsageCertSign, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}))
	if err != nil {
		t.Fatal(err)
	}
	self := newAuthority(t, "jane")
	stranger := newAuthority(t, "client-ca") // the right name, the wrong key
	fingerprint := sha256.Sum256(good.certificate.Certificate[0])
	var strangers [][]byte
	for range manyCertificates {
		strangers = append(strangers, newAuthority(t, "stranger").Certificate().Raw)
	}
	shared.open.run(t, []row{
		{
			name: "X509-1 an attribute that Go cannot read ends the handshake",
			call: signed(t, &x509.Certificate{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{attribute(commonName, 5)}}}, root),
			want: outcome{},
		},
		{name: "X509-2 no certificate", want: anonymous()},
		{name: "X509-3 good", call: good, want: jane},
		{name: "X509-3 intermediate sent along", call: issue(t, below, leaf(nil)), want: jane},
		{name: "X509-3 two intermediates sent along", call: issue(t, lower, leaf(nil)), want: jane},
		{name: "X509-3 strangers sent along", call: good.followedBy(stranger.Certificate().Raw, self.Certificate().Raw), want: jane},
		{
			name: "X509-3 strangers sent first", want: refused(),
			call: call{certificate: &tls.Certificate{Certificate: [][]byte{self.Certificate().Raw, good.certificate.Certificate[0]}, PrivateKey: self.Key()}},
		},
		{
			name: "X509-3 many strangers sent along", call: good.followedBy(strangers...), want: jane,
			difference: differsManyCertificates, ostiary: refused(),
		},
		{name: "X509-4 intermediate not sent", call: issue(t, below, leaf(nil)).alone(), want: refused()},
		{name: "X509-4 lower intermediate sent, higher not", call: issue(t, lower, leaf(nil)).alone().followedBy(lower.Certificate().Raw), want: refused()},
		{name: "X509-4 other authority of the same name", call: issue(t, stranger, leaf(nil)), want: refused()},
		{name: "X509-4 other authority, the right one sent along", call: issue(t, stranger, leaf(nil)).followedBy(ca.Certificate().Raw), want: refused()},
		{name: "X509-4 authority of the API servers", call: issue(t, shared.reference.Authorities.Serving, leaf(nil)), want: refused()},
		{name: "X509-4 authority of front proxies", call: issue(t, shared.backend.Authorities.RequestHeader, leaf(nil)), want: refused()},
		{name: "X509-4 client authority of the cluster behind", call: issue(t, shared.backend.Authorities.Client, leaf(nil)), want: refused()},
		{
			name: "X509-4 self-signed", want: refused(),
			call: call{certificate: &tls.Certificate{Certificate: [][]byte{self.Certificate().Raw}, PrivateKey: self.Key()}},
		},
		{
			name: "X509-4 expired a second ago", want: refused(),
			call: issue(t, ca, pki.Leaf{CommonName: "jane", NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Second)}),
		},
		{
			name: "X509-4 not yet valid", want: refused(),
			call: issue(t, ca, pki.Leaf{CommonName: "jane", NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour)}),
		},
		{
			name: "X509-4 ends before it starts", want: refused(),
			call: issue(t, ca, pki.Leaf{CommonName: "jane", NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(-time.Hour)}),
		},
		{name: "X509-5 no extended key usage", call: issue(t, ca, leaf(usages())), want: jane},
		{name: "X509-5 any extended key usage", call: issue(t, ca, leaf(usages(x509.ExtKeyUsageAny))), want: jane},
		{name: "X509-5 server and client", call: issue(t, ca, leaf(usages(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth))), want: jane},
		{name: "X509-5 server only", call: issue(t, ca, leaf(usages(x509.ExtKeyUsageServerAuth))), want: refused()},
		{name: "X509-5 code signing only", call: issue(t, ca, leaf(usages(x509.ExtKeyUsageCodeSigning))), want: refused()},
		{
			name: "X509-5 an intermediate for servers only", want: refused(),
			call: signed(t, &x509.Certificate{
				Subject: pkix.Name{CommonName: "jane"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			}, serverOnly, serverOnly.Certificate.Raw),
		},
		{
			name: "X509-5 signed by a leaf", want: refused(),
			call: func() call {
				pair, err := ca.Issue(leaf(nil))
				if err != nil {
					t.Fatal(err)
				}
				return signed(t, &x509.Certificate{Subject: pkix.Name{CommonName: "root"}}, pair, pair.Certificate.Raw)
			}(),
		},
		{
			name: "X509-5 the leaf is an authority", want: jane,
			call: issue(t, ca, leaf(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign })),
		},
		{name: "X509-5 no key usage", call: issue(t, ca, leaf(func(c *x509.Certificate) { c.KeyUsage = 0 })), want: jane},
		{
			name: "X509-5 an unknown critical extension", want: refused(),
			call: issue(t, ca, leaf(func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
			})),
		},
		{
			name: "X509-6 two common names, the last wins", want: as("last", authenticated),
			call: issue(t, ca, pki.Leaf{ExtraNames: []pkix.AttributeTypeAndValue{attribute(commonName, "first"), attribute(commonName, "last")}}),
		},
		{
			name: "X509-6 two common names, the last is empty", want: anonymous(),
			call: issue(t, ca, pki.Leaf{ExtraNames: []pkix.AttributeTypeAndValue{attribute(commonName, "first"), attribute(commonName, "")}}),
		},
		{name: "X509-6 beyond ASCII", call: issue(t, ca, pki.Client("Жук 🐞 ünïcode", "группа")), want: as("Жук 🐞 ünïcode", "группа", authenticated)},
		{name: "X509-6 blank inside", call: issue(t, ca, pki.Client("jane doe")), want: as("jane doe", authenticated)},
		{name: "X509-6 wide blank at the end", call: issue(t, ca, pki.Client("jane\u3000")), want: as("jane\u3000", authenticated)},
		{
			name: "X509-6 blank before the name", call: issue(t, ca, pki.Client(" jane")), want: as(" jane", authenticated),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{
			name: "X509-6 line break in the name", call: issue(t, ca, pki.Client("jane\r\nX-Remote-Group: system:masters")),
			want:       as("jane\r\nX-Remote-Group: system:masters", authenticated),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{
			name: "X509-6 NUL in the name", call: issue(t, ca, pki.Client("jane\x00")), want: as("jane\x00", authenticated),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{name: "X509-7 no common name", call: issue(t, ca, pki.Leaf{Organizations: []string{"dev"}}), want: anonymous()},
		{name: "X509-7 no common name and two UIDs", call: issue(t, ca, pki.Leaf{UIDs: []string{"a", "b"}}), want: anonymous()},
		{name: "X509-7 no common name, no usage for clients", call: issue(t, ca, pki.Leaf{Change: usages(x509.ExtKeyUsageServerAuth)}), want: refused()},
		{
			name: "X509-7 names for servers are no user names", want: anonymous(),
			call: issue(t, ca, pki.Leaf{DNSNames: []string{"jane"}, Change: func(c *x509.Certificate) { c.EmailAddresses = []string{"jane@example.com"} }}),
		},
		{name: "X509-8 no groups", call: issue(t, ca, pki.Client("jane")), want: as("jane", authenticated)},
		{name: "X509-8 groups of one set are sorted by their encoding", call: issue(t, ca, pki.Client("jane", "zz", "a", "mm")), want: as("jane", "a", "mm", "zz", authenticated)},
		{name: "X509-8 doubled group", call: issue(t, ca, pki.Client("jane", "dev", "dev")), want: as("jane", "dev", "dev", authenticated)},
		{
			name: "X509-8 empty group", call: issue(t, ca, pki.Client("jane", "", "dev")), want: as("jane", "", "dev", authenticated),
			difference: differsEmptyGroups, ostiary: as("jane", "dev", authenticated),
		},
		{
			name: "X509-8 blank after a group", call: issue(t, ca, pki.Client("jane", "system:masters ")), want: as("jane", "system:masters ", authenticated),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{
			name: "X509-8 units are no groups", want: as("jane", authenticated),
			call: issue(t, ca, pki.Leaf{CommonName: "jane", ExtraNames: []pkix.AttributeTypeAndValue{attribute(unit, "dev")}}),
		},
		{name: "X509-8 comma in a group", call: issue(t, ca, pki.Client("jane", "a,b")), want: as("jane", "a,b", authenticated)},
		{
			name: "X509-9 credential id", call: good,
			want: jane.withExtra(credentialID, "X509SHA256="+hex.EncodeToString(fingerprint[:])),
		},
		{name: "X509-10 one UID", call: issue(t, ca, pki.Leaf{CommonName: "jane", UIDs: []string{"u-1"}}), want: as("jane", authenticated).withUID("u-1")},
		{name: "X509-10 two UIDs", call: issue(t, ca, pki.Leaf{CommonName: "jane", UIDs: []string{"u-1", "u-2"}}), want: refused()},
		{name: "X509-10 one UID twice", call: issue(t, ca, pki.Leaf{CommonName: "jane", UIDs: []string{"u-1", "u-1"}}), want: refused()},
		{name: "X509-10 empty UID", call: issue(t, ca, pki.Leaf{CommonName: "jane", UIDs: []string{""}}), want: refused()},
		{
			name: "X509-10 the UID of LDAP is none", want: as("jane", authenticated),
			call: issue(t, ca, pki.Leaf{CommonName: "jane", ExtraNames: []pkix.AttributeTypeAndValue{attribute(ldapUID, "u-1")}}),
		},
		{
			name: "X509-10 blank before the UID", call: issue(t, ca, pki.Leaf{CommonName: "jane", UIDs: []string{" u"}}), want: as("jane", authenticated).withUID(" u"),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{
			name: "X509-11 system:anonymous", call: issue(t, ca, pki.Client("system:anonymous")), want: as("system:anonymous"),
			difference: differsAddedGroups, ostiary: outcome{Status: 403}, mode: modeImpersonation,
		},
		{
			name: "X509-11 system:anonymous among the unauthenticated", want: as("system:anonymous", unauthenticated),
			call: issue(t, ca, pki.Client("system:anonymous", unauthenticated)),
		},
		{name: "X509-11 system:masters", call: issue(t, ca, pki.Client("root", "system:masters")), want: as("root", "system:masters", authenticated)},
	})
}

func TestChain(t *testing.T) {
	ca, stranger := clientAuthority(), newAuthority(t, "stranger")
	good, bad, nameless := issue(t, ca, pki.Client("jane", "dev")), issue(t, stranger, pki.Client("jane")), issue(t, ca, pki.Leaf{})
	blank := issue(t, ca, pki.Client(" jane"))
	jane := as("jane", "dev", authenticated)
	token, wrong := "Authorization: Bearer "+tokenAlice, "Authorization: Bearer wrong"
	jwt := shared.issuers.mapped.token(t, nil).headers[0]
	expired := shared.issuers.mapped.token(t, with{"exp": 1}).headers[0]
	shared.open.run(t, []row{
		{name: "CHAIN-1 bad certificate, good token", call: bad.with(token), want: alice()},
		{name: "CHAIN-1 bad certificate, good JWT", call: bad.with(jwt), want: jane},
		{name: "CHAIN-1 nameless certificate, good token", call: nameless.with(token), want: alice()},
		{name: "CHAIN-2 bad certificate, bad token", call: bad.with(wrong), want: refused()},
		{name: "CHAIN-2 bad certificate, bad token, good subprotocol", call: bad.with(wrong).with(upgrade(protocols(tokenAlice))...), want: alice()},
		{name: "CHAIN-3 bad certificate alone", call: bad, want: refused()},
		{name: "CHAIN-3 bad token alone", call: call{headers: []string{wrong}}, want: refused()},
		{name: "CHAIN-3 expired JWT alone", call: call{headers: []string{expired}}, want: refused()},
		{name: "CHAIN-3 nameless certificate, bad token", call: nameless.with(wrong), want: refused()},
		{name: "CHAIN-3 bad certificate, basic credentials", call: bad.with("Authorization: Basic YWxpY2U6cGFzc3dvcmQ="), want: refused()},
		{name: "CHAIN-4 nothing", want: anonymous()},
		{name: "CHAIN-4 nameless certificate", call: nameless, want: anonymous()},
		{name: "CHAIN-5 front proxy of the cluster behind, no user", call: issue(t, shared.backend.Authorities.RequestHeader, pki.Client("front-proxy-client")), want: refused()},
		{
			name: "CHAIN-5 front proxy of the cluster behind with a user", want: refused(),
			call: issue(t, shared.backend.Authorities.RequestHeader, pki.Client("front-proxy-client")).with("X-Remote-User: root", "X-Remote-Group: system:masters"),
		},
		{name: "CHAIN-8 good certificate, good token", call: good.with(token), want: jane},
		{name: "CHAIN-8 good certificate, bad token", call: good.with(wrong), want: jane},
		{name: "CHAIN-8 good certificate, expired JWT", call: good.with(expired), want: jane},
		{name: "CHAIN-8 good certificate, two tokens as subprotocols", call: good.with(upgrade(protocols(tokenAlice, tokenBob))...), want: jane},
		{
			name: "CHAIN-8 certificate that policy refuses, good token", call: blank.with(token), want: as(" jane", authenticated),
			difference: "A credential that policy refuses ends the request", ostiary: refused(),
		},
		{name: "CHAIN-9 token without end", call: call{headers: bearer(string(make64k()))}, want: refused()},
		{
			name: "CHAIN-11 malformed timeout before authentication", want: outcome{Status: 400},
			call:       call{target: reviews + "?timeout=never", headers: []string{wrong}},
			difference: differsTimeout, ostiary: refused(),
		},
		{name: "CHAIN-11 malformed timeout of a caller who is let in", call: call{target: reviews + "?timeout=never", headers: []string{token}}, want: outcome{Status: 400}},
		{name: "HDR-2 headers of a front proxy from anybody", call: call{headers: []string{"X-Remote-User: root", "X-Remote-Group: system:masters"}}, want: anonymous()},
		{name: "HDR-2 headers of a front proxy with a good token", call: call{headers: []string{token, "X-Remote-User: root", "x-remote-extra-a: b", "X-Remote-Uid: 0"}}, want: alice()},
	})
}

const differsTimeout = "Nothing but what has two readings is answered before authentication"

// make64k is a token that is longer than any that is real.
func make64k() []byte {
	long := make([]byte, 64<<10)
	for i := range long {
		long[i] = 'a'
	}
	return long
}

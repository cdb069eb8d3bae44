package attacks_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// issue signs a leaf.
func issue(t *testing.T, authority *pki.Authority, leaf pki.Leaf) *pki.KeyPair {
	t.Helper()
	pair, err := authority.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// Attack 68: certificates of every shape count as they count for kube-apiserver, but for reserved names.
func TestAttack68Certificates(t *testing.T) {
	users := shared.plane.Authorities.Client
	now := time.Now()
	commonName := asn1.ObjectIdentifier{2, 5, 4, 3}
	intermediate, err := users.Intermediate("intermediate")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		leaf     pki.Leaf
		by       *pki.Authority
		refused  bool // by both
		reserved bool // by the gate alone
	}{
		{name: "for servers only", leaf: pki.Leaf{CommonName: "ann", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, refused: true},
		{name: "for code signing", leaf: pki.Leaf{CommonName: "ann", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}, refused: true},
		{name: "no name", leaf: pki.Leaf{Organizations: []string{"crew"}}, refused: true},
		{name: "no subject at all", leaf: pki.Leaf{}, refused: true},
		{name: "expired", leaf: pki.Leaf{CommonName: "ann", NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}, refused: true},
		{name: "not valid yet", leaf: pki.Leaf{CommonName: "ann", NotBefore: now.Add(time.Hour)}, refused: true},
		{name: "two uids", leaf: pki.Leaf{CommonName: "ann", UIDs: []string{"1", "2"}}, refused: true},
		{name: "one uid twice", leaf: pki.Leaf{CommonName: "ann", UIDs: []string{"1", "1"}}, refused: true},
		{name: "empty uid", leaf: pki.Leaf{CommonName: "ann", UIDs: []string{""}}, refused: true},
		{name: "unknown critical extension", leaf: pki.Leaf{CommonName: "ann", Change: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 99}, Critical: true, Value: []byte{5, 0}}}
		}}, refused: true},
		{name: "reserved user", leaf: pki.Client("system:kube-controller-manager"), reserved: true},
		{name: "reserved group", leaf: pki.Client("ann", "crew", "system:nodes"), reserved: true},
		{name: "two names", leaf: pki.Leaf{CommonName: "ann", ExtraNames: []pkix.AttributeTypeAndValue{{Type: commonName, Value: "bea"}}}},
		{name: "empty group", leaf: pki.Client("ann", "crew", "")},
		{name: "the same group twice", leaf: pki.Client("ann", "crew", "crew")},
		{name: "one uid", leaf: pki.Leaf{CommonName: "ann", UIDs: []string{"1"}}},
		{name: "any usage", leaf: pki.Leaf{CommonName: "ann", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}},
		{name: "no usage stated", leaf: pki.Leaf{CommonName: "ann", ExtKeyUsage: []x509.ExtKeyUsage{}}},
		{name: "a leaf that is a CA", leaf: pki.Leaf{CommonName: "ann", Change: func(c *x509.Certificate) { c.IsCA = true }}},
		{name: "not ASCII", leaf: pki.Client("änn", "crëw")},
		{name: "RSA", leaf: pki.Leaf{CommonName: "ann", Algorithm: pki.RSA2048}},
		{name: "by an intermediate", leaf: pki.Client("ann", "crew"), by: intermediate},
		{name: "twin", leaf: pki.Client("ann", "crew")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			by := users
			if tt.by != nil {
				by = tt.by
			}
			certificate := issue(t, by, tt.leaf)
			want := once(t, direct(), certificate, whoAmI(""))
			inEachMode(t, func(t *testing.T, m mode) {
				got := once(t, at(m.gate), certificate, whoAmI(""))
				if tt.refused || tt.reserved {
					got.want(t, http.StatusUnauthorized)
				}
				if tt.refused {
					want.want(t, http.StatusUnauthorized)
				}
				if tt.refused || tt.reserved {
					return
				}
				without := want.user(t) // an empty group vanishes in headers (RH-7), and grants nothing
				without.Groups = slices.DeleteFunc(without.Groups, func(group string) bool { return group == "" })
				if diff := cmp.Diff(without, got.user(t)); diff != "" {
					t.Errorf("user (-kube-apiserver +gate):\n%s", diff)
				}
			})
		})
	}
	t.Run("a leaf that signs", func(t *testing.T) {
		signer := issue(t, users, pki.Client("ann"))
		forged := signedBy(t, signer, "ann")
		for _, s := range []server{direct(), at(shared.modes[0].gate), at(shared.modes[1].gate)} {
			config := tlsConfig(t, s, nil)
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &forged, nil }
			conn, err := dialTLS(t, s, config)
			if err != nil {
				t.Fatal(err)
			}
			w := &wire{conn, bufio.NewReader(conn)}
			w.send(t, whoAmI("")).want(t, http.StatusUnauthorized)
		}
	})
}

// signedBy makes a certificate that a mere leaf signed, with the leaf in its chain.
func signedBy(t *testing.T, signer *pki.KeyPair, name string) tls.Certificate {
	t.Helper()
	key, err := pki.NewKey(pki.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.Certificate, key.Public(), signer.Key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, signer.Certificate.Raw}, PrivateKey: key}
}

// Attack 69: a certificate is known by its fingerprint, whatever its serial number.
func TestAttack69SerialNumbers(t *testing.T) {
	second, err := pki.NewAuthority("second")
	if err != nil {
		t.Fatal(err)
	}
	file, err := second.Write(t.TempDir(), "second")
	if err != nil {
		t.Fatal(err)
	}
	g, err := start(t.Context(), requestHeader, func(config gate.Object) {
		config["authentication"].(gate.Object)["clientCertificate"] = gate.Object{"caFiles": []any{shared.plane.ClientCAFile(), file}}
	})
	if err != nil {
		t.Fatal(err)
	}
	stopGate(t, g)
	same := func(c *x509.Certificate) { c.SerialNumber = big.NewInt(42) }
	seen := map[string]bool{}
	for _, authority := range []*pki.Authority{shared.plane.Authorities.Client, second} {
		certificate := issue(t, authority, pki.Leaf{CommonName: "ann", Change: same})
		fingerprint := sha256.Sum256(certificate.Certificate.Raw)
		want := "X509SHA256=" + hex.EncodeToString(fingerprint[:])
		got := once(t, at(g), certificate, whoAmI(""))
		if id := got.user(t).Extra["authentication.kubernetes.io/credential-id"]; len(id) != 1 || id[0] != want {
			t.Errorf("the API server saw %v, want %s", id, want)
		}
		if line := logged(t, g, got); line.CredentialID != want {
			t.Errorf("the access log says %q, want %q", line.CredentialID, want)
		}
		seen[want] = true
	}
	if len(seen) != 2 {
		t.Error("two certificates have one id")
	}
}

// Attack 64: the gate gives no tickets, so no session skips the look at the certificate.
func TestAttack64NoSessionIsResumed(t *testing.T) {
	certificate := issue(t, shared.plane.Authorities.Client, pki.Client("ann"))
	resumes := func(t *testing.T, s server, version uint16) bool {
		t.Helper()
		config := tlsConfig(t, s, certificate)
		config.ClientSessionCache, config.MaxVersion = tls.NewLRUClientSessionCache(1), version
		resumed := false
		for range 2 {
			conn, err := dialTLS(t, s, config)
			if err != nil {
				t.Fatal(err)
			}
			// TLS 1.3 sends tickets after the handshake: they have come when an answer has.
			w := &wire{conn, bufio.NewReader(conn)}
			w.send(t, request("GET /.well-known/openid-configuration", ""))
			resumed = conn.ConnectionState().DidResume
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
		}
		return resumed
	}
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				if resumes(t, at(m.gate), version) {
					t.Error("the session was resumed")
				}
			})
			t.Run("twin with a server that gives tickets", func(t *testing.T) {
				if !resumes(t, server{shared.issuer.Issuer, shared.issuer.CA}, version) {
					t.Error("the client does not resume sessions, so it shows nothing about the gate")
				}
			})
		})
	}
}

// Attacks 65 and 66: connections stay open when a CA goes, and what they carried does not count any more.
func TestAttacks65And66CASwapUnderOpenConnections(t *testing.T) {
	dir := t.TempDir()
	going, err := pki.NewAuthority("going")
	if err != nil {
		t.Fatal(err)
	}
	staying, err := pki.NewAuthority("staying")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "users.crt")
	if err := pki.WriteFile(file, append(going.PEM(), staying.PEM()...)); err != nil {
		t.Fatal(err)
	}
	g, err := start(t.Context(), requestHeader, func(config gate.Object) {
		config["authentication"].(gate.Object)["clientCertificate"] = gate.Object{"caFiles": []any{file}}
	})
	if err != nil {
		t.Fatal(err)
	}
	stopGate(t, g)
	ofGoing, ofStaying := issue(t, going, pki.Client("ann")), issue(t, staying, pki.Client("bea"))
	first, second := dialFrames(t, at(g), ofGoing), dialFrames(t, at(g), ofStaying)
	plain := dial(t, at(g), ofGoing)
	first.exchange(t, whoAmIFields(""), reviewBody, nil).want(t, http.StatusCreated)
	second.exchange(t, whoAmIFields(""), reviewBody, nil).want(t, http.StatusCreated)
	plain.send(t, whoAmI("")).want(t, http.StatusCreated)
	if err := pki.WriteFile(file, staying.PEM()); err != nil {
		t.Fatal(err)
	}
	if err := poll(t.Context(), func(context.Context) (bool, error) {
		return once(t, at(g), ofGoing, whoAmI("")).status == http.StatusUnauthorized, nil //nolint:contextcheck // a connection lives as long as the test
	}); err != nil {
		t.Fatal(err)
	}
	first.exchange(t, whoAmIFields(""), reviewBody, nil).want(t, http.StatusUnauthorized)
	if !first.ends() || !first.goAway {
		t.Error("the connection of a certificate that does not count any more goes on")
	}
	plain.send(t, whoAmI("")).want(t, http.StatusUnauthorized)
	// The twin, on a connection as old.
	second.exchange(t, whoAmIFields(""), reviewBody, nil).want(t, http.StatusCreated)
}

// Attack 72: versions and suites, by live handshakes.
func TestAttack72VersionsAndSuites(t *testing.T) {
	m := inMode(t, requestHeader)
	handshake := func(t *testing.T, g *gate.Gate, change func(*tls.Config)) error {
		t.Helper()
		config := tlsConfig(t, at(g), nil)
		change(config)
		_, err := dialTLS(t, at(g), config)
		return err
	}
	rsaGate := gateWithRSA(t)
	for name, version := range map[string]uint16{"TLS 1.0": tls.VersionTLS10, "TLS 1.1": tls.VersionTLS11} {
		t.Run(name, func(t *testing.T) {
			if err := handshake(t, m.gate, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }); err == nil {
				t.Error("accepted")
			}
		})
	}
	good := map[uint16]bool{}
	for _, suite := range []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	} {
		good[suite] = true
	}
	accepted := 0
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if suite.SupportedVersions[0] == tls.VersionTLS13 {
			continue // chosen by the library, and all good
		}
		t.Run(suite.Name, func(t *testing.T) {
			only := func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{suite.ID} }
			taken := handshake(t, m.gate, only) == nil || handshake(t, rsaGate, only) == nil
			if taken != good[suite.ID] {
				t.Errorf("accepted: %t, want %t", taken, good[suite.ID])
			}
			if taken {
				accepted++
			}
		})
	}
	if accepted != len(good) {
		t.Errorf("%d suites were accepted, want %d", accepted, len(good))
	}
	t.Run("twin TLS 1.3", func(t *testing.T) {
		if err := handshake(t, m.gate, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }); err != nil {
			t.Error(err)
		}
	})
}

// gateWithRSA is a gate whose certificate is an RSA one, as some suites need.
func gateWithRSA(t *testing.T) *gate.Gate {
	t.Helper()
	g, err := start(t.Context(), requestHeader, nil)
	if err != nil {
		t.Fatal(err)
	}
	stopGate(t, g)
	leaf := pki.Server("ostiary")
	leaf.Algorithm = pki.RSA2048
	swap(t, g, issue(t, g.Authority, leaf))
	return g
}

// swap replaces a gate's certificate and waits until it is shown.
func swap(t *testing.T, g *gate.Gate, pair *pki.KeyPair) {
	t.Helper()
	if _, err := pair.Write(g.Dir, "serving"); err != nil {
		t.Fatal(err)
	}
	if err := poll(t.Context(), func(context.Context) (bool, error) {
		return shown(t, g).Cmp(pair.Certificate.SerialNumber) == 0, nil //nolint:contextcheck // a connection lives as long as the test
	}); err != nil {
		t.Fatal(err)
	}
}

// shown is the serial number of the certificate that a new connection sees.
func shown(t *testing.T, g *gate.Gate) *big.Int {
	t.Helper()
	conn, err := dialTLS(t, at(g), tlsConfig(t, at(g), nil))
	if err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// Attack 73: of a pair that does not match nothing is taken over; the old pair goes on.
func TestAttack73MismatchedPair(t *testing.T) {
	g, err := start(t.Context(), impersonation, nil)
	if err != nil {
		t.Fatal(err)
	}
	stopGate(t, g)
	before := shown(t, g)
	next := issue(t, g.Authority, pki.Server("ostiary"))
	if err := pki.WriteFile(g.Serving.Cert, next.CertPEM()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.WaitLog(stage.Within(t), func(line gate.Object) bool { return line["level"] == "ERROR" }); err != nil {
		t.Fatal(err)
	}
	if shown(t, g).Cmp(before) != 0 {
		t.Error("the certificate without its key is shown")
	}
	once(t, at(g), nil, whoAmI(bearer("jane"))).want(t, http.StatusCreated)
	swap(t, g, next)
	once(t, at(g), nil, whoAmI(bearer("jane"))).want(t, http.StatusCreated)
}

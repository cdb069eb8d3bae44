package clientcert_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/clientcert"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/testca"
)

var (
	uidOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2}
	cnOID  = asn1.ObjectIdentifier{2, 5, 4, 3}
	oOID   = asn1.ObjectIdentifier{2, 5, 4, 10}
)

// request is what the gateway hands over for a connection with these certificates.
func request(conn *authn.Conn, certificates ...*x509.Certificate) *authn.Request {
	return &authn.Request{Certificates: certificates, Conn: conn, Now: time.Now()}
}

func TestRules(t *testing.T) {
	t.Parallel()
	ca, other := testca.New(t, "users"), testca.New(t, "others")
	intermediate := ca.Intermediate(t, "intermediate")
	serverOnly := ca.Intermediate(t, "server only", testca.Usage(x509.ExtKeyUsageServerAuth))
	now := time.Now()
	leaf := func(ca *testca.CA, options ...testca.Option) *x509.Certificate { return ca.Issue(t, options...).Leaf }
	alice := testca.Subject("alice", "dev", "ops")

	for _, tt := range []struct {
		name    string
		chain   []*x509.Certificate
		outcome authn.Outcome
		want    identity.Identity // without the credential id
	}{
		{name: "X509-2 no certificate", outcome: authn.NoCredential},
		{name: "X509-4 other CA", chain: []*x509.Certificate{leaf(other, alice)}},
		{name: "X509-4 self-signed", chain: []*x509.Certificate{other.Certificate}},
		{name: "X509-4 expired", chain: []*x509.Certificate{leaf(ca, alice, testca.Valid(now.Add(-2*time.Hour), now.Add(-time.Second)))}},
		{name: "X509-4 not yet valid", chain: []*x509.Certificate{leaf(ca, alice, testca.Valid(now.Add(time.Minute), now.Add(time.Hour)))}},
		{name: "X509-4 intermediate not sent", chain: []*x509.Certificate{leaf(intermediate, alice)}},
		{name: "X509-5 server usage only", chain: []*x509.Certificate{leaf(ca, alice, testca.Usage(x509.ExtKeyUsageServerAuth))}},
		{name: "X509-5 intermediate for servers only", chain: []*x509.Certificate{leaf(serverOnly, alice), serverOnly.Certificate}},
		{name: "X509-10 empty uid", chain: []*x509.Certificate{leaf(ca, alice, testca.Attribute(uidOID, ""))}},
		{name: "X509-10 two uids", chain: []*x509.Certificate{leaf(ca, alice, testca.Attribute(uidOID, "1"), testca.Attribute(uidOID, "1"))}},
		{name: "chain too long", chain: append([]*x509.Certificate{leaf(ca, alice)}, make11(intermediate.Certificate)...)},
		{name: "X509-7 no common name", chain: []*x509.Certificate{leaf(ca, testca.Subject("", "dev"))}, outcome: authn.NoCredential},
		{name: "X509-7 no common name, before the uid", chain: []*x509.Certificate{leaf(ca, testca.Subject(""), testca.Attribute(uidOID, ""))}, outcome: authn.NoCredential},

		{name: "X509-6 good", chain: []*x509.Certificate{leaf(ca, alice)}, outcome: authn.Accepted, want: identity.Identity{Username: "alice", Groups: []string{"dev", "ops"}}},
		{name: "X509-3 intermediate sent along", chain: []*x509.Certificate{leaf(intermediate, alice), intermediate.Certificate}, outcome: authn.Accepted, want: identity.Identity{Username: "alice", Groups: []string{"dev", "ops"}}},
		{name: "X509-5 no usage", chain: []*x509.Certificate{leaf(ca, alice, testca.Usage())}, outcome: authn.Accepted, want: identity.Identity{Username: "alice", Groups: []string{"dev", "ops"}}},
		{name: "X509-5 any usage", chain: []*x509.Certificate{leaf(ca, alice, testca.Usage(x509.ExtKeyUsageAny))}, outcome: authn.Accepted, want: identity.Identity{Username: "alice", Groups: []string{"dev", "ops"}}},
		{name: "X509-5 leaf that is a CA", chain: []*x509.Certificate{leaf(ca, alice, testca.IsCA())}, outcome: authn.Accepted, want: identity.Identity{Username: "alice", Groups: []string{"dev", "ops"}}},
		{name: "X509-6 last common name wins", chain: []*x509.Certificate{leaf(ca, testca.Subject(""), testca.Attribute(cnOID, "first"), testca.Attribute(cnOID, "Zoë"))}, outcome: authn.Accepted, want: identity.Identity{Username: "Zoë"}},
		{name: "X509-8 duplicate and empty groups are kept", chain: []*x509.Certificate{leaf(ca, testca.Subject("bob"), testca.Attribute(oOID, "a"), testca.Attribute(oOID, ""), testca.Attribute(oOID, "a"))}, outcome: authn.Accepted, want: identity.Identity{Username: "bob", Groups: []string{"a", "", "a"}}},
		{name: "X509-10 uid", chain: []*x509.Certificate{leaf(ca, testca.Subject("bob"), testca.Attribute(uidOID, "42"))}, outcome: authn.Accepted, want: identity.Identity{Username: "bob", UID: "42"}},
		{name: "X509-11 anonymous by name", chain: []*x509.Certificate{leaf(ca, testca.Subject("system:anonymous"))}, outcome: authn.Accepted, want: identity.Identity{Username: "system:anonymous"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := clientcert.New(ca.Pool()).Authenticate(t.Context(), request(new(authn.Conn), tt.chain...))
			if got.Outcome != tt.outcome {
				t.Fatalf("outcome %d, want %d (%v)", got.Outcome, tt.outcome, got.Cause)
			}
			if got.Outcome == authn.Rejected && got.Cause == nil {
				t.Error("rejected without a cause")
			}
			if got.Outcome != authn.Accepted {
				return
			}
			digest := sha256.Sum256(tt.chain[0].Raw)
			id := "X509SHA256=" + hex.EncodeToString(digest[:])
			tt.want.Extra = map[string][]string{identity.ExtraCredentialID: {id}} // X509-9
			if diff := cmp.Diff(tt.want, got.Credential.Identity); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			if got.Credential.ID.Value != id || !got.Credential.NotAfter.Equal(tt.chain[0].NotAfter) {
				t.Errorf("credential %+v", got.Credential)
			}
		})
	}
}

func make11(certificate *x509.Certificate) []*x509.Certificate {
	many := make([]*x509.Certificate, 0, 11)
	for range cap(many) {
		many = append(many, certificate)
	}
	return many
}

// TestVerdictIsRememberedPerConnection shows that the chain is verified once for a connection, and anew for another CA
// generation, another connection, and another time.
func TestVerdictIsRememberedPerConnection(t *testing.T) {
	t.Parallel()
	ca, other := testca.New(t, "users"), testca.New(t, "others")
	leaf := ca.Issue(t, testca.Subject("alice")).Leaf
	trusting, swapped := clientcert.New(ca.Pool()), clientcert.New(other.Pool())
	conn := new(authn.Conn)

	first := trusting.Authenticate(t.Context(), request(conn, leaf))
	again := trusting.Authenticate(t.Context(), request(conn, leaf))
	if first.Outcome != authn.Accepted || first.Credential != again.Credential {
		t.Error("the second request on a connection was verified anew")
	}
	if elsewhere := trusting.Authenticate(t.Context(), request(new(authn.Conn), leaf)); elsewhere.Credential == first.Credential {
		t.Error("another connection shares the verdict")
	}
	if got := swapped.Authenticate(t.Context(), request(conn, leaf)); got.Outcome != authn.Rejected {
		t.Error("a CA that was swapped while the connection was open still counts")
	}
	late := request(conn, leaf)
	late.Now = leaf.NotAfter.Add(time.Second)
	trusting.Authenticate(t.Context(), request(conn, leaf))
	if got := trusting.Authenticate(t.Context(), late); got.Outcome != authn.Rejected {
		t.Error("a certificate that expired during the connection still counts")
	}
	soon := trusting.Authenticate(t.Context(), request(conn, leaf))
	if soon.Outcome != authn.Accepted {
		t.Error("a rejection at another time was remembered for this one")
	}
}

func BenchmarkSeenConnection(b *testing.B) {
	ca := testca.New(b, "users")
	mechanism, conn := clientcert.New(ca.Pool()), new(authn.Conn)
	r := request(conn, ca.Issue(b, testca.Subject("alice")).Leaf)
	b.ReportAllocs()
	for b.Loop() {
		if mechanism.Authenticate(b.Context(), r).Outcome != authn.Accepted {
			b.Fatal("refused")
		}
	}
}

// TestRelayedCertificates: many clients share a balancer's connection, and none is taken for another (G-10).
func TestRelayedCertificates(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, "users")
	mechanism, conn := clientcert.New(ca.Pool()), new(authn.Conn)
	ask := func(certificates ...*x509.Certificate) authn.Answer {
		r := request(conn, certificates...)
		r.Relayed = true
		return mechanism.Authenticate(t.Context(), r)
	}
	alice, bob := ca.Issue(t, testca.Subject("alice")).Leaf, ca.Issue(t, testca.Subject("bob")).Leaf
	forged := testca.New(t, "users").Issue(t, testca.Subject("alice")).Leaf
	first := ask(alice)
	if first.Outcome != authn.Accepted || first.Credential.Identity.Username != "alice" {
		t.Fatalf("%+v", first)
	}
	if got := ask(bob); got.Outcome != authn.Accepted || got.Credential.Identity.Username != "bob" {
		t.Errorf("%+v, want bob", got)
	}
	if got := ask(forged); got.Outcome != authn.Rejected {
		t.Errorf("%+v, want a rejection", got)
	}
	if got := ask(); got.Outcome != authn.NoCredential {
		t.Errorf("%+v, want no credential", got)
	}
	if again := ask(alice); again.Credential != first.Credential {
		t.Error("the same certificate gave another credential")
	}
}

package signin

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
)

// certificateFor is a certificate for a key, as a gate issues it.
func certificateFor(tb testing.TB, key *ecdsa.PrivateKey) string {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "jane"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// FuzzTokenAnswer reads answers of the token endpoint: what is taken can be used, for this key, and shown to a server.
func FuzzTokenAnswer(f *testing.F) {
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	other, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	seed := func(answer adminapi.TokenAnswer) {
		body, err := json.Marshal(answer)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	ends := time.Now().Add(time.Hour)
	for _, chain := range []string{certificateFor(f, key), certificateFor(f, other), "", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"} {
		seed(adminapi.TokenAnswer{AccessToken: chain, IssuedTokenType: adminapi.TokenTypeX509, TokenType: "N_A", ExpiresIn: 3600, CredentialID: "OSTIARY=1", Session: "s", SessionExpiresAt: ends, Username: "jane"})
	}
	for _, token := range []string{"gw1.a.b.c", "a b", "a\r\nHost: evil", "=", ""} {
		seed(adminapi.TokenAnswer{AccessToken: token, IssuedTokenType: adminapi.TokenTypeAccessToken, TokenType: "Bearer", ExpiresIn: 3600, CredentialID: "OSTIARY=1", Session: "s", SessionExpiresAt: ends})
	}
	seed(adminapi.TokenAnswer{AccessToken: "gw1.a.b.c", IssuedTokenType: adminapi.TokenTypeAccessToken, TokenType: "Bearer", ExpiresIn: 1 << 62, Session: "s", SessionExpiresAt: ends})
	f.Add([]byte(`{"expires_in":1e9}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if answer, err := parseTokenAnswer(body, adminapi.TokenTypeX509); err == nil {
			credential, err := newCredential(answer.AccessToken, key)
			if err == nil {
				if _, err := credential.TLS(); err != nil || credential.NotAfter.IsZero() {
					t.Errorf("a credential that cannot be used: %v", err)
				}
			} else if strings.Contains(err.Error(), answer.AccessToken) {
				t.Errorf("the answer is in the error: %v", err)
			}
		}
		asked := time.Now()
		answer, err := parseTokenAnswer(body, adminapi.TokenTypeAccessToken)
		if err != nil {
			return
		}
		bound, err := newBoundToken(answer, "s", asked)
		if err != nil {
			return
		}
		token := bound.Token.Reveal()
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == ',' }) {
			t.Errorf("a token that cannot be sent: %q", token)
		}
		if !bound.ExpiresAt.After(asked) || bound.ExpiresAt.After(asked.Add(maxLifetime)) {
			t.Errorf("it ends at %s", bound.ExpiresAt)
		}
	})
}

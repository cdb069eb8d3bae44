package signintest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/signin"
)

// PipelineToken is the one token of pipelines that the gate accepts.
const PipelineToken = "a-pipelines-token"

// Gate is a gate as far as signing in goes. Its fields may be changed between requests, under Change.
type Gate struct {
	// Address is where it is.
	Address signin.Address

	providers []*Provider
	document  adminapi.SignIn
	server    *httptest.Server
	key       *ecdsa.PrivateKey
	authority *x509.Certificate

	mu       sync.Mutex
	state    GateState
	sessions map[string]string // open sessions: id to subject
	serials  map[string]string // certificate to session
	bound    map[string]string // token to the certificate that it is bound to
	counts   map[string]int
}

// GateState is how a gate behaves. The zero value is a good one.
type GateState struct {
	// Lifetime of certificates; 0 means an hour.
	Lifetime time.Duration
	// Session is how long sessions hold; 0 means 12 hours.
	Session time.Duration
	// Down answers with 503.
	Down bool
	// NoTokens refuses to issue bound tokens.
	NoTokens bool
	// OtherKey issues certificates for a key that nobody asked about.
	OtherKey bool
	// Slow is called before a token exchange is answered.
	Slow func()
	// SlowEnd is called before the end of a session is answered.
	SlowEnd func()
}

// NewGate starts a gate that ends with the test, with two clusters and the given providers, which are named "corp", "other"...
func NewGate(t testing.TB, flows []string, providers ...*Provider) *Gate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{
		providers: providers, key: key, authority: authority, sessions: map[string]string{}, serials: map[string]string{}, bound: map[string]string{}, counts: map[string]int{},
		document: adminapi.SignIn{
			TypeMeta: adminapi.TypeOf(adminapi.SignInKind), Providers: []adminapi.SignInProvider{},
			Clusters: []adminapi.SignInCluster{{Name: "prod", Path: "/clusters/prod"}, {Name: "test", Path: "/clusters/test"}},
		},
	}
	for i, provider := range providers {
		g.document.Providers = append(g.document.Providers, provider.Config([]string{"corp", "other"}[i], flows...))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+adminapi.SignInPath, func(w http.ResponseWriter, _ *http.Request) { send(w, http.StatusOK, g.document) })
	mux.HandleFunc("POST "+adminapi.TokenPath, g.token)
	mux.HandleFunc("POST "+adminapi.RevokePath, g.revoke)
	mux.HandleFunc("GET /clusters/{cluster}/who", g.who)
	g.server = httptest.NewUnstartedServer(mux)
	g.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	g.server.StartTLS()
	t.Cleanup(g.server.Close)
	g.Address = signin.Address{
		URL: g.server.URL, Authorities: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.server.Certificate().Raw})),
	}
	return g
}

// Change sets how the gate behaves from now on.
func (g *Gate) Change(change func(*GateState)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(&g.state)
}

// Count is how often something was done: "token", "revoke".
func (g *Gate) Count(what string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts[what]
}

// Open returns the ids of open sessions.
func (g *Gate) Open() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var open []string
	for id := range g.sessions {
		open = append(open, id)
	}
	return open
}

// Issuer is the PEM of the CA that signs the certificates of sign-ins; it vouches for no server.
func (g *Gate) Issuer() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.authority.Raw})
}

// End ends all sessions, as an operator does.
func (g *Gate) End() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.sessions)
}

func (g *Gate) token(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	slow := g.state.Slow
	g.mu.Unlock()
	if slow != nil {
		slow()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts["token"]++
	if g.state.Down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	subject := ""
	switch r.PostFormValue("subject_token_type") {
	case adminapi.TokenTypeIDToken:
		for _, provider := range g.providers {
			subject = or(subject, provider.subject(r.PostFormValue("subject_token")))
		}
	case adminapi.TokenTypeJWT:
		if r.PostFormValue("subject_token") == PipelineToken {
			subject = "system:serviceaccount:ci:deployer"
		}
	}
	session := r.PostFormValue("session")
	if r.PostFormValue("grant_type") != adminapi.GrantTypeTokenExchange || subject == "" || session != "" && g.sessions[session] != subject {
		refuse(w, "invalid_grant")
		return
	}
	if session != "" && r.PostFormValue("subject_token_type") == adminapi.TokenTypeJWT && r.PostFormValue("requested_token_type") == adminapi.TokenTypeX509 {
		refuse(w, "invalid_grant") // a pipeline's session lasts no longer than its certificate
		return
	}
	if session == "" {
		session = "s-" + rand.Text()
		g.sessions[session] = subject
	}
	lifetime := g.state.Lifetime
	if lifetime == 0 {
		lifetime = time.Hour
	}
	ends := g.state.Session
	switch {
	case r.PostFormValue("subject_token_type") == adminapi.TokenTypeJWT:
		ends = lifetime
	case ends == 0:
		ends = 12 * time.Hour
	}
	answer := adminapi.TokenAnswer{
		TokenType: "N_A", ExpiresIn: int64(lifetime / time.Second), CredentialID: "CRT=" + rand.Text(), Session: session,
		SessionExpiresAt: time.Now().Add(ends).UTC().Truncate(time.Second), Username: subject, Groups: []string{"dev"},
	}
	switch answer.IssuedTokenType = r.PostFormValue("requested_token_type"); answer.IssuedTokenType {
	case adminapi.TokenTypeX509:
		answer.AccessToken = g.certificate(r.PostFormValue("csr"), subject, session, lifetime)
	case adminapi.TokenTypeAccessToken:
		if serial := serialOf(r); g.serials[serial] == session && !g.state.NoTokens {
			answer.AccessToken, answer.TokenType = "gw1."+rand.Text(), "Bearer"
			g.bound[answer.AccessToken] = serial
		}
	}
	if answer.AccessToken == "" {
		refuse(w, "invalid_request")
		return
	}
	send(w, http.StatusOK, answer)
}

// certificate issues one for the key of a request. The lock is held.
func (g *Gate) certificate(csr, subject, session string, lifetime time.Duration) string {
	der, err := base64.RawURLEncoding.DecodeString(csr)
	if err != nil {
		return ""
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil || request.CheckSignature() != nil {
		return ""
	}
	public := request.PublicKey
	if g.state.OtherKey {
		public = g.key.Public()
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return ""
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: subject}, NotBefore: time.Now().Add(-time.Second), NotAfter: time.Now().Add(lifetime),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	issued, err := x509.CreateCertificate(rand.Reader, template, g.authority, public, g.key)
	if err != nil {
		return ""
	}
	g.serials[serial.String()] = session
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued}))
}

func (g *Gate) revoke(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	slow := g.state.SlowEnd
	g.mu.Unlock()
	if slow != nil {
		slow()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts["revoke"]++
	if g.state.Down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	token := r.PostFormValue("token")
	if session := g.serials[serialOf(r)]; session == "" || session != token {
		send(w, http.StatusUnauthorized, adminapi.OAuthError{Code: "invalid_client", Description: "no certificate of that session"})
		return
	}
	delete(g.sessions, token)
	w.WriteHeader(http.StatusOK)
}

// serialOf is the serial number of the certificate that a caller shows; empty where there is none.
func serialOf(r *http.Request) string {
	if len(r.TLS.PeerCertificates) != 1 {
		return ""
	}
	return r.TLS.PeerCertificates[0].SerialNumber.String()
}

// who stands for the clusters: it says for whom the gate takes the caller, and whether by a token.
func (g *Gate) who(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	serial, by := serialOf(r), ""
	token, bears := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if bears {
		by = " by token"
	}
	if subject, open := g.sessions[g.serials[serial]]; open && (!bears || g.bound[token] == serial) {
		_, _ = w.Write([]byte(subject + " at " + r.PathValue("cluster") + by + "\n")) //nolint:gosec // whoever asked has gone; no browser comes here
		return
	}
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte("nobody\n")) // as above
}

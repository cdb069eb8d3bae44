package frontdoor_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// client is somebody at an address, with a certificate or none.
type client struct {
	from        string
	certificate *tls.Certificate
	header      http.Header
}

// ask asks who the client is, at an address whose certificate the given authority signed. Status 0 is a connection that
// was not to be had.
func (c client) ask(t *testing.T, address string, ca []byte) (status int, user string) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}}).DialContext,
		TLSClientConfig: &tls.Config{
			RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if c.certificate == nil {
					return new(tls.Certificate), nil
				}
				return c.certificate, nil
			},
		},
	}
	defer transport.CloseIdleConnections()
	body := `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/apis/authentication.k8s.io/v1/selfsubjectreviews", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, c.header)
	request.Header.Set("Content-Type", "application/json")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusCreated {
		return response.StatusCode, ""
	}
	var review authenticationv1.SelfSubjectReview
	if err := json.Unmarshal(content, &review); err != nil {
		t.Fatalf("%d %s", response.StatusCode, content)
	}
	return response.StatusCode, review.Status.UserInfo.Username
}

// person issues a user's certificate.
func person(t *testing.T, name string) (*tls.Certificate, string) {
	t.Helper()
	pair, err := shared.plane.Authorities.Client.Issue(pki.Client(name, "dev"))
	if err != nil {
		t.Fatal(err)
	}
	certificate := pair.TLS()
	return &certificate, ":" + base64.StdEncoding.EncodeToString(pair.Certificate.Raw) + ":"
}

// sourceOf is the address that a gate recorded of the last request of a user.
func sourceOf(t *testing.T, g *gate.Gate, user string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stage.Deadline)
	defer cancel()
	line, err := g.WaitAccessLog(ctx, func(l gate.Line) bool { return l.User == user })
	if err != nil {
		t.Fatal(err)
	}
	return line.Source
}

func host(url string) string { return strings.TrimPrefix(url, "https://") }

// TestThroughLayer4: HAProxy passes TLS through, and the gate knows the client's address by its PROXY header.
func TestThroughLayer4(t *testing.T) {
	certificate, _ := person(t, "lena")
	if status, user := (client{from: inside, certificate: certificate}).ask(t, shared.haproxy, shared.layer4.CA); status != http.StatusCreated || user != "lena" {
		t.Errorf("from inside: %d %q", status, user)
	}
	if source := sourceOf(t, shared.layer4, "lena"); source != inside {
		t.Errorf("recorded %s, want %s", source, inside)
	}
	if status, _ := (client{from: outside, certificate: certificate}).ask(t, shared.haproxy, shared.layer4.CA); status != http.StatusUnauthorized {
		t.Errorf("from outside: %d, want 401 by the client's own address", status)
	}
	// Attack 19: without the balancer, from its address, there is no header and no connection.
	if status, _ := (client{from: "127.0.0.1", certificate: certificate}).ask(t, host(shared.layer4.URL), shared.layer4.CA); status != 0 {
		t.Errorf("without a PROXY header: %d", status)
	}
	// Who is no balancer is a client like any.
	if status, user := (client{from: inside, certificate: certificate}).ask(t, host(shared.layer4.URL), shared.layer4.CA); status != http.StatusCreated || user != "lena" {
		t.Errorf("straight to the gate: %d %q", status, user)
	}
}

// TestThroughLayer7: nginx ends TLS, and the gate knows the client's certificate and address by its headers.
func TestThroughLayer7(t *testing.T) {
	ca := shared.edges.PEM()
	certificate, value := person(t, "mona")
	if status, user := (client{from: inside, certificate: certificate}).ask(t, shared.nginx, ca); status != http.StatusCreated || user != "mona" {
		t.Errorf("from inside: %d %q", status, user)
	}
	if source := sourceOf(t, shared.layer7, "mona"); source != inside {
		t.Errorf("recorded %s, want %s", source, inside)
	}
	other, _ := person(t, "otto")
	for name, c := range map[string]client{
		"from outside":                          {from: outside, certificate: certificate},
		"from outside, saying to be inside":     {from: outside, certificate: certificate, header: http.Header{"X-Forwarded-For": {inside}}},
		"no certificate":                        {from: inside},
		"no certificate, a header of one's own": {from: inside, header: http.Header{"Client-Cert": {value}}},
	} {
		if status, user := c.ask(t, shared.nginx, ca); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %q, want 401", name, status, user)
		}
	}
	// The balancer replaces what the client sent.
	forged := client{from: inside, certificate: other, header: http.Header{"Client-Cert": {value}, "Client-Cert-Chain": {value}}}
	if status, user := forged.ask(t, shared.nginx, ca); status != http.StatusCreated || user != "otto" {
		t.Errorf("another's certificate in a header: %d %q, want otto", status, user)
	}
}

// TestForgedHeaders: whoever is not the balancer says in vain whose certificate it is (G-10, attack 18).
func TestForgedHeaders(t *testing.T) {
	own, _ := person(t, "nora")
	_, value := person(t, "victim")
	stranger, err := pki.NewAuthority("edge-ca")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := stranger.Issue(pki.Client(edgeName))
	if err != nil {
		t.Fatal(err)
	}
	impostor := pair.TLS()
	genuine, err := shared.edges.Issue(pki.Client(edgeName))
	if err != nil {
		t.Fatal(err)
	}
	edge := genuine.TLS()
	header := func() http.Header { return http.Header{"Client-Cert": {value}, "X-Forwarded-For": {inside}} }
	for name, tt := range map[string]struct {
		client client
		status int
		user   string
	}{
		"user's own certificate":                     {client{from: inside, certificate: own, header: header()}, http.StatusCreated, "nora"},
		"no certificate":                             {client{from: "127.0.0.1", header: header()}, http.StatusUnauthorized, ""},
		"certificate of the same name, another CA":   {client{from: "127.0.0.1", certificate: &impostor, header: header()}, http.StatusUnauthorized, ""},
		"the balancer's certificate, another place":  {client{from: inside, certificate: &edge, header: header()}, http.StatusUnauthorized, ""},
		"twin: the balancer's certificate and place": {client{from: "127.0.0.1", certificate: &edge, header: header()}, http.StatusCreated, "victim"},
	} {
		if status, user := tt.client.ask(t, host(shared.layer7.URL), shared.layer7.CA); status != tt.status || user != tt.user {
			t.Errorf("%s: %d %q, want %d %q", name, status, user, tt.status, tt.user)
		}
	}
}

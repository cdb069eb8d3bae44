package attacks_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// server is one end that bytes are sent to: a gate, or kube-apiserver itself.
type server struct {
	url string
	ca  []byte
}

func at(g *gate.Gate) server { return server{g.URL, g.CA} }

// direct is kube-apiserver with nothing in between.
func direct() server { return server{shared.plane.URL, shared.plane.CA()} }

// wire is a TLS connection on which requests are written byte for byte.
type wire struct {
	conn   *tls.Conn
	reader *bufio.Reader
}

// tlsConfig trusts the server and shows a certificate, if there is one.
func tlsConfig(t *testing.T, s server, certificate *pki.KeyPair) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.ca) {
		t.Fatal("the server's CA is no PEM")
	}
	config := &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if certificate != nil {
		pair := certificate.TLS()
		// Always shown, also where the server hints at other authorities.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return config
}

// dialTLS connects; the connection ends with the test, and every wait on it after the deadline.
func dialTLS(t *testing.T, s server, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "https://"))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*tls.Conn), conn.SetDeadline(time.Now().Add(stage.Deadline))
}

func dial(t *testing.T, s server, certificate *pki.KeyPair) *wire {
	t.Helper()
	conn, err := dialTLS(t, s, tlsConfig(t, s, certificate))
	if err != nil {
		t.Fatal(err)
	}
	return &wire{conn, bufio.NewReader(conn)}
}

// answer is what came back. A status of 0 means that the connection ended without an answer.
type answer struct {
	status int
	header http.Header
	body   string
}

// send writes the bytes and reads one answer.
func (w *wire) send(t *testing.T, raw string) answer {
	t.Helper()
	// A server may refuse, and close, before it has read everything: what it said before counts.
	_, writeErr := io.WriteString(w.conn, raw)
	method, _, _ := strings.Cut(raw, " ")
	response, err := http.ReadResponse(w.reader, &http.Request{Method: method})
	if err != nil {
		t.Logf("no answer: %v (write: %v)", err, writeErr)
		return answer{}
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return answer{status: response.StatusCode, header: response.Header}
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		t.Logf("the answer broke off: %v", err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// once sends one request on a connection of its own.
func once(t *testing.T, s server, certificate *pki.KeyPair, raw string) answer {
	t.Helper()
	return dial(t, s, certificate).send(t, raw)
}

// review is the question who one is; kube-apiserver answers it to everybody whom it knows.
const (
	reviewPath = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	reviewBody = `{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}`
)

// request is a request without a body; lines end in CR LF each.
func request(start, lines string) string {
	return start + " HTTP/1.1\r\nHost: ostiary\r\n" + lines + "\r\n"
}

// whoAmI is a SelfSubjectReview with more header lines.
func whoAmI(lines string) string {
	return request("POST "+reviewPath, "Content-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(reviewBody))+"\r\n"+lines) + reviewBody
}

// bearer is the header line with a user's static token.
func bearer(user string) string { return "Authorization: Bearer " + shared.tokens[user] + "\r\n" }

// user reads the answer to whoAmI.
func (a answer) user(t *testing.T) authenticationv1.UserInfo {
	t.Helper()
	var review authenticationv1.SelfSubjectReview
	if a.status != http.StatusCreated {
		t.Fatalf("status = %d, want 201: %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &review); err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo
}

// want fails the test if the answer's status is another.
func (a answer) want(t *testing.T, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status = %d, want %d: %s", a.status, status, a.body)
	}
}

// jane is who the API server must take jane's static token for.
func jane() authenticationv1.UserInfo {
	return authenticationv1.UserInfo{Username: "jane", UID: "uid-of-jane", Groups: []string{"platform", "developers", "system:authenticated"}}
}

// sameUser compares whom the API server saw, without the credential id that mechanisms add.
func sameUser(t *testing.T, want, got authenticationv1.UserInfo) {
	t.Helper()
	delete(got.Extra, "authentication.kubernetes.io/credential-id")
	if len(got.Extra) == 0 {
		got.Extra = nil
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
}

// audited waits for the API server's record of an answered request.
func audited(t *testing.T, a answer) auditv1.Event {
	t.Helper()
	id := a.header.Get("Audit-Id")
	event, err := shared.plane.WaitAudit(stage.Within(t), func(e auditv1.Event) bool {
		return string(e.AuditID) == id && e.Stage == auditv1.StageResponseComplete
	})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// logged waits for the gate's record of an answered request.
func logged(t *testing.T, g *gate.Gate, a answer) gate.Line {
	t.Helper()
	id := a.header.Get("Audit-Id")
	line, err := g.WaitAccessLog(stage.Within(t), func(l gate.Line) bool { return l.RequestID == id })
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// sawAs checks whom the API server's audit log names, and from where: in requestHeader mode the caller, in
// impersonation mode the gate that acts as the caller.
func (m mode) sawAs(t *testing.T, a answer, user string) {
	t.Helper()
	event := audited(t, a)
	name := event.User.Username
	if m.name == impersonation {
		if name != controlplane.ImpersonatorName || event.ImpersonatedUser == nil {
			t.Fatalf("the API server saw %q as %v, want the gate acting as somebody", name, event.ImpersonatedUser)
		}
		name = event.ImpersonatedUser.Username
	} else if event.ImpersonatedUser != nil {
		t.Errorf("the API server saw %q act as %v, want nobody else", name, event.ImpersonatedUser)
	}
	if name != user {
		t.Errorf("the API server saw %q, want %q", name, user)
	}
	if diff := cmp.Diff([]string{"127.0.0.1"}, event.SourceIPs); diff != "" {
		t.Errorf("the API server's source addresses (-want +got):\n%s", diff)
	}
}

// inEachMode runs a test against both gates.
func inEachMode(t *testing.T, test func(*testing.T, mode)) {
	t.Helper()
	for _, m := range shared.modes {
		t.Run(m.name, func(t *testing.T) { test(t, m) })
	}
}

package decisions_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	authenticationv1 "k8s.io/api/authentication/v1"
)

const (
	// reviews is where callers ask who they are (SSR-1).
	reviews    = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	reviewBody = `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`

	created      = http.StatusCreated
	unauthorized = http.StatusUnauthorized

	// callTimeout bounds one exchange; it takes milliseconds.
	callTimeout = time.Minute
)

// server is where a request goes.
type server struct {
	name    string
	address string
	roots   *x509.CertPool
}

// call is a request, down to its bytes. The zero value asks who an anonymous caller is.
type call struct {
	// method and target default to the creation of a SelfSubjectReview.
	method, target string
	// headers are whole lines, in the order in which they are sent. Host and the body's headers come by themselves.
	headers []string
	// certificate is shown whatever authorities the server hints at; nil shows none.
	certificate *tls.Certificate
}

// bearer is the header that carries a token.
func bearer(token string) []string { return []string{"Authorization: Bearer " + token} }

// bytes is the request as it goes on the wire.
func (c *call) bytes(host string) []byte {
	method, target, body := c.method, c.target, ""
	if method == "" {
		method = http.MethodPost
	}
	if target == "" {
		target = reviews
	}
	var out bytes.Buffer
	line := func(parts ...string) { out.WriteString(strings.Join(parts, "") + "\r\n") }
	line(method, " ", target, " HTTP/1.1")
	line("Host: ", host)
	if method == http.MethodPost {
		body = reviewBody
		line("Content-Type: application/json")
		line("Content-Length: ", strconv.Itoa(len(body)))
	}
	for _, header := range c.headers {
		line(header)
	}
	line()
	out.WriteString(body)
	return out.Bytes()
}

// errNoAnswer is a connection that the server ended, in the handshake or later, instead of answering.
var errNoAnswer = errors.New("the server ended the connection without an answer")

// show answers a server that asks for a certificate: always with the given one, or with none if it is nil. A client of
// Go's own keeps back a certificate whose authority the server did not name, and then nothing would be tested.
func show(certificate *tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return new(tls.Certificate), nil
		}
		return certificate, nil
	}
}

// send sends a request on a connection of its own and reads the whole answer.
func send(ctx context.Context, to server, c call) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: to.roots, NextProtos: []string{"http/1.1"},
		GetClientCertificate: show(c.certificate),
	}}
	conn, err := dialer.DialContext(ctx, "tcp", to.address)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", to.name, err)
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, nil, err
		}
	}
	if _, err := conn.Write(c.bytes(to.address)); err != nil {
		return nil, nil, fmt.Errorf("%s: %w: %w", to.name, errNoAnswer, err)
	}
	method := c.method
	if method == "" {
		method = http.MethodPost
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w: %w", to.name, errNoAnswer, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response, nil, nil
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: read the answer: %w", to.name, err)
	}
	return response, content, nil
}

// outcome is what a server decided. Status 0 stands for a connection that it ended without an answer.
type outcome struct {
	Status   int
	User     string
	UID      string
	Groups   []string
	Extra    map[string][]string
	Warnings []string
}

// diff compares an outcome that is written down with one that was observed. Extras that are not written down are not
// compared: most hold digests of certificates that are made anew each time.
func (o outcome) diff(observed outcome) string {
	if o.Extra == nil {
		observed.Extra = nil
	}
	return cmp.Diff(o, observed, cmpopts.EquateEmpty())
}

// as is the outcome of a caller who was let in as user.
func as(user string, groups ...string) outcome {
	return outcome{Status: created, User: user, Groups: groups}
}

// withUID adds a uid to an outcome.
func (o outcome) withUID(uid string) outcome {
	o.UID = uid
	return o
}

// withExtra adds one extra to an outcome.
func (o outcome) withExtra(key string, values ...string) outcome {
	extra := map[string][]string{key: values}
	maps.Copy(extra, o.Extra)
	o.Extra = extra
	return o
}

// withNoExtra says that an outcome has no extra at all.
func (o outcome) withNoExtra() outcome {
	o.Extra = map[string][]string{}
	return o
}

// refused is the outcome of a caller who was not let in.
func refused() outcome { return outcome{Status: unauthorized} }

// anonymous is the outcome of a caller who showed nothing that counts.
func anonymous() outcome { return as("system:anonymous", "system:unauthenticated") }

// review sends a request and reads the outcome.
func review(ctx context.Context, to server, c call) (outcome, error) {
	response, content, err := send(ctx, to, c)
	if errors.Is(err, errNoAnswer) {
		return outcome{}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	got := outcome{Status: response.StatusCode, Warnings: response.Header["Warning"]}
	if got.Status != created {
		return got, nil
	}
	var answer authenticationv1.SelfSubjectReview
	if err := json.Unmarshal(content, &answer); err != nil {
		return outcome{}, fmt.Errorf("%s: %w: %s", to.name, err, content)
	}
	info := answer.Status.UserInfo
	got.User, got.UID, got.Groups = info.Username, info.UID, info.Groups
	if len(info.Extra) > 0 {
		got.Extra = make(map[string][]string, len(info.Extra))
		for key, values := range info.Extra {
			got.Extra[key] = values
		}
	}
	return got, nil
}

func mustReview(t *testing.T, to server, c call) outcome {
	t.Helper()
	got, err := review(t.Context(), to, c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

package jwt

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/tlspolicy"
)

const (
	// issuerTimeout bounds one request to an issuer, as kube-apiserver does (OIDC-2).
	issuerTimeout = 30 * time.Second
	// refetchAfter is the shortest time between two requests for the same document. Kubernetes fetches an issuer's keys
	// again for every token that names an unknown key, where the issuer allows no caching (OIDC-5); junk tokens would
	// then turn the gate against the issuer. One second keeps a rotated key's delay below what anyone notices.
	refetchAfter = time.Second
	// maxDocumentBytes bounds discovery documents, key sets and distributed claims.
	maxDocumentBytes = 1 << 20
	// maxDocuments bounds what is remembered: an issuer has a discovery document and a key set, and distributed claims
	// name a few endpoints more.
	maxDocuments = 64
)

// newClient returns the client that talks to one issuer, trusting the CAs in bundle, or the host's roots if it is empty.
func newClient(bundle string) (*http.Client, error) {
	var roots *x509.CertPool
	if bundle != "" {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(bundle)) {
			return nil, errors.New("certificateAuthority holds no certificate")
		}
	}
	return &http.Client{
		Timeout: issuerTimeout,
		Transport: &throttle{
			next: &http.Transport{
				TLSClientConfig:     tlspolicy.Client(roots, "", nil),
				TLSHandshakeTimeout: issuerTimeout,
				ForceAttemptHTTP2:   true,
				MaxIdleConnsPerHost: 2,
				IdleConnTimeout:     time.Minute,
				// An issuer that the operator reaches through a proxy is reached so here too, as in kube-apiserver.
				Proxy: http.ProxyFromEnvironment,
			},
			documents: make(map[string]*document),
		},
	}, nil
}

// throttle remembers the answers to GET requests for refetchAfter, failures included. It is safe for concurrent use.
type throttle struct {
	next http.RoundTripper

	mu        sync.Mutex
	documents map[string]*document
}

// document is one remembered answer; its mutex makes concurrent requests for it wait for one fetch.
type document struct {
	mu      sync.Mutex
	fetched time.Time
	header  http.Header
	status  int
	body    []byte
	err     error
}

// RoundTrip implements http.RoundTripper.
func (t *throttle) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "" {
		return t.next.RoundTrip(r) // distributed claims with an access token: never shared
	}
	d := t.document(r.URL.String())
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fetched.IsZero() || time.Since(d.fetched) >= refetchAfter {
		d.fetch(t.next, r)
	}
	if d.err != nil {
		return nil, d.err
	}
	return &http.Response{
		Status: http.StatusText(d.status), StatusCode: d.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: d.header.Clone(), Body: io.NopCloser(bytes.NewReader(d.body)), ContentLength: int64(len(d.body)), Request: r,
	}, nil
}

// document returns the memory of one URL. When there are too many, all are forgotten: that costs a few fetches.
func (t *throttle) document(url string) *document {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d, ok := t.documents[url]; ok {
		return d
	}
	if len(t.documents) >= maxDocuments {
		clear(t.documents)
	}
	d := &document{}
	t.documents[url] = d
	return d
}

// fetch asks the issuer and remembers the answer. A fetch that the caller's context ended is not remembered: it says
// nothing about the issuer.
func (d *document) fetch(next http.RoundTripper, r *http.Request) {
	response, err := next.RoundTrip(r)
	if err != nil {
		d.err = err
		if r.Context().Err() == nil {
			d.fetched = time.Now()
		}
		return
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocumentBytes+1))
	if err == nil && len(body) > maxDocumentBytes {
		err = fmt.Errorf("%s is longer than %d bytes", r.URL, maxDocumentBytes)
	}
	d.fetched, d.err = time.Now(), err
	d.status, d.header, d.body = response.StatusCode, response.Header, body
}

package tokenreview_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// client is a client of an API server that keeps its connections.
type client struct {
	server string
	http   *http.Client
}

func newClient(t *testing.T, c *caller) *client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: c.plane.Authorities.Serving.Pool(), MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{c.plane.URL, &http.Client{Transport: transport}}
}

// get asks for something small, as whoever the token names.
func (c *client) get(ctx context.Context, token string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server+"/api", http.NoBody)
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	return do(c.http, request)
}

// ask asks an API server once.
func ask(t *testing.T, c *caller, token string) (status int, body string) {
	t.Helper()
	status, body, err := newClient(t, c).get(stage.Within(t), token)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

// admits tells whether an API server lets a token in that it has not seen before.
func (c *caller) admits(t *testing.T, client *client) func(context.Context) bool {
	t.Helper()
	return func(ctx context.Context) bool {
		status, _, err := client.get(ctx, mint(t, nil))
		return err == nil && status == http.StatusOK
	}
}

// review asks Ostiary itself, as whoever has the certificate, over a connection of its own.
func review(ctx context.Context, t *testing.T, certificate *pki.KeyPair, body string, change ...func(*http.Request)) (status int, answer string, err error) {
	t.Helper()
	config := &tls.Config{RootCAs: shared.servingCA.Pool(), MinVersion: tls.VersionTLS12}
	if certificate != nil {
		pair := certificate.TLS()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+shared.address+"/tokenreview", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for _, one := range change {
		one(request)
	}
	return do(&http.Client{Transport: transport}, request)
}

func do(client *http.Client, request *http.Request) (status int, body string, err error) {
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// pace is how often each client of a load asks.
const pace = 2 * time.Millisecond

// load are people with tokens that were never seen before, good ones and forged ones, so that every request is one that
// Ostiary is asked about.
type load struct {
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu               sync.Mutex
	good, bad        int      // that were answered as they are to be
	refused, lenient []string // good ones refused, forged ones admitted
}

// startLoad starts clients of both API servers and waits until each was answered.
func startLoad(t *testing.T) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	t.Cleanup(l.stop)
	const clients = 4
	for _, version := range []string{v1, v1beta1} {
		for range clients {
			client := newClient(t, shared.callers[version])
			l.work.Go(func() { l.run(ctx, t, client) })
		}
	}
	stage.Await(t, "the load to be answered", func(context.Context) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.good >= 2*clients
	})
	return l
}

func (l *load) run(ctx context.Context, t *testing.T, client *client) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		token := mint(t, nil)
		good, _, goodErr := client.get(ctx, token)
		forged, _, forgedErr := client.get(ctx, token[:len(token)-8]+"AAAAAAAA")
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		if goodErr == nil && good == http.StatusOK {
			l.good++
		} else {
			l.refused = append(l.refused, fmt.Sprintf("status %d, %v", good, goodErr))
		}
		if forgedErr == nil && forged == http.StatusUnauthorized {
			l.bad++
		} else {
			l.lenient = append(l.lenient, fmt.Sprintf("status %d, %v", forged, forgedErr))
		}
		l.mu.Unlock()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// forget forgets the good tokens that were refused so far, and returns how many those were.
func (l *load) forget() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.refused)
	l.refused = nil
	return n
}

// more waits for n more good tokens to be let in.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.good
	}
	until := count() + n
	stage.Await(t, "more to be let in", func(context.Context) bool { return count() >= until })
}

func (l *load) stop() {
	l.cancel()
	l.work.Wait()
}

// mustBeFine ends the load: no good token may have been refused since the last forget, and no forged one ever admitted.
func (l *load) mustBeFine(t *testing.T) {
	t.Helper()
	l.stop()
	if len(l.refused) > 0 {
		t.Errorf("%d good tokens were refused, the first with %s", len(l.refused), l.refused[0])
	}
	if len(l.lenient) > 0 {
		t.Errorf("%d forged tokens were not refused, the first with %s", len(l.lenient), l.lenient[0])
	}
	t.Logf("%d good tokens were let in, %d forged ones refused", l.good, l.bad)
}

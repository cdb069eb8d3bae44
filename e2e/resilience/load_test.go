package resilience_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// pace is how often each client of a load asks: fast enough that any change meets a request, slow enough that the load
// measures the gate and not the machine.
const pace = 5 * time.Millisecond

// caller is a client of the gate with one credential.
type caller struct {
	name   string
	server string
	token  string
	client *http.Client
}

// newCaller makes a client that keeps its connections, or one that makes a new one for each request.
func newCaller(t *testing.T, name string, access kubectl.Access, keeps bool) *caller {
	t.Helper()
	config := &tls.Config{
		// Gates that follow each other have authorities of their own; whom the client talks to is not in question here.
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS12,
	}
	if access.ClientCertificate != nil {
		pair := access.ClientCertificate.TLS()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: !keeps, ForceAttemptHTTP2: keeps}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{name, access.Server, access.Token, &http.Client{Transport: transport}}
}

// do sends a request and reads the whole answer.
func (c *caller) do(ctx context.Context, method, path, body string) (status int, header http.Header, content string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.client.Do(request)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	all, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(all), err
}

// get asks for something that every authenticated caller may have and that the API server has at hand.
func (c *caller) get(ctx context.Context) (status int, header http.Header, content string, err error) {
	return c.do(ctx, http.MethodGet, "/api", "")
}

// admitted tells whether the caller is let in.
func (c *caller) admitted(ctx context.Context) bool {
	status, _, _, err := c.get(ctx)
	return err == nil && status == http.StatusOK
}

// refused tells whether the caller is refused for want of a credential.
func (c *caller) refused(ctx context.Context) bool {
	status, _, _, err := c.get(ctx)
	return err == nil && status == http.StatusUnauthorized
}

// groups are those that the API server sees.
func (c *caller) groups(ctx context.Context) []string {
	_, _, content, err := c.do(ctx, http.MethodPost, "/apis/authentication.k8s.io/v1/selfsubjectreviews", reviewBody)
	var review authenticationv1.SelfSubjectReview
	if err != nil || json.Unmarshal([]byte(content), &review) != nil {
		return nil
	}
	return review.Status.UserInfo.Groups
}

const reviewBody = `{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}`

// load are clients that never cease to ask.
type load struct {
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	good     map[string]int
	failures []failure
}

// failure is a request that was not answered as it was to be.
type failure struct {
	caller string
	status int
	err    error
}

func (f failure) String() string {
	return fmt.Sprintf("%s: status %d, error %v", f.caller, f.status, f.err)
}

// certificate is one of the load's authority.
func (h *house) certificate(t *testing.T, authority *pki.Authority) *pki.KeyPair {
	t.Helper()
	pair, err := authority.Issue(pki.Client(user, "platform"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// load starts clients with every credential, on kept connections and on new ones, and waits until each was answered.
func (h *house) load(t *testing.T) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel, good: map[string]int{}}
	t.Cleanup(func() { l.stop() })
	credentials := map[string]kubectl.Access{
		"certificate": h.Access().WithCertificate(h.certificate(t, h.users)),
		"static":      h.Access().WithToken(h.staticToken),
		"jwt":         h.Access().WithToken(token(t, shared.issuer, user)),
	}
	for name, access := range credentials {
		for kind, keeps := range map[string]bool{"kept": true, "new": false} {
			c := newCaller(t, name+" "+kind, access, keeps)
			l.work.Go(func() { l.run(ctx, c) })
		}
	}
	stage.Await(t, "every client of the load to be answered", func(context.Context) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.good) == 2*len(credentials)
	})
	return l
}

func (l *load) run(ctx context.Context, c *caller) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		status, _, _, err := c.get(ctx)
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		if err == nil && status == http.StatusOK {
			l.good[c.name]++
		} else {
			l.failures = append(l.failures, failure{c.name, status, err})
		}
		l.mu.Unlock()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// answered is how many requests were answered well so far.
func (l *load) answered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, good := range l.good {
		n += good
	}
	return n
}

// stop ends the load and returns what failed.
func (l *load) stop() []failure {
	l.cancel()
	l.work.Wait()
	return l.failures
}

// mustBeFine ends the load; no request may have failed.
func (l *load) mustBeFine(t *testing.T) {
	t.Helper()
	failures := l.stop()
	for i, f := range failures {
		if i == 5 { //nolint:mnd // enough to see what is wrong
			break
		}
		t.Error(f)
	}
	t.Logf("%d failures; answered: %v", len(failures), l.good)
}

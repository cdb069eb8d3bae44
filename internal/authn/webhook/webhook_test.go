package webhook_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/webhook"
	"github.com/ostiary/ostiary/internal/secret"
)

// peer is a service whose answers a test writes; end to end, a real API server is the service.
type peer struct {
	*httptest.Server
	asked atomic.Int32
}

func newPeer(t *testing.T, handler http.HandlerFunc) *peer {
	t.Helper()
	p := &peer{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		handler(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// kubeconfig names the peer.
func (p *peer) kubeconfig(t *testing.T) string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	content := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c",
"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{"token":"gate"}}],
"clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority":%q}}]}`, p.URL+"/review", ca)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func service(t *testing.T, p *peer, change func(*webhook.Config)) *webhook.Mechanism {
	t.Helper()
	config := webhook.Config{Kubeconfig: p.kubeconfig(t), Version: "v1", CacheTTL: time.Minute, Timeout: 5 * time.Second, MaxConcurrent: 10}
	if change != nil {
		change(&config)
	}
	s, err := webhook.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	m, err := s.For([]string{"api"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ask(t *testing.T, m *webhook.Mechanism, token string) authn.Answer {
	t.Helper()
	return m.AuthenticateToken(t.Context(), &authn.Request{Audiences: []string{"api"}, Now: time.Now()}, secret.New(token))
}

// says answers with a status.
func says(status authenticationv1.TokenReviewStatus) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		review := authenticationv1.TokenReview{Status: status}
		review.APIVersion, review.Kind = "authentication.k8s.io/v1", "TokenReview"
		_ = json.NewEncoder(w).Encode(review)
	}
}

var wendy = authenticationv1.UserInfo{Username: "wendy", UID: "u", Groups: []string{"dev"}, Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}}}

// TestHostileAnswers is attack 42: what is not clearly a yes is none, and says whether it is a technical failure.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for _, tt := range []struct {
		name    string
		answer  http.HandlerFunc
		outcome authn.Outcome
		failed  bool
	}{
		{name: "yes", answer: says(authenticationv1.TokenReviewStatus{Authenticated: true, User: wendy}), outcome: authn.Accepted},
		{name: "WH-6 yes with an error", answer: says(authenticationv1.TokenReviewStatus{Authenticated: true, User: wendy, Error: "x"}), outcome: authn.Accepted},
		{name: "WH-5 no, with a user filled in", answer: says(authenticationv1.TokenReviewStatus{User: wendy}), outcome: authn.NoCredential},
		{name: "WH-5 no, with an error", answer: says(authenticationv1.TokenReviewStatus{User: wendy, Error: "bad"})},
		{name: "WH-4 another audience", answer: says(authenticationv1.TokenReviewStatus{Authenticated: true, User: wendy, Audiences: []string{"vault"}}), outcome: authn.NoCredential},
		{name: "empty body", answer: text(200, "")},
		{name: "no JSON", answer: text(200, "yes")},
		{name: "other kind", answer: text(200, `{"apiVersion":"v1","kind":"Pod"}`)},
		{name: "401", answer: text(401, "{}"), failed: true},
		{name: "503", answer: text(503, "{}"), failed: true},
		{name: "longer than a megabyte", answer: text(200, `{"x":"`+strings.Repeat("x", 2<<20)+`"}`)},
		{name: "redirect", failed: true, answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, tt.answer)
			got := ask(t, service(t, p, nil), "token")
			if got.Outcome != tt.outcome || got.Failed != tt.failed {
				t.Errorf("outcome %d failed %v, want %d %v (%v)", got.Outcome, got.Failed, tt.outcome, tt.failed, got.Cause)
			}
			if got.Outcome == authn.Accepted && (got.Credential.Identity.Username != "wendy" || strings.Contains(got.Credential.ID.String(), "token")) {
				t.Errorf("%+v", got.Credential)
			}
			if p.asked.Load() != 1 {
				t.Errorf("asked %d times", p.asked.Load())
			}
		})
	}
}

// TestNoTokenInErrors: services that repeat the token do not bring it into a log.
func TestNoTokenInErrors(t *testing.T) {
	t.Parallel()
	const token = `hunter2-"quoted"-token`
	for name, answer := range map[string]http.HandlerFunc{
		"in the answer": says(authenticationv1.TokenReviewStatus{Error: "no such token: " + token}),
		"in a failure": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("cannot look up " + token))
		},
	} {
		got := ask(t, service(t, newPeer(t, answer), nil), token)
		if got.Cause == nil || strings.Contains(got.Cause.Error(), "hunter2") {
			t.Errorf("%s: %v", name, got.Cause)
		}
	}
}

// TestRemembered: answers are remembered (WH-8), the same credential each time, and failures are not (attack 87).
func TestRemembered(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		says(authenticationv1.TokenReviewStatus{Authenticated: true, User: wendy})(w, r)
	})
	m := service(t, p, nil)
	down.Store(true)
	if got := ask(t, m, "token"); !got.Failed {
		t.Errorf("%+v, want a technical failure", got)
	}
	down.Store(false)
	first := ask(t, m, "token")
	down.Store(true)
	if again := ask(t, m, "token"); first.Credential == nil || again.Credential != first.Credential {
		t.Errorf("%+v then %+v, want the same credential during an outage", first, again)
	}
	if got := ask(t, m, "other"); !got.Failed {
		t.Errorf("%+v, want a technical failure for a token that was never seen", got)
	}
}

// TestBreaker: a service that fails is left alone, which the twin without a breaker does not do.
func TestBreaker(t *testing.T) {
	t.Parallel()
	const tries = 12
	for _, tt := range []struct {
		name       string
		concurrent int
		asked      int32
	}{{"breaker", 10, 5}, {"twin", 0, tries}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
			m := service(t, p, func(c *webhook.Config) { c.MaxConcurrent = tt.concurrent })
			for i := range tries {
				if got := ask(t, m, fmt.Sprint(i)); !got.Failed {
					t.Errorf("%+v, want a technical failure", got)
				}
			}
			if got := p.asked.Load(); got != tt.asked {
				t.Errorf("asked %d times, want %d", got, tt.asked)
			}
		})
	}
}

// TestConcurrency: no more questions are under way than are allowed; further ones fail at once.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	release, arrived := make(chan struct{}), make(chan struct{}, 2)
	p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		says(authenticationv1.TokenReviewStatus{Authenticated: true, User: wendy})(w, r)
	})
	m := service(t, p, func(c *webhook.Config) { c.MaxConcurrent = 2 })
	var group sync.WaitGroup
	for i := range 2 {
		group.Go(func() {
			if got := ask(t, m, fmt.Sprint("patient", i)); got.Outcome != authn.Accepted {
				t.Errorf("%+v", got)
			}
		})
	}
	<-arrived
	<-arrived
	if got := ask(t, m, "one too many"); !got.Failed || p.asked.Load() != 2 {
		t.Errorf("%+v after %d questions, want a failure at once", got, p.asked.Load())
	}
	close(release)
	group.Wait()
	if got := ask(t, m, "afterwards"); got.Outcome != authn.Accepted {
		t.Errorf("%+v once there is room", got)
	}
}

// TestDeadline: a service that does not answer costs no more than is allowed.
func TestDeadline(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	p := newPeer(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	})
	t.Cleanup(func() { close(done) })
	m := service(t, p, func(c *webhook.Config) { c.Timeout = 50 * time.Millisecond })
	if got := ask(t, m, "token"); !got.Failed {
		t.Errorf("%+v, want a technical failure", got)
	}
}

package server

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/policy"
	"github.com/ostiary/ostiary/internal/testca"
)

// reviewSection is added to a configuration whose callers are signed by callers-ca.crt.
const reviewSection = `tokenReview:
  address: ADDRESS
  tls: {certFile: tls.crt, keyFile: tls.key}
  callers:
  - {name: asking, caFiles: [callers-ca.crt], allowedNames: [apiserver], mechanisms: [staticToken], audiences: [api]}
`

// asker is an API server that keeps its connection.
func asker(t *testing.T, certificate tls.Certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify:   true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil },
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// review asks about a token.
func review(t *testing.T, client *http.Client, address, token string) (status int, answer string) {
	t.Helper()
	body := `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"` + token + `"}}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/tokenreview", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.ProtoMajor != 2 {
		t.Errorf("the review went over %s", response.Proto)
	}
	return response.StatusCode, string(content)
}

func TestReviewsServeReloadAndStop(t *testing.T) {
	t.Parallel()
	b, callers := newBed(t), testca.New(t, "callers")
	b.write(t, "callers-ca.crt", callers.PEM())
	section := strings.Replace(reviewSection, "ADDRESS", "127.0.0.1:0", 1)
	b.configure(t, section)
	s := start(t, b)
	line, at := s.log.await(t, 0, `"listening"`, `"tokenReview"`)
	var listening struct{ Address string }
	if err := json.Unmarshal([]byte(line), &listening); err != nil {
		t.Fatal(err)
	}
	client := asker(t, callers.Issue(t, testca.Subject("apiserver")))
	if status, answer := review(t, client, listening.Address, token); status != http.StatusOK || !strings.Contains(answer, `"username":"alice"`) || !strings.Contains(answer, `"audiences":["api"]`) {
		t.Fatalf("%d %s", status, answer)
	}
	s.access.await(t, 0, `"token_review"`, `"asking"`, `"alice"`, `"allow"`)
	if status, answer := review(t, client, listening.Address, "bad"); status != http.StatusOK || !strings.Contains(answer, `"authenticated":false`) {
		t.Errorf("%d %s", status, answer)
	}

	// The open connection is under the rules of today.
	b.configure(t, section+"groupRules: [{name: by-caller, match: {clusters: [asking]}, add: [asked]}]\n")
	_, at = s.log.await(t, at, "configuration reloaded")
	if _, answer := review(t, client, listening.Address, token); !strings.Contains(answer, `"asked"`) {
		t.Errorf("the group rule is not in force: %s", answer)
	}
	b.write(t, "callers-ca.crt", testca.New(t, "others").PEM())
	_, at = s.log.await(t, at, "configuration reloaded")
	if status, answer := review(t, client, listening.Address, token); status != http.StatusForbidden {
		t.Errorf("a CA that was taken away counts on an open connection: %d %s", status, answer)
	}
	if _, metrics := get(t, "http://"+s.admin+"/metrics", ""); !strings.Contains(metrics, `ostiary_token_reviews_total{caller="asking",code="200",mechanism="staticToken",reason="accepted",verdict="allow"} 2`) ||
		!strings.Contains(metrics, `reason="unknown_caller"`) || strings.Contains(metrics, `ostiary_requests_total{cluster="asking"`) {
		t.Error("reviews are not counted as such")
	}

	// Another address takes a restart.
	b.configure(t, strings.Replace(section, "127.0.0.1:0", "127.0.0.1:1", 1))
	s.log.await(t, at, "take effect at a restart only")
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestConfinedTokensAreNotReviewed: what a credential is for is not known in a review (G-16).
func TestConfinedTokensAreNotReviewed(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.write(t, "callers-ca.crt", testca.New(t, "callers").PEM())
	b.configure(t, strings.Replace(reviewSection, "ADDRESS", "127.0.0.1:0", 1))
	checked, err := config.Load(filepath.Join(b.dir, "ostiary.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	assembled := func(requests []policy.RequestRule) error {
		a := &assembly{checked: checked, logger: slog.New(slog.DiscardHandler), policy: policy.Config{Mechanisms: map[identity.Mechanism]policy.MechanismRules{}}}
		a.callers = append(a.callers, &draft{caller: &checked.TokenReview.Callers[0], chain: authn.Config{Guard: authn.Unguarded()}})
		if err := a.staticToken(); err != nil {
			return err
		}
		rules := a.policy.Mechanisms[identity.StaticToken]
		rules.Requests = requests
		a.policy.Mechanisms[identity.StaticToken] = rules
		admitter, err := policy.New(a.policy)
		if err != nil {
			return err
		}
		_, err = a.reviews(admitter)
		return err
	}
	content := checked.StaticToken.Content
	again := append([]byte(nil), content...)
	if err := assembled(nil); err != nil {
		t.Errorf("the twin: %v", err)
	}
	checked.StaticToken.Content = again
	if err := assembled([]policy.RequestRule{{Verbs: []string{"get"}, Paths: []string{"/version"}}}); err == nil || !strings.Contains(err.Error(), "certain requests") {
		t.Errorf("%v", err)
	}
}

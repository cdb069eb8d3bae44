package lockout_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// answer is what a plain client of the gate is told.
type answer struct {
	status    int
	requestID string
	retry     string
	body      metav1.Status
}

// present presents a token from this machine.
func (h *house) present(t *testing.T, token string) answer {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(h.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+"/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	result := answer{status: response.StatusCode, requestID: response.Header.Get("Audit-Id"), retry: response.Header.Get("Retry-After")}
	_ = json.Unmarshal(content, &result.body) // an API server's own answer is something else
	return result
}

// guess presents wrong passwords, and counts how many were looked at.
func (h *house) guess(t *testing.T, n int, token func() string) (judged int) {
	t.Helper()
	for range n {
		switch got := h.present(t, token()); got.status {
		case http.StatusUnauthorized:
			judged++
		case http.StatusTooManyRequests:
		default:
			t.Fatalf("a wrong token: status %d", got.status)
		}
	}
	return judged
}

func wrongPassword() string { return "salmon-" + rand.Text()[:4] }

// TestLockoutAnswers429: who guessed too much is refused with 429, a Status that says until when and no Retry-After, so that kubectl does
// not hang; their right password does not help; a colleague with a strong token or a certificate comes in from the
// same address. It holds after a restart, is listed, explained and taken off, and all of that is on record.
func TestLockoutAnswers429(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	johns := h.as(t, password)
	act(t, johns, "auth", "whoami")
	if judged := h.guess(t, 30, wrongPassword); judged > 21 || judged < 20 { // one may have come back meanwhile
		t.Errorf("%d guesses were looked at, want 20", judged)
	}
	locked := h.present(t, password)
	if locked.status != http.StatusTooManyRequests || locked.retry != "" || locked.body.Reason != metav1.StatusReasonTooManyRequests || locked.body.Details != nil {
		t.Fatalf("the right password is answered with %+v", locked)
	}
	until := regexp.MustCompile(`until (\S+)$`).FindStringSubmatch(locked.body.Message)
	if until == nil {
		t.Fatalf("not until when: %q", locked.body.Message)
	}
	if end, err := time.Parse(time.RFC3339, until[1]); err != nil || time.Until(end) < time.Minute || time.Until(end) > 210*time.Second {
		t.Errorf("until %s, %v", until[1], err)
	}
	if strings.Contains(locked.body.Message, john) || strings.Contains(locked.body.Message, "passw") {
		t.Errorf("the answer tells too much: %q", locked.body.Message)
	}
	h.toldByKubectl(t, johns, until[1])

	guards := h.as(t, h.guards)
	act(t, guards, "auth", "whoami")
	act(t, h.as(t, h.strong), "auth", "whoami")
	pair, err := h.users.Issue(pki.Client("jill"))
	if err != nil {
		t.Fatal(err)
	}
	act(t, h.with(t, h.Access().WithCertificate(pair)), "auth", "whoami")

	// It is kept: a restart does not give an attacker a new budget.
	await(t, "the lock to be written", func() bool { return h.metric(t, "ostiary_lockout_store_writes_total") >= 1 })
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	again := h.present(t, password)
	if again.status != http.StatusTooManyRequests {
		t.Fatalf("after a restart: %+v", again)
	}
	guards = h.as(t, h.guards)
	list := act(t, guards, "ostiary", "get", "lockouts")
	if !strings.Contains(list, "127.0.0.1/32") {
		t.Errorf("not in the list:\n%s", list)
	}
	if why := act(t, guards, "ostiary", "explain", again.requestID); !strings.Contains(why, "locked_out") || !strings.Contains(why, "prefix 127.0.0.1/32") {
		t.Errorf("not explained:\n%s", why)
	}
	for _, args := range [][]string{{"get", "lockouts"}, {"explain", again.requestID}, {"unlock", "--source=127.0.0.1", "--reason=x"}} {
		result, err := h.as(t, h.strong).Run(t.Context(), append([]string{"ostiary"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		if result.ExitCode != 1 || !strings.Contains(result.Stderr, "cannot ") {
			t.Errorf("somebody without the right: %s", result)
		}
	}
	act(t, guards, "ostiary", "unlock", "--source=127.0.0.1", "--reason=the old script is stopped")
	if got := h.present(t, password); got.status != http.StatusOK {
		t.Errorf("after the unlock: %+v", got)
	}
	if list := act(t, guards, "ostiary", "get", "lockouts", "-o", "name"); strings.TrimSpace(list) != "" {
		t.Errorf("still in the list: %s", list)
	}
	h.onRecord(t)
}

// toldByKubectl wants kubectl to say until when, and soon: it would ask ten times if it were told after how long.
func (h *house) toldByKubectl(t *testing.T, k kubectl.Command, until string) {
	t.Helper()
	for _, args := range [][]string{{"auth", "whoami"}, {"get", "pods"}, {"get", "--raw", "/api"}} {
		began := time.Now()
		result, err := k.Run(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("took %s\n%s", time.Since(began).Round(time.Millisecond), result)
		if result.ExitCode == 0 || !strings.Contains(result.Stderr, "until "+until[:len("2006-01-02T15:04")]) {
			t.Errorf("kubectl does not say until when: %s", result)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("kubectl took %s to say so", took)
		}
	}
}

// onRecord wants a line of the lock and one of its end in the access log.
func (h *house) onRecord(t *testing.T) {
	t.Helper()
	lines, err := h.AccessLog()
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for i := range lines {
		if lines[i].Source == "127.0.0.1/32" {
			count[lines[i].Kind]++
		}
	}
	if count["lock"] != 1 || count["unlock"] != 1 {
		t.Errorf("on record: %v, want one lock and one unlock", count)
	}
}

// TestBootstrapPairIsLocked: of a bootstrap token's id five secrets are tried, whether or not there is such a token.
func TestBootstrapPairIsLocked(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	for _, id := range []string{victimID, "nobody"} {
		if judged := h.guess(t, 8, func() string { return id + "." + randomPart() }); judged != 5 {
			t.Errorf("%s: %d guesses were looked at, want 5", id, judged)
		}
	}
	if got := h.present(t, h.bootstrap); got.status != http.StatusTooManyRequests {
		t.Errorf("the right secret: %+v", got)
	}
	list := act(t, h.as(t, h.guards), "ostiary", "get", "lockouts", "--credential", "BOOTSTRAP="+victimID)
	if !strings.Contains(list, "pair") {
		t.Errorf("not in the list:\n%s", list)
	}
}

// TestLockoutDisabled is the twin: where the operator wants none, everybody may guess.
func TestLockoutDisabled(t *testing.T) {
	t.Parallel()
	h := open(t, func(config gate.Object) { config["lockout"] = gate.Object{"disabled": true} })
	if judged := h.guess(t, 60, wrongPassword); judged != 60 {
		t.Errorf("%d of 60 guesses were looked at", judged)
	}
	if got := h.present(t, password); got.status != http.StatusOK {
		t.Errorf("%+v", got)
	}
	if status := act(t, h.as(t, h.strong), "ostiary", "status"); !strings.Contains(status, "nobody who guesses tokens is locked out") {
		t.Errorf("the status does not say so:\n%s", status)
	}
}

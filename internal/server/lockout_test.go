package server

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/testca"
)

// guessAt presents n wrong passwords, and counts those that were looked at.
func guessAt(t *testing.T, s *running, n int) (judged int) {
	t.Helper()
	for range n {
		switch status, content := get(t, "https://"+s.url+"/api", "wrong-"+rand.Text()[:5]); status {
		case http.StatusUnauthorized:
			judged++
		case http.StatusTooManyRequests:
		default:
			t.Fatalf("%d %s", status, content)
		}
	}
	return judged
}

// notices are what the status says.
func notices(t *testing.T, s *running) []string {
	t.Helper()
	_, content := get(t, "https://"+s.url+adminapi.StatusPath, token)
	status, err := adminapi.ParseGateStatus([]byte(content))
	if err != nil {
		t.Fatalf("%v: %s", err, content)
	}
	return status.Notices
}

// TestLockoutReloads: changed settings are in force without a restart; what was locked by the old ones stays so.
func TestLockoutReloads(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.configure(t, "lockout: {prefix: {burst: 3, refill: 1h}}\n")
	s := start(t, b)
	if got := guessAt(t, s, 6); got != 3 {
		t.Errorf("%d guesses were looked at, want 3", got)
	}
	b.configure(t, "lockout: {disabled: true}\n")
	_, at := s.log.await(t, 0, "configuration reloaded")
	if got := guessAt(t, s, 6); got != 6 {
		t.Errorf("%d of 6 guesses were looked at while nobody is locked out", got)
	}
	if said := notices(t, s); len(said) != 1 || !strings.Contains(said[0], "lockout.disabled") {
		t.Errorf("the status says %q", said)
	}
	b.configure(t, "lockout: {prefix: {burst: 4, refill: 1h}}\n")
	_, at = s.log.await(t, at, "configuration reloaded")
	if got := guessAt(t, s, 3); got != 0 {
		t.Errorf("%d guesses were looked at although the lock has hours to go", got)
	}
	if said := notices(t, s); len(said) != 0 {
		t.Errorf("the status says %q", said)
	}
	b.configure(t, "lockout: {prefix: {burst: 0, refill: 2h}}\n")
	s.log.await(t, at, "last good one stays in force", "lockout.prefix.refill")
}

// TestCrowdIsShown: the source that most users come from is not locked, and the status says which one and why.
func TestCrowdIsShown(t *testing.T) {
	t.Parallel()
	const users = 40
	b := newBed(t)
	file, tokens := token+",alice,7,dev\n", make([]string, users)
	for i := range tokens {
		tokens[i] = rand.Text() + rand.Text()
		file += fmt.Sprintf("%s,user-%d,%d\n", tokens[i], i, i)
	}
	b.write(t, "tokens.csv", []byte(file))
	b.configure(t, "lockout: {prefix: {burst: 3, refill: 1h}, strongPerSecond: 255}\n")
	s := start(t, b)
	if said := notices(t, s); len(said) != 0 {
		t.Errorf("the status says %q before", said)
	}
	for _, one := range tokens {
		if status, content := get(t, "https://"+s.url+"/api", one); status != http.StatusOK {
			t.Fatalf("%d %s", status, content)
		}
	}
	said := notices(t, s)
	if len(said) != 1 || !strings.Contains(said[0], "source 127.0.0.1/32 is not locked out") || !strings.Contains(said[0], "listen.proxyProtocol") {
		t.Errorf("the status says %q", said)
	}
	s.log.await(t, 0, "more than half of all users come from one source", "127.0.0.1/32")
	// Beyond its budget the rate is bounded, and nobody is locked out.
	if got := guessAt(t, s, 30); got != 30 {
		t.Errorf("%d of 30 guesses were looked at", got)
	}
	if text := s.access.all(); strings.Contains(text, `"lock"`) {
		t.Error("a lock is on record")
	}
}

// all is what there is.
func (l *lines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestReviewsAreHeldBackAndNeverLockedOut: beyond the budget what people thought up is answered to an API server with 429 and when to ask
// again, which is not remembered as a no; its strong tokens are always judged, and another API server notices nothing.
func TestReviewsAreHeldBackAndNeverLockedOut(t *testing.T) {
	t.Parallel()
	b, callers := newBed(t), testca.New(t, "callers")
	b.write(t, "callers-ca.crt", callers.PEM())
	section := strings.Replace(reviewSection, "ADDRESS", "127.0.0.1:0", 1) +
		"  - {name: other, caFiles: [callers-ca.crt], allowedNames: [other], mechanisms: [staticToken], audiences: [api]}\n"
	b.configure(t, section+"lockout: {prefix: {burst: 3, refill: 1h}, strongPerSecond: 1}\n")
	s := start(t, b)
	line, _ := s.log.await(t, 0, `"listening"`, `"tokenReview"`)
	var listening struct{ Address string }
	if err := json.Unmarshal([]byte(line), &listening); err != nil {
		t.Fatal(err)
	}
	asking, other := asker(t, callers.Issue(t, testca.Subject("apiserver"))), asker(t, callers.Issue(t, testca.Subject("other")))
	held := 0
	for i := range 40 {
		status, answer := review(t, asking, listening.Address, fmt.Sprint("thought-up-", i))
		switch {
		case status == http.StatusTooManyRequests:
			held++
		case status != http.StatusOK || !strings.Contains(answer, `"authenticated":false`):
			t.Fatalf("%d %s", status, answer)
		}
		if status, answer := review(t, asking, listening.Address, token); status != http.StatusOK || !strings.Contains(answer, `"alice"`) {
			t.Fatalf("a strong token, after %d wrong ones: %d %s", i, status, answer)
		}
	}
	if held == 0 {
		t.Error("all guesses were judged")
	}
	if status, answer := review(t, other, listening.Address, "thought-up"); status != http.StatusOK {
		t.Errorf("another API server is held back: %d %s", status, answer)
	}
	s.access.await(t, 0, `"token_review"`, `"too_many_attempts"`, "429")
	if text := s.access.all(); strings.Contains(text, `"kind":"lock"`) {
		t.Error("a lock is on record")
	}
	if status, _ := get(t, "https://"+s.url+"/api", "thought-up"); status != http.StatusUnauthorized {
		t.Errorf("the gate's own callers are held back for it: %d", status)
	}
}

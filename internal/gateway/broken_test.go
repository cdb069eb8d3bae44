package gateway_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/ostiary/ostiary/internal/accesslog"
)

// TestAnswersThatBreakOffAreFaults: half an answer is on record as such.
func TestAnswersThatBreakOffAreFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		content string
		verdict accesslog.Verdict
	}{
		{name: "half", content: "hello", verdict: accesslog.Fault},
		{name: "twin: whole", content: "hellohello", verdict: accesslog.Allow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "10")
				_, _ = io.WriteString(w, tt.content)
			}))
			conn := s.dial(t)
			if _, err := io.WriteString(conn, "GET /api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, conn)
			event := s.journal.await(t, func(accesslog.Event) bool { return true })
			if event.Verdict != tt.verdict || (event.Cause != nil) != (tt.verdict == accesslog.Fault) {
				t.Errorf("recorded %s: %v", event.Verdict, event.Cause)
			}
		})
	}
}

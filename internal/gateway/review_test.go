package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
)

func (b byToken) Readmit(_ context.Context, r *authn.Request, cred *authn.Credential) (*identity.Identity, error) {
	if b.readmit != nil {
		return b.readmit(r, cred)
	}
	return cred.Identity.Clone(), nil
}

// shutOutError refuses as a ledger does.
type shutOutError struct{ reason authn.Reason }

func (e shutOutError) Error() string               { return "refused for a test" }
func (e shutOutError) RefusalReason() authn.Reason { return e.reason }

// judging makes every cluster judge again by judge.
func judging(judge *atomic.Pointer[error]) func(*gateway.State) {
	return func(state *gateway.State) {
		for _, cluster := range state.Clusters {
			known, _ := cluster.Authenticator.(byToken)
			known.readmit = func(_ *authn.Request, cred *authn.Credential) (*identity.Identity, error) {
				if err := judge.Load(); err != nil {
					return nil, *err
				}
				return cred.Identity.Clone(), nil
			}
			cluster.Authenticator = known
		}
	}
}

// endless answers with a first line and then keeps the stream open.
func endless(mediaType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		_, _ = io.WriteString(w, "first\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// TestReviewCutsStreams: an open stream whose caller may not go on ends with words that say so, and those of others stay.
func TestReviewCutsStreams(t *testing.T) {
	t.Parallel()
	const watchPath, logPath = "/api/v1/pods?watch=1", "/api/v1/namespaces/a/pods/b/log?follow=1"
	revoked := shutOutError{"revoked"}
	for name, tt := range map[string]struct {
		path, mediaType string
		admitted        *identity.Identity // what comes of judging anew
		refused         error
		says, reason    string
	}{
		"revoked watch":      {path: watchPath, mediaType: "application/json", refused: revoked, says: `"code":401`, reason: "revoked"},
		"revoked log":        {path: logPath, mediaType: "text/plain", refused: revoked, says: "ended by the gate: the credential is not accepted any more", reason: "revoked"},
		"nobody knows":       {path: logPath, mediaType: "text/plain", refused: shutOutError{authn.ReasonUnavailable}, says: "cannot tell", reason: "ledger_unavailable"},
		"other groups":       {path: watchPath, mediaType: "application/json", admitted: &identity.Identity{Username: "alice", Groups: []string{"ops"}}, says: "changed", reason: "cut"},
		"certificate is bad": {path: watchPath, mediaType: "application/json", refused: authn.ErrNoLonger, says: `"code":401`, reason: "cut"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changed atomic.Bool
			s := newSetup(t, endless(tt.mediaType), func(state *gateway.State) {
				for _, cluster := range state.Clusters {
					known, _ := cluster.Authenticator.(byToken)
					known.readmit = func(_ *authn.Request, cred *authn.Credential) (*identity.Identity, error) {
						if changed.Load() && cred.Identity.Username == "alice" {
							return tt.admitted, tt.refused
						}
						return cred.Identity.Clone(), nil // another pointer says the same
					}
					cluster.Authenticator = known
				}
			})
			open := func(user string) *bufio.Reader {
				conn := s.dial(t)
				_, _ = io.WriteString(conn, "GET "+tt.path+" HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer "+user+"\r\n\r\n")
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _, _ = conn.Close(), response.Body.Close() })
				body := bufio.NewReader(response.Body)
				if line, err := body.ReadString('\n'); err != nil || line != "first\n" {
					t.Fatalf("%q, %v", line, err)
				}
				return body
			}
			alice, other := open("alice"), open("nobody")
			s.gate.Review(t.Context(), func(cause error) { t.Errorf("nothing changed, and a stream fell: %v", cause) })
			if open := len(s.gate.Streams(nil)); open != 2 {
				t.Fatalf("%d streams are open", open)
			}

			changed.Store(true)
			var causes []error
			s.gate.Review(t.Context(), func(cause error) { causes = append(causes, cause) })
			if len(causes) != 1 || tt.refused != nil && !errors.Is(causes[0], tt.refused) {
				t.Errorf("causes %v", causes)
			}
			rest, err := io.ReadAll(alice)
			if err != nil || !strings.Contains(string(rest), tt.says) {
				t.Errorf("the client was told %q, %v", rest, err)
			}
			s.journal.await(t, func(e accesslog.Event) bool {
				return e.Kind == accesslog.StreamEnd && e.Reason == tt.reason && e.Cause != nil
			})
			if open := s.gate.Streams(nil); len(open) != 1 || open[0].Username != identity.Anonymous {
				t.Errorf("open streams %+v", open)
			}
			if other.Buffered() > 0 {
				t.Error("the other stream was told something")
			}
		})
	}
}

// TestReviewCutsManyStreams: all of them are cut when Review returns, each counts once, and each client is told.
func TestReviewCutsManyStreams(t *testing.T) {
	t.Parallel()
	const many = 150 // more than end at a time
	var judge atomic.Pointer[error]
	s := newSetup(t, endless("application/json"), judging(&judge))
	var bodies []io.Reader
	for range many {
		conn := s.dial(t)
		_, _ = io.WriteString(conn, "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = conn.Close(), response.Body.Close() })
		bodies = append(bodies, response.Body)
	}
	var refused error = shutOutError{"revoked"}
	judge.Store(&refused)
	for _, want := range []int{many, 0} {
		fell := 0
		s.gate.Review(t.Context(), func(error) { fell++ })
		if fell != want {
			t.Errorf("%d streams fell, want %d", fell, want)
		}
	}
	for i, body := range bodies {
		if said, err := io.ReadAll(body); err != nil || !strings.Contains(string(said), `"code":401`) {
			t.Fatalf("stream %d: %q, %v", i, said, err)
		}
	}
}

// TestStreamsAreJudgedAfterRegistration: what changes after the first decision and before a stream can be cut ends it.
func TestStreamsAreJudgedAfterRegistration(t *testing.T) {
	t.Parallel()
	for reason, status := range map[authn.Reason]int{"revoked": http.StatusUnauthorized, authn.ReasonUnavailable: http.StatusServiceUnavailable} {
		var judge atomic.Pointer[error]
		s := newSetup(t, http.HandlerFunc(echo), judging(&judge))
		const request = "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n\r\n"
		if response, _ := s.raw(t, request); response.StatusCode != http.StatusOK {
			t.Errorf("the twin: status %d", response.StatusCode)
		}
		var refused error = shutOutError{reason}
		judge.Store(&refused)
		if response, _ := s.raw(t, request); response.StatusCode != status {
			t.Errorf("%s: status %d", reason, response.StatusCode)
		}
	}
}

// TestBodiesAreJudgedToTheirEnd: a request that was let in, and still sends when its caller is shut out, is not brought to
// its end.
func TestBodiesAreJudgedToTheirEnd(t *testing.T) {
	t.Parallel()
	for name, shutOut := range map[string]bool{"shut out": true, "the twin": false} {
		for framing, body := range map[string][2]string{
			"Content-Length: 6":          {"one", "two"},
			"Transfer-Encoding: chunked": {"3\r\none\r\n", "3\r\ntwo\r\n0\r\n\r\n"},
		} {
			t.Run(name+" "+framing, func(t *testing.T) {
				t.Parallel()
				began, whole := make(chan struct{}), make(chan bool, 1)
				var judge atomic.Pointer[error]
				s := newSetup(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					first := make([]byte, 3)
					_, _ = io.ReadFull(r.Body, first)
					close(began)
					rest, err := io.ReadAll(r.Body)
					whole <- err == nil && string(rest) == "two"
					_, _ = io.WriteString(w, "done")
				}), judging(&judge))
				conn := s.dial(t)
				_, _ = io.WriteString(conn, "POST /api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n"+framing+"\r\n\r\n"+body[0])
				<-began
				if shutOut {
					var refused error = shutOutError{"revoked"}
					judge.Store(&refused)
				}
				_, _ = io.WriteString(conn, body[1])
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = response.Body.Close() }()
				if got := <-whole; got == shutOut {
					t.Errorf("the cluster saw the whole body: %v", got)
				}
				if ok := response.StatusCode == http.StatusOK; ok == shutOut {
					t.Errorf("status %d", response.StatusCode)
				}
				if shutOut {
					s.journal.await(t, func(e accesslog.Event) bool { return e.Reason == "revoked" })
				}
			})
		}
	}
}

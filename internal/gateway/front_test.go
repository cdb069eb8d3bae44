package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/gateway"
)

// hall is a front that says what it was shown.
type hall struct{ seen chan gateway.Visitor }

func (h hall) ServeFront(w http.ResponseWriter, r *http.Request, visitor gateway.Visitor) gateway.Handled {
	h.seen <- visitor
	if strings.HasSuffix(r.URL.Path, "/no") {
		w.WriteHeader(http.StatusBadRequest)
		return gateway.Handled{Decision: authn.Decision{Reason: authn.ReasonRejected}}
	}
	w.WriteHeader(http.StatusOK)
	return gateway.Handled{}
}

// TestFront has requests below /.ostiary/ answered before anybody is authenticated, as that path was sent, and no others: those of a
// cluster stay its own. Each is on record.
func TestFront(t *testing.T) {
	t.Parallel()
	front := hall{make(chan gateway.Visitor, 10)}
	s := newSetupWithFront(t, http.HandlerFunc(echo), front)
	for path, want := range map[string]struct {
		front  bool
		status int
	}{
		"/.ostiary/yes": {true, http.StatusOK}, "/.ostiary/no": {true, http.StatusBadRequest}, "/.ostiary": {false, http.StatusUnauthorized},
		"/clusters/first/.ostiary/yes": {false, http.StatusUnauthorized}, "/%2eostiary/yes": {false, http.StatusUnauthorized}, "//.ostiary/yes": {false, http.StatusUnauthorized},
	} {
		response, content := s.raw(t, "GET "+path+" HTTP/1.1\r\nHost: gate\r\nX-Remote-User: admin\r\n\r\n")
		if response.StatusCode != want.status {
			t.Errorf("%s: status %d: %s", path, response.StatusCode, content)
		}
		select {
		case visitor := <-front.seen:
			if !want.front || !visitor.Asked.Source.IsLoopback() || visitor.Asked.Asserted != nil || visitor.Asked.Header != nil || visitor.Asked.Cluster != "" {
				t.Errorf("%s: %+v", path, visitor.Asked)
			}
		default:
			if want.front {
				t.Errorf("%s does not reach the front", path)
			}
		}
	}
	s.journal.await(t, func(e accesslog.Event) bool {
		return e.Path == "/.ostiary/yes" && e.Verdict == accesslog.Allow && e.Status == http.StatusOK
	})
	s.journal.await(t, func(e accesslog.Event) bool {
		return e.Path == "/.ostiary/no" && e.Verdict == accesslog.Deny && e.Reason == string(authn.ReasonRejected)
	})
}

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzMessage sends an agent messages of any kind: each is answered by what was asked for or by a failure with a text, and none brings a
// session.
func FuzzMessage(f *testing.F) {
	paths := []string{pathPut, pathCredential, pathLead, pathLeave, pathList}
	for i := range paths {
		for _, body := range []string{"", "{}", "null", `{"name":"x"}`, `{"names":["x"],"all":true,"local":true}`, `{"name":"x","pid":1}`, `{"begin":null}`, `[`} {
			f.Add(uint8(i), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		path := paths[int(which)%len(paths)]
		var asked credentialRequest
		if path == pathCredential && json.Unmarshal(body, &asked) == nil && asked.Begin != nil {
			return // it would go to the network, or read a file
		}
		ctx, cancel := context.WithCancel(t.Context())
		stop, done := context.WithCancelCause(ctx)
		k := newKeeper(stop, done, slog.New(slog.DiscardHandler))
		k.closed = make(chan struct{})
		close(k.closed)
		request := httptest.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(body))
		recorder := httptest.NewRecorder()
		if path == pathLead { // whoever leads holds the connection
			cancel()
		}
		k.handler().ServeHTTP(recorder, request)
		cancel()
		k.tasks.Wait()
		switch recorder.Code {
		case http.StatusOK:
			if !json.Valid(recorder.Body.Bytes()) {
				t.Errorf("%s %q is answered with %q", path, body, recorder.Body)
			}
			if path == pathPut && len(k.sessions) != 1 {
				t.Errorf("%q was taken in, and is not there", body)
			}
		case http.StatusUnprocessableEntity:
			var said failure
			if err := json.Unmarshal(recorder.Body.Bytes(), &said); err != nil || said.Message == "" || said.Code == "" {
				t.Errorf("%s %q is refused with %q", path, body, recorder.Body)
			}
			if len(k.sessions) != 0 || len(k.leads) != 0 {
				t.Errorf("%s %q is refused, and leaves something", path, body)
			}
		default:
			t.Errorf("%s %q: status %d", path, body, recorder.Code)
		}
	})
}

// answering is an agent that says the same to everything.
type answering struct {
	status int
	body   []byte
}

// RoundTrip implements http.RoundTripper.
func (a answering) RoundTrip(request *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(a.body)), Request: request}, nil
}

// FuzzAnswer has a client read answers of any kind: nothing is handed out beside an error, and each error has a text.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{"", "{}", "null", "[]", `{"code":"ended","message":"it is over"}`, `{"certificate":"x","key":"y","notAfter":"2026-01-01T00:00:00Z"}`, `{"lead":true}`, `[{"name":"x","notAfter":""}]`} {
		f.Add(uint16(http.StatusOK), []byte(body))
		f.Add(uint16(http.StatusUnprocessableEntity), []byte(body))
	}
	f.Fuzz(func(t *testing.T, status uint16, body []byte) {
		client := &Client{http: &http.Client{Transport: answering{int(status), body}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
		wrong := func(what string, got bool, err error) {
			if err != nil && (got || strings.TrimSpace(err.Error()) == "") || err == nil && status != http.StatusOK {
				t.Errorf("%s: %t, %v", what, got, err)
			}
		}
		handed, err := client.Credential(t.Context(), "x")
		wrong("credential", handed != nil, err)
		infos, err := client.List(t.Context())
		wrong("list", infos != nil, err)
		lefts, err := client.Leave(t.Context(), nil, true, true)
		wrong("leave", lefts != nil, err)
		leads, done, err := client.Lead(t.Context(), "x")
		wrong("lead", leads, err)
		if err == nil {
			done()
		}
	})
}

package gateway_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"testing"
)

// TestDrainEndsLateWatches: a watch that was still being decided when draining began does not hold it up.
func TestDrainEndsLateWatches(t *testing.T) {
	t.Parallel()
	started := make(chan struct{}, 2)
	s := newSetup(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		started <- struct{}{}
		<-r.Context().Done()
	}))
	ask := func(path string) *bufio.Reader {
		conn := s.dial(t)
		_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer alice\r\n\r\n")
		return bufio.NewReader(conn)
	}
	ask("/api/v1/namespaces/a/pods/b/log?follow=1")
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan struct{})
	go func() { s.gate.Drain(ctx); close(drained) }()
	defer func() { cancel(); <-drained }()

	// The first may be ended by Drain itself, the second comes after it for certain.
	for range 2 {
		response, err := http.ReadResponse(ask("/api/v1/pods?watch=1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Errorf("the watch did not end cleanly: %v", err)
		}
		_ = response.Body.Close()
	}
}

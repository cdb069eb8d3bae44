package oidclogin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	// callbackPath is where the answer is waited for. It is part of what a provider has on record for the client.
	callbackPath = "/callback"
	// donePath is where the browser ends, so that no code stays in its address bar.
	donePath = "/done"
	// headerTimeout and maxHeader bound what is read of a browser's request.
	headerTimeout = 10 * time.Second
	maxHeader     = 32 << 10
	// pageTimeout is for how long a browser may take to fetch the last page, once the answer is here.
	pageTimeout = 5 * time.Second
)

// DefaultPorts are those that are tried first for the answer of a browser: providers that compare the port have them on
// record, as they are common to such programs. Port 0, any that is free, comes last (RFC 8252 section 7.3).
func DefaultPorts() []int { return []int{8000, 18000, 0} }

// Code signs in with a browser on this machine. show is given the address at which the person signs in, and opens the browser
// there or asks the person to; the answer is waited for on the first of ports that is free, on the loopback interface.
func (c *Client) Code(ctx context.Context, ports []int, show func(address string) error) (*Tokens, error) {
	listener, err := listen(ctx, ports)
	if err != nil {
		return nil, err
	}
	host := listener.Addr().String()
	a := c.begin("http://" + host + callbackPath)
	waiting := &callback{
		host: host, read: func(answer url.Values) (string, error) { return c.code(a, answer) },
		result: make(chan outcome, 1), ended: make(chan struct{}), done: make(chan struct{}),
	}
	server := &http.Server{Handler: waiting.handler(), ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeader}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // it ends because of Close, below
	}()
	defer func() {
		// Nothing of interest is left on these connections.
		_ = server.Close()
		<-served
	}()
	if err := show(a.url()); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("nobody signed in: %w", context.Cause(ctx))
	case got := <-waiting.result:
		var tokens *Tokens
		if err := got.err; err == nil {
			tokens, err = c.redeem(ctx, a, got.code)
			got.err = err
		}
		waiting.finish(got.err)
		waiting.shown(ctx, server)
		return tokens, got.err
	}
}

// listen takes the first port that is free. 127.0.0.1 and not the name localhost, which may mean another machine (RFC 8252
// section 8.3).
func listen(ctx context.Context, ports []int) (net.Listener, error) {
	var config net.ListenConfig
	var failures []error
	for _, port := range ports {
		listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return listener, nil
		}
		failures = append(failures, err)
	}
	return nil, fmt.Errorf("no port to wait for the browser's answer; name others with --port: %w", errors.Join(failures...))
}

// outcome is what the browser brought.
type outcome struct {
	code string
	err  error
}

// callback is the page to which the provider sends the browser. It takes one answer.
type callback struct {
	host   string
	read   func(url.Values) (string, error)
	result chan outcome
	once   sync.Once

	failed error         // set before ended is closed
	ended  chan struct{} // closed when it is known how the sign-in ended
	done   chan struct{} // closed once the last page was written
	closed sync.Once
}

func (c *callback) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+callbackPath, func(w http.ResponseWriter, r *http.Request) {
		code, err := c.read(r.URL.Query())
		if errors.Is(err, errOtherState) {
			// An old tab, or somebody who looks at the port. Neither ends the sign-in that is waited for.
			writePage(w, http.StatusBadRequest, page{Heading: "This belongs to no sign-in that is waited for", Text: "Go back to the terminal."})
			return
		}
		c.once.Do(func() { c.result <- outcome{code: code, err: err} })
		http.Redirect(w, r, donePath, http.StatusSeeOther)
	})
	mux.HandleFunc("GET "+donePath, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-c.ended:
		case <-r.Context().Done():
			return
		}
		if c.failed != nil {
			writePage(w, http.StatusOK, page{Heading: "You are not signed in", Text: c.failed.Error()})
		} else {
			writePage(w, http.StatusOK, page{Heading: "You are signed in", Text: "You can close this window and go back to the terminal."})
		}
		c.closed.Do(func() { close(c.done) })
	})
	// A page elsewhere that has its own name point here (DNS rebinding) is told nothing.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != c.host {
			writePage(w, http.StatusMisdirectedRequest, page{Heading: "This is another address", Text: "Go back to the terminal."})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// finish says how the sign-in ended.
func (c *callback) finish(err error) {
	c.failed = err
	close(c.ended)
}

// shown waits until the browser has the whole last page, or has not come for it.
func (c *callback) shown(ctx context.Context, server *http.Server) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	select {
	case <-c.done:
		_ = server.Shutdown(ctx) // it lets the page be written; a browser that goes on holding the connection loses it
	case <-ctx.Done():
	}
}

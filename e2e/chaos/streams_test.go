//go:build linux

package chaos_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubelet"
)

const (
	// manyWatches and manyExecs are how many streams of one person there are by default; the environment may name more.
	manyWatches, manyExecs = 300, 15
	// perConnection is how many watches share a connection, as those of one client do.
	perConnection = 200
	// opening is how many streams are opened at a time.
	opening = 32
	// podName is the pod that commands run in.
	podName = "target"
)

// crowded are many streams of one person.
type crowded struct {
	site  *site
	open  atomic.Int64
	group sync.WaitGroup
	mu    sync.Mutex
	ends  []time.Time
	fails []error
}

func (c *crowded) ended() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends = append(c.ends, now)
}

func (c *crowded) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = append(c.fails, err)
}

// watch opens a watch and reads it to its end. It tells when it is open, or failed.
func (c *crowded) watch(ctx context.Context, client *http.Client, server, token string, opened func()) {
	tell := sync.OnceFunc(opened)
	defer tell()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/api/v1/namespaces/default/configmaps?watch=1&fieldSelector=metadata.name%3Dnone", http.NoBody)
	if err != nil {
		c.failed(err)
		return
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		c.failed(err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		c.failed(&url.Error{Op: "watch", URL: server, Err: io.ErrUnexpectedEOF})
		return
	}
	c.open.Add(1)
	tell()
	_, _ = io.Copy(io.Discard, response.Body)
	c.ended()
}

// exec runs a command and waits for its end.
func (c *crowded) exec(ctx context.Context, config *rest.Config, opened func()) {
	tell := sync.OnceFunc(opened)
	defer tell()
	address := config.Host + "/api/v1/namespaces/default/pods/" + podName + "/exec?command=sh&command=-c&command=" +
		url.QueryEscape("echo open; exec sleep 600") + "&stdout=true&stderr=true"
	executor, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, address)
	if err != nil {
		c.failed(err)
		return
	}
	said := &sayer{told: func() { c.open.Add(1); tell() }}
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: said, Stderr: io.Discard})
	if !said.said.Load() {
		c.failed(err)
		return
	}
	c.ended()
}

// sayer tells when the command has said that it is open.
type sayer struct {
	told func()
	said atomic.Bool
}

// Write implements io.Writer.
func (s *sayer) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("open")) && s.said.CompareAndSwap(false, true) {
		s.told()
	}
	return len(p), nil
}

// TestManyStreams: all streams of one person, over all replicas, have ended for their clients within a second of the answer.
func TestManyStreams(t *testing.T) {
	watches, execs := number(t, "CHAOS_WATCHES", manyWatches), number(t, "CHAOS_EXECS", manyExecs)
	node, err := kubelet.Start(t.Context(), shared.plane, "node-1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := node.RunPod(t.Context(), "default", podName, "sh", "-c", "exec sleep infinity"); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, siteOptions{persons: 1, flat: true})
	p, c := s.crowd.persons[0], &crowded{site: s}
	token := p.credentials[0].token
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		c.group.Wait()
	})
	began, slots := time.Now(), make(chan struct{}, opening)
	start := func(stream func(opened func())) {
		slots <- struct{}{}
		c.group.Go(func() { stream(func() { <-slots }) })
	}
	clients := make([]*http.Client, len(s.replicas))
	for i := range watches {
		at := i % len(s.replicas)
		door := s.replicas[at].door.Load()
		if i/len(s.replicas)%perConnection == 0 {
			clients[at] = door.newClient(nil)
		}
		client := clients[at]
		start(func(opened func()) { c.watch(ctx, client, door.gate.URL, token, opened) })
	}
	for i := range execs {
		config, err := s.replicas[i%len(s.replicas)].door.Load().gate.Access().WithToken(token).REST()
		if err != nil {
			t.Fatal(err)
		}
		start(func(opened func()) { c.exec(ctx, config, opened) })
	}
	for range opening { // all are open, or failed
		slots <- struct{}{}
	}
	if int(c.open.Load()) != watches+execs {
		t.Fatalf("%d of %d streams are open: %v", c.open.Load(), watches+execs, c.fails[:min(len(c.fails), 3)])
	}
	t.Logf("%d watches and %d execs were opened in %s", watches, execs, time.Since(began).Round(time.Millisecond))

	asked := time.Now()
	result, answer, err := s.act(ctx, s.replicas[0].door.Load(), revocationsPath, revocationOf(gate.Object{"user": p.name}, "", "many streams"))
	if result != done {
		t.Fatal(err)
	}
	returned := time.Now()
	all := make(chan struct{})
	go func() {
		c.group.Wait()
		close(all)
	}()
	timer := time.NewTimer(settles)
	defer timer.Stop()
	select {
	case <-all:
	case <-timer.C:
		t.Errorf("streams are open %s after the answer", settles)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var after []time.Duration
	late := 0
	for _, at := range c.ends {
		after = append(after, at.Sub(returned))
		if at.Sub(returned) > cutWithin {
			late++
		}
	}
	t.Logf("the answer came after %s: complete %v, %d streams cut; ends after the answer: %s", returned.Sub(asked).Round(time.Millisecond),
		answer.Status.InForce.Complete, answer.Status.InForce.StreamsCut, distribution(after))
	if late > 0 || len(c.ends) != watches+execs {
		t.Errorf("%d of %d streams ended, %d of them later than %s after the answer", len(c.ends), watches+execs, late, cutWithin)
	}
	if !answer.Status.InForce.Complete || answer.Status.InForce.StreamsCut != watches+execs {
		t.Errorf("in force: complete %v, %d streams cut, want %d", answer.Status.InForce.Complete, answer.Status.InForce.StreamsCut, watches+execs)
	}
}

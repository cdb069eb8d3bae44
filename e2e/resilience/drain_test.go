package resilience_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// drainTimeout is what the gates here are configured with.
	drainTimeout = 3 * time.Second
	// drainGrace is what the end may take beyond it: two seconds for the last words, the rest for a slow machine.
	drainGrace = 7 * time.Second
	// drainReason is what people are told.
	drainReason = "the gate is shutting down"
)

// command is a kubectl with the house's static token.
func (h *house) command(t *testing.T) kubectl.Command {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := h.Access().WithToken(h.staticToken).Write(file); err != nil {
		t.Fatal(err)
	}
	return kubectl.Command{Path: shared.paths[binaries.Kubectl], Kubeconfig: file}
}

// session starts a kubectl that keeps running, and waits until it wrote something.
func session(t *testing.T, k kubectl.Command, text string, args ...string) *kubectl.Session {
	t.Helper()
	s, err := k.Start(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	if err := s.WaitFor(stage.Within(t), text); err != nil {
		t.Fatal(err)
	}
	return s
}

// clientset does not verify the gate's certificate: gates that follow each other have authorities of their own.
func (h *house) clientset(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host: h.URL, BearerToken: h.staticToken, QPS: -1, TLSClientConfig: rest.TLSClientConfig{Insecure: true},
		ContentConfig: rest.ContentConfig{ContentType: "application/json", AcceptContentTypes: "application/json"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestDrain sends SIGTERM to a gate with every kind of stream open and clients that ask without pause.
func TestDrain(t *testing.T) {
	for _, mode := range []string{requestHeader, impersonation} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			drain(t, mode)
		})
	}
}

func drain(t *testing.T, mode string) {
	h := open(t, mode)
	k := h.command(t)
	webSockets := k.With("KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true", "KUBECTL_PORT_FORWARD_WEBSOCKETS=true")
	spdy := k.With("KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false", "KUBECTL_PORT_FORWARD_WEBSOCKETS=false")
	execWebSocket := session(t, webSockets, "open", "exec", podName, "--", "sh", "-c", "echo open; exec sleep 600")
	execSPDY := session(t, spdy, "open", "exec", podName, "--", "sh", "-c", "echo open; exec sleep 600")
	logs := session(t, k, "running", "logs", "-f", podName)
	forward := session(t, webSockets, "Forwarding from", "port-forward", "pod/"+podName, ":"+echoPort(t))
	useForward(t, forward)
	client := h.clientset(t)
	watching, err := client.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	informed := startInformer(t, client)
	finish := slowRequest(t, h)
	l := h.load(t)

	began := time.Now()
	if err := h.Terminate(); err != nil {
		t.Fatal(err)
	}
	unready := stage.Await(t, "/readyz to say so", func(ctx context.Context) bool {
		status, _, err := h.Admin(ctx, "/readyz")
		return err == nil && status == http.StatusServiceUnavailable
	})
	closed := stage.Await(t, "new connections to be refused", func(ctx context.Context) bool { return dialRefused(ctx, h) })
	t.Logf("not ready after %s, closed %s later", unready, closed)
	if unready > time.Second {
		t.Errorf("/readyz said yes for %s after SIGTERM", unready)
	}
	watchEnds(t, watching)
	if status := finish(); status != http.StatusCreated {
		t.Errorf("a request under way was answered %d, want 201", status)
	}
	for _, s := range []*kubectl.Session{execWebSocket, execSPDY, logs} {
		select {
		case <-s.Done():
			t.Errorf("a stream ended before its time: %s", s.Output())
		default:
		}
	}
	select {
	case <-h.Process.Done():
	case <-stage.Within(t).Done():
		t.Fatal("the gate did not end")
	}
	if took := time.Since(began); h.Process.Err() != nil || took < drainTimeout || took > drainTimeout+drainGrace {
		t.Errorf("the gate ended with %v after %s, want exit status 0 after %s", h.Process.Err(), took, drainTimeout)
	}
	streamsEnd(t, h, execWebSocket, execSPDY, logs)
	mustBeRefusals(t, l)

	// On the same address as before, as another replica behind the same name would be.
	h.config["listen"] = gate.Object{"address": address(h), "drainTimeout": "3s"}
	h.start(t)
	informed(t)
	stage.Await(t, "the next gate", newCaller(t, "next", h.Access().WithToken(h.staticToken), true).admitted)
}

// streamsEnd checks that each stream ended, with the reason where its protocol has words for one.
func streamsEnd(t *testing.T, h *house, execWebSocket, execSPDY, logs *kubectl.Session) {
	t.Helper()
	if err := execWebSocket.Wait(stage.Within(t)); err == nil || !strings.Contains(execWebSocket.Output(), drainReason) {
		t.Errorf("exec over WebSocket ended with %v and said: %s", err, execWebSocket.Output())
	}
	// SPDY has no words for a reason, nor have logs: kubectl takes the end of the connection for the end of the stream,
	// with any server, and may call it a success. It must not hang.
	for _, s := range []*kubectl.Session{execSPDY, logs} {
		select {
		case <-s.Done():
		case <-stage.Within(t).Done():
			t.Errorf("kubectl did not end: %s", s.Output())
		}
	}
	lines, err := h.AccessLog()
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]gate.Line{}
	cut := map[string]int{}
	for _, line := range lines {
		switch line.Kind {
		case "stream_start":
			open[line.RequestID] = line
		case "stream_end":
			delete(open, line.RequestID)
			if line.Reason == "cut" {
				cut[line.Subresource+line.Resource]++
			}
		}
	}
	for _, line := range open {
		t.Errorf("the access log knows no end of %+v", line)
	}
	if cut["execpods"] != 2 || cut["logpods"] != 1 || cut["configmaps"] != 2 || cut["portforwardpods"] != 1 {
		t.Errorf("cut: %v, want two exec, one log, two watches and one port-forward", cut)
	}
}

// mustBeRefusals ends the load: the only failures may be connections that were refused, for nobody listened any more. A
// new connection may also have been on its way when the listener closed; no request was read from it then.
func mustBeRefusals(t *testing.T, l *load) {
	t.Helper()
	n := 0
	for _, f := range l.stop() {
		onItsWay := strings.HasSuffix(f.caller, "new") && (errors.Is(f.err, io.EOF) || errors.Is(f.err, syscall.ECONNRESET))
		if errors.Is(f.err, syscall.ECONNREFUSED) || onItsWay {
			continue
		}
		if n++; n <= 5 {
			t.Error(f)
		}
	}
	t.Logf("answered: %v; failed otherwise than by refusal: %d", l.good, n)
}

// watchEnds waits for the end of a watch: an ERROR event that tells the client to watch again.
func watchEnds(t *testing.T, watching watch.Interface) {
	t.Helper()
	var last watch.Event
	for {
		select {
		case event, more := <-watching.ResultChan():
			if more {
				last = event
				continue
			}
			status, ok := last.Object.(*metav1.Status)
			if last.Type != watch.Error || !ok || status.Code != http.StatusTooManyRequests || !strings.Contains(status.Message, drainReason) {
				t.Errorf("the last event is %+v", last)
			}
			return
		case <-stage.Within(t).Done():
			t.Fatal("the watch did not end")
		}
	}
}

// startInformer follows config maps, and returns a check that it still does.
func startInformer(t *testing.T, client *kubernetes.Clientset) func(*testing.T) {
	t.Helper()
	seen := make(chan string, 100) //nolint:mnd // more than there are config maps
	source := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "configmaps", "default", fields.Everything())
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source, ObjectType: &corev1.ConfigMap{},
		Handler: cache.ResourceEventHandlerFuncs{AddFunc: func(object any) {
			if one, ok := object.(*corev1.ConfigMap); ok {
				seen <- one.Name
			}
		}},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		controller.RunWithContext(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	create := func(t *testing.T, name string) {
		t.Helper()
		made, err := shared.plane.Admin.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-"},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for {
			select {
			case got := <-seen:
				if got == made.Name {
					return
				}
			case <-stage.Within(t).Done():
				t.Fatalf("the informer never saw %s", made.Name)
			}
		}
	}
	create(t, "before")
	return func(t *testing.T) {
		t.Helper()
		create(t, "after")
	}
}

// slowRequest sends half of a request, and returns what sends the rest and reads the answer.
func slowRequest(t *testing.T, h *house) (finish func() int) {
	t.Helper()
	const half = len(reviewBody) / 2
	reader, writer := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+"/apis/authentication.k8s.io/v1/selfsubjectreviews", reader)
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = int64(len(reviewBody))
	request.Header.Set("Authorization", "Bearer "+h.staticToken)
	request.Header.Set("Content-Type", "application/json")
	status := make(chan int, 1)
	c := newCaller(t, "slow", h.Access(), false)
	go func() {
		response, err := c.client.Do(request)
		if err != nil {
			t.Logf("the slow request: %v", err)
			status <- 0
			return
		}
		_ = response.Body.Close()
		status <- response.StatusCode
	}()
	// The pipe takes no more than the client has read, so the request is under way when this returns.
	if _, err := io.WriteString(writer, reviewBody[:half]); err != nil {
		t.Fatal(err)
	}
	return func() int {
		_, _ = io.WriteString(writer, reviewBody[half:])
		_ = writer.Close()
		select {
		case got := <-status:
			return got
		case <-stage.Within(t).Done():
			return -1
		}
	}
}

// echoPort is the port of a server on this machine that says everything back.
func echoPort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// useForward sends a line through a port-forward and leaves its connection open.
func useForward(t *testing.T, forward *kubectl.Session) {
	t.Helper()
	_, rest, _ := strings.Cut(forward.Output(), "Forwarding from ")
	local, _, _ := strings.Cut(rest, " ")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", local)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintln(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("through the port-forward came %q, %v", line, err)
	}
}

package kubelet

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/proxy"
	translator "k8s.io/apiserver/pkg/util/proxy"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// readHeaderTimeout bounds a request's headers; the API server sends them at once.
const readHeaderTimeout = 30 * time.Second

// serve starts the two servers of a node: the kubelet's, over TLS for kube-apiserver only, and behind it the container
// runtime's streaming server, which a kubelet hands streams on to.
func (n *Node) serve(certificate tls.Certificate) error {
	streamListener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // local and immediate
	if err != nil {
		return fmt.Errorf("listen for streams: %w", err)
	}
	config := streaming.DefaultConfig
	config.BaseURL = &url.URL{Scheme: "http", Host: streamListener.Addr().String(), Path: "/cri/"}
	n.streams, err = streaming.NewServer(config, &runtime{ctx: n.ctx, find: n.containerByID})
	if err != nil {
		return errors.Join(fmt.Errorf("make the streaming server: %w", err), streamListener.Close())
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    n.plane.Authorities.Client.Pool(),
		// Streams take over their connection, which HTTP/2 has no way to do.
		NextProtos: []string{"http/1.1"},
	})
	if err != nil {
		return errors.Join(fmt.Errorf("listen for the API server: %w", err), streamListener.Close())
	}
	n.port = listener.Addr().(*net.TCPAddr).Port
	mux := http.NewServeMux()
	for _, path := range []string{"/{namespace}/{pod}/{container}", "/{namespace}/{pod}/{uid}/{container}"} {
		mux.HandleFunc("/exec"+path, n.exec)
		mux.HandleFunc("/attach"+path, n.attach)
	}
	mux.HandleFunc("/portForward/{namespace}/{pod}", n.portForward)
	mux.HandleFunc("/portForward/{namespace}/{pod}/{uid}", n.portForward)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.logs)
	n.servers = []*http.Server{
		{Handler: mux, ReadHeaderTimeout: readHeaderTimeout},
		{Handler: n.streams, ReadHeaderTimeout: readHeaderTimeout},
	}
	for i, l := range []net.Listener{listener, streamListener} {
		// Serve returns when Stop closes the server; there is nobody to tell of another end.
		n.work.Go(func() { _ = n.servers[i].Serve(l) })
	}
	return nil
}

func (n *Node) exec(w http.ResponseWriter, r *http.Request) {
	n.command(w, r, func(c *container, o *remotecommand.Options) (string, error) {
		answer, err := n.streams.GetExec(&runtimeapi.ExecRequest{
			ContainerId: c.id, Cmd: r.URL.Query()["command"], Tty: o.TTY, Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr,
		})
		return answer.GetUrl(), err
	})
}

func (n *Node) attach(w http.ResponseWriter, r *http.Request) {
	n.command(w, r, func(c *container, o *remotecommand.Options) (string, error) {
		answer, err := n.streams.GetAttach(&runtimeapi.AttachRequest{
			ContainerId: c.id, Tty: o.TTY, Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr,
		})
		return answer.GetUrl(), err
	})
}

// command hands exec and attach on to the streaming server, translating WebSockets to SPDY as a kubelet does.
func (n *Node) command(w http.ResponseWriter, r *http.Request, ask func(*container, *remotecommand.Options) (string, error)) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c, ok := n.container(w, r)
	if !ok {
		return
	}
	location, ok := streamURL(w, func() (string, error) { return ask(c, options) })
	if !ok {
		return
	}
	n.countUpgrade(r)
	var handler http.Handler = proxy.NewUpgradeAwareHandler(location, nil, false, true, responder{})
	if wsstream.IsWebSocketRequestWithStreamCloseProtocol(r) {
		handler = translator.NewStreamTranslatorHandler(location, nil, 0, translator.Options{
			Stdin: options.Stdin, Stdout: options.Stdout, Stderr: options.Stderr, Tty: options.TTY,
		})
	}
	handler.ServeHTTP(w, r)
}

func (n *Node) portForward(w http.ResponseWriter, r *http.Request) {
	tunnel := wsstream.IsWebSocketRequestWithTunnelingProtocol(r)
	options := &portforward.V4Options{}
	if !tunnel {
		var err error
		if options, err = portforward.NewV4Options(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	c, ok := n.container(w, r)
	if !ok {
		return
	}
	location, ok := streamURL(w, func() (string, error) {
		answer, err := n.streams.GetPortForward(&runtimeapi.PortForwardRequest{PodSandboxId: c.id, Port: options.Ports})
		return answer.GetUrl(), err
	})
	if !ok {
		return
	}
	n.countUpgrade(r)
	var handler http.Handler = proxy.NewUpgradeAwareHandler(location, nil, false, true, responder{})
	if tunnel {
		handler = translator.NewTunnelingHandler(handler)
	}
	handler.ServeHTTP(w, r)
}

// logs writes a container's output so far and, with follow, all that comes. What it does not know it refuses.
func (n *Node) logs(w http.ResponseWriter, r *http.Request) {
	c, ok := n.container(w, r)
	if !ok {
		return
	}
	follow, offset := false, 0
	for key, values := range r.URL.Query() {
		var err error
		switch {
		case key == "follow":
			follow, err = strconv.ParseBool(values[0])
		case key == "tailLines":
			var lines int
			lines, err = strconv.Atoi(values[0])
			offset = tailOffset(c.log.String(), lines)
		case key == "stream" && values[0] == "All":
		default:
			err = errors.New("not supported by this node")
		}
		if err != nil {
			http.Error(w, fmt.Sprintf("log option %s=%s: %v", key, strings.Join(values, ","), err), http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	out := flushing{w, http.NewResponseController(w)}
	if !follow {
		chunk, _ := c.log.From(offset)
		_, _ = out.Write(chunk)
		return
	}
	// The reader has gone, or all was written: either way there is nobody to tell.
	_ = c.log.Follow(r.Context(), out, offset)
}

// tailOffset is where the last so many lines start.
func tailOffset(content string, lines int) int {
	end := len(content)
	if strings.HasSuffix(content, "\n") {
		end--
	}
	for range lines {
		if end = strings.LastIndexByte(content[:end], '\n'); end < 0 {
			return 0
		}
	}
	return end + 1
}

// flushing sends every chunk at once, so that who follows sees lines as they come.
type flushing struct {
	w          http.ResponseWriter
	controller *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	written, err := f.w.Write(p)
	if err != nil {
		return written, err
	}
	return written, f.controller.Flush()
}

// container finds the one that a request names, or answers that there is none.
func (n *Node) container(w http.ResponseWriter, r *http.Request) (*container, bool) {
	id := containerID(r.PathValue("namespace"), r.PathValue("pod"))
	c, err := n.containerByID(id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return nil, false
	}
	return c, true
}

func streamURL(w http.ResponseWriter, ask func() (string, error)) (*url.URL, bool) {
	raw, err := ask()
	if err == nil {
		var location *url.URL
		if location, err = url.Parse(raw); err == nil {
			return location, true
		}
	}
	http.Error(w, err.Error(), http.StatusBadRequest)
	return nil, false
}

// responder answers where a stream could not be handed on.
type responder struct{}

// Error answers with the cause: only kube-apiserver gets to see it.
func (responder) Error(w http.ResponseWriter, _ *http.Request, err error) {
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

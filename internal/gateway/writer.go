package gateway

import (
	"bufio"
	"net"
	"net/http"
	"strings"
)

// writer stands between the proxy and the client's connection: it notes the status, drops interim answers, and adds the
// warnings of authentication to whatever answer goes out.
type writer struct {
	http.ResponseWriter
	stream   *stream
	warnings []string
	// closing ends the connection after this answer: RESP-7 over HTTP/2, endIsDoubtful over HTTP/1.1.
	closing bool
	status  int // 0 until the answer starts
}

// WriteHeader implements http.ResponseWriter. Interim answers (1xx) are dropped: the Kubernetes API has none, and they
// could carry an aggregated server's headers past every filter.
func (w *writer) WriteHeader(status int) {
	if status < http.StatusOK && status != http.StatusSwitchingProtocols {
		return
	}
	if w.status == 0 {
		w.status = status
		w.decorate(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// decorate adds what the gate itself has to say to the headers of an answer.
func (w *writer) decorate(h http.Header) {
	for _, text := range w.warnings {
		h.Add("Warning", warningHeader(text))
	}
	if w.closing {
		h.Set("Connection", "close")
	}
}

// warningHeader formats a warning as Kubernetes does (RESP-5): code 299, no agent, quoted text.
func warningHeader(text string) string {
	return `299 - "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// Hijack implements http.Hijacker for upgrades.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusSwitchingProtocols
		w.decorate(w.Header())
		if w.stream != nil {
			w.stream.hijacked(conn)
		}
	}
	return conn, buffered, err
}

// Unwrap lets http.ResponseController reach the connection's own writer.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

var (
	_ http.ResponseWriter = (*writer)(nil)
	_ http.Hijacker       = (*writer)(nil)
)

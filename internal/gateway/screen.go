package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Upgrades that the Kubernetes API knows (STR-2, STR-3). Any other would become a tunnel that nobody understands.
const (
	upgradeWebSocket = "websocket"
	upgradeSPDY      = "spdy/3.1"
)

// errAuthorizationTwice refuses requests with more than one Authorization header. kube-apiserver reads the first
// (BEAR-1); anything between client and gate that reads the last would see another credential.
var errAuthorizationTwice = errors.New("more than one Authorization header")

// screen refuses requests whose headers leave room for two readings. It returns the protocol the request wants to
// switch to, in lower case; empty for none.
func screen(r *http.Request) (upgrade string, err error) {
	if len(r.Header["Authorization"]) > 1 {
		return "", errAuthorizationTwice
	}
	if !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "Upgrade") {
		return "", nil
	}
	values := r.Header["Upgrade"]
	if len(values) != 1 || r.ProtoMajor != 1 {
		return "", errors.New("an upgrade names exactly one protocol, over HTTP/1.1")
	}
	upgrade = strings.ToLower(values[0])
	if upgrade != upgradeWebSocket && upgrade != upgradeSPDY {
		return "", fmt.Errorf("upgrades go to websocket or SPDY/3.1 only, not to %q", values[0])
	}
	return upgrade, nil
}

// endIsDoubtful tells requests after whose answer the connection must end: those with a chunked body over HTTP/1.1. If
// such a request had a Content-Length too, something between client and gate may have taken what follows for its body,
// and another's request for an answer to it (smuggling; RFC 9112 section 6.1 demands the end). net/http removes that
// header without a word and keeps the connection, so all are treated alike. Kubernetes' clients send lengths, or HTTP/2.
func endIsDoubtful(r *http.Request) bool { return r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 }

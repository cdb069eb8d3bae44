package authn

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/textproto"
	"strings"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/secret"
)

// WarningExtraSpace is sent to clients whose Authorization header has two spaces after the scheme (BEAR-4).
const WarningExtraSpace = "the provided Authorization header contains extra space before the bearer token, and is ignored"

// maxBearerParts is how many pieces Kubernetes splits the header into; what follows the second space is ignored (BEAR-2).
const maxBearerParts = 3

// bearerToken reads the Authorization header exactly as kube-apiserver does (BEAR-1 to BEAR-5). The whole product has
// this one reading: a second parser that differs in one blank would authenticate somebody else.
func bearerToken(h http.Header) (token secret.String, warning string) {
	value := strings.TrimSpace(h.Get("Authorization"))
	if value == "" {
		return secret.String{}, ""
	}
	parts := strings.SplitN(value, " ", maxBearerParts)
	if len(parts) < 2 || !strings.EqualFold(parts[0], "bearer") {
		return secret.String{}, ""
	}
	if parts[1] == "" {
		if len(parts) == maxBearerParts {
			warning = WarningExtraSpace
		}
		return secret.String{}, warning
	}
	return secret.New(parts[1]), ""
}

// BearsToken reports whether the request carries a bearer token in its Authorization header that starts with prefix.
func (r *Request) BearsToken(prefix string) bool {
	if len(r.Header["Authorization"]) == 0 {
		return false // as for most who have a certificate
	}
	token, _ := bearerToken(r.Header)
	return strings.HasPrefix(token.Reveal(), prefix)
}

// bearerProtocolPrefix starts the WebSocket subprotocol that carries a token (WS-2); case matters.
const bearerProtocolPrefix = "base64url.bearer.authorization.k8s.io."

// protocolHeader lists the subprotocols that a WebSocket client offers (RFC 6455 section 11.3.4).
var protocolHeader = textproto.CanonicalMIMEHeaderKey("Sec-WebSocket-Protocol") //nolint:gochecknoglobals // a constant that Go cannot fold

// Errors of the WebSocket bearer subprotocol (WS-3).
var (
	errTwoTokens     = errors.New("websocket: more than one bearer token subprotocol")
	errTokenEncoding = errors.New("websocket: the bearer token subprotocol is not unpadded base64url of UTF-8")
	errOnlyToken     = errors.New("websocket: a bearer token subprotocol without any other subprotocol")
)

// webSocketToken reads the bearer token that browsers send as a subprotocol, since they cannot set headers (WS-1 to
// WS-3, WS-6).
func webSocketToken(h http.Header) (secret.String, error) {
	if !isWebSocketUpgrade(h) {
		return secret.String{}, nil
	}
	var (
		token string
		found bool
		other bool
	)
	for _, line := range h[protocolHeader] {
		for protocol := range strings.SplitSeq(line, ",") {
			encoded, isToken := strings.CutPrefix(strings.TrimSpace(protocol), bearerProtocolPrefix)
			switch {
			case !isToken:
				other = true
			case found:
				return secret.String{}, errTwoTokens
			default:
				found = true
				decoded, err := base64.RawURLEncoding.DecodeString(encoded)
				if err != nil || !utf8.Valid(decoded) {
					return secret.String{}, errTokenEncoding
				}
				token = string(decoded)
			}
		}
	}
	if token == "" {
		return secret.String{}, nil
	}
	if !other {
		return secret.String{}, errOnlyToken
	}
	return secret.New(token), nil
}

// isWebSocketUpgrade follows WS-1 to the letter: the first Upgrade value, and any Connection value that contains the
// word.
func isWebSocketUpgrade(h http.Header) bool {
	if !strings.EqualFold(h.Get("Upgrade"), "websocket") {
		return false
	}
	for _, value := range h["Connection"] {
		if strings.Contains(strings.ToLower(value), "upgrade") {
			return true
		}
	}
	return false
}

// StripTokens removes every bearer token from headers that go on to an API server: all of Authorization (HDR-1), and
// the token subprotocols even where another mechanism won (WS-5, GW-5). Lines of other subprotocols stay as they are,
// since servers choose by line (STR-3).
func StripTokens(h http.Header) {
	delete(h, "Authorization")
	lines, ok := h[protocolHeader]
	if !ok {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if !strings.Contains(line, bearerProtocolPrefix) {
			kept = append(kept, line)
			continue
		}
		var protocols []string
		for protocol := range strings.SplitSeq(line, ",") {
			if protocol = strings.TrimSpace(protocol); !strings.HasPrefix(protocol, bearerProtocolPrefix) {
				protocols = append(protocols, protocol)
			}
		}
		if len(protocols) > 0 {
			kept = append(kept, strings.Join(protocols, ","))
		}
	}
	if len(kept) == 0 {
		delete(h, protocolHeader)
		return
	}
	h[protocolHeader] = kept
}

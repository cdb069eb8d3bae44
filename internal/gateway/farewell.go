package gateway

import (
	"encoding/binary"
	"encoding/json"
	"mime"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// farewellFor chooses how an answer's client can be told that its stream ends. Where the protocol has no words for it
// (protobuf watches, proxied answers) the stream just ends, which clients take as an invitation to ask again.
func farewellFor(response *http.Response, isWatch, isLog bool, upgrade string) farewell {
	switch {
	case response.StatusCode == http.StatusSwitchingProtocols && upgrade == upgradeWebSocket:
		return &webSocketFarewell{}
	case response.StatusCode == http.StatusSwitchingProtocols:
		return &spdyFarewell{}
	case isWatch && isType(response, "application/json"):
		return &watchFarewell{boundary: true}
	case isLog && isType(response, "text/plain"):
		return logFarewell{}
	default:
		return silence{}
	}
}

// isType reports whether an answer has a media type; a watch in plain JSON is one object a line.
func isType(response *http.Response, want string) bool {
	mediaType, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	return err == nil && mediaType == want
}

// logFarewell ends a container's log with a line of its own, for the person who reads it. kubelet does the same when it
// loses a container.
type logFarewell struct{}

func (logFarewell) observe([]byte) {}

func (logFarewell) last(reason string, _ bool) []byte {
	return []byte("\nended by the gate: " + reason + "\n")
}

// silence says nothing.
type silence struct{}

func (silence) observe([]byte)           {}
func (silence) last(string, bool) []byte { return nil }

// watchFarewell ends a JSON watch with an ERROR event. It carries 429 with Retry-After, as kube-apiserver itself sends
// when it goes away: informers then watch again from where they were, instead of listing everything anew. A caller who may
// not go on gets 401.
type watchFarewell struct{ boundary bool }

func (f *watchFarewell) observe(p []byte) {
	if len(p) > 0 {
		f.boundary = p[len(p)-1] == '\n'
	}
}

func (f *watchFarewell) last(reason string, refused bool) []byte {
	if !f.boundary {
		return nil
	}
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure,
		Code:     http.StatusTooManyRequests,
		Reason:   metav1.StatusReasonTooManyRequests,
		Message:  reason,
		Details:  &metav1.StatusDetails{RetryAfterSeconds: 1},
	}
	if refused {
		status.Code, status.Reason, status.Details = http.StatusUnauthorized, metav1.StatusReasonUnauthorized, nil
	}
	event, err := json.Marshal(map[string]any{"type": watch.Error, "object": status})
	if err != nil {
		return nil
	}
	return append(event, '\n')
}

// frames follows a sequence of length-prefixed frames, to know where one ends and another may be put.
type frames struct {
	header []byte // of the frame being read, until it is complete
	left   uint64 // bytes of its payload still to come
	lost   bool   // a header that made no sense: nothing may be put anywhere any more
}

// observe takes bytes in; length reads a header and returns how long the frame's payload is, or false while the header
// is incomplete.
func (f *frames) observe(p []byte, length func(header []byte) (payload uint64, complete bool)) {
	for len(p) > 0 && !f.lost {
		if f.left > 0 {
			n := min(f.left, uint64(len(p)))
			f.left -= n
			p = p[n:]
			continue
		}
		f.header = append(f.header, p[0])
		p = p[1:]
		if payload, complete := length(f.header); complete {
			f.left, f.header = payload, f.header[:0]
		} else if len(f.header) >= maxFrameHeaderBytes {
			f.lost = true
		}
	}
}

// boundary reports whether a frame may be put here.
func (f *frames) boundary() bool { return !f.lost && f.left == 0 && len(f.header) == 0 }

// maxFrameHeaderBytes is the longest frame header of both protocols: WebSocket with a 64-bit length and a mask.
const maxFrameHeaderBytes = 14

// WebSocket framing (RFC 6455 section 5.2).
const (
	webSocketFinal       = 0x80
	webSocketMasked      = 0x80
	webSocketClose       = 0x8
	webSocketLengthMask  = 0x7f
	webSocketLength16    = 126
	webSocketLength64    = 127
	webSocketMaskBytes   = 4
	webSocketGoingAway   = 1001 // section 7.4.1
	webSocketMaxControl  = 125  // section 5.5
	webSocketStatusBytes = 2
)

// webSocketFarewell ends a WebSocket with a close frame that carries the reason.
type webSocketFarewell struct{ frames frames }

func (f *webSocketFarewell) observe(p []byte) { f.frames.observe(p, webSocketPayload) }

// webSocketPayload reads a frame header.
func webSocketPayload(header []byte) (payload uint64, complete bool) {
	if len(header) < 2 { //nolint:mnd // the fixed part
		return 0, false
	}
	need := 2
	payload = uint64(header[1] & webSocketLengthMask)
	switch payload {
	case webSocketLength16:
		need += 2
	case webSocketLength64:
		need += 8
	}
	extended := need
	if header[1]&webSocketMasked != 0 {
		need += webSocketMaskBytes
	}
	if len(header) < need {
		return 0, false
	}
	switch payload {
	case webSocketLength16:
		payload = uint64(binary.BigEndian.Uint16(header[2:extended]))
	case webSocketLength64:
		payload = binary.BigEndian.Uint64(header[2:extended])
	}
	return payload, true
}

func (f *webSocketFarewell) last(reason string, _ bool) []byte {
	if !f.frames.boundary() {
		return nil
	}
	text := reason[:min(len(reason), webSocketMaxControl-webSocketStatusBytes)]
	frame := []byte{webSocketFinal | webSocketClose, byte(webSocketStatusBytes + len(text))} //nolint:gosec // at most 125
	frame = binary.BigEndian.AppendUint16(frame, webSocketGoingAway)
	return append(frame, text...)
}

// SPDY/3.1 framing (draft-mbelshe-httpbis-spdy-00 section 2.2): 8 bytes of header, the last three the payload's length.
const (
	spdyHeaderBytes = 8
	spdyLengthAt    = 5
)

// spdyFarewell ends a SPDY connection with GOAWAY. It has no room for a reason.
type spdyFarewell struct{ frames frames }

func (f *spdyFarewell) observe(p []byte) { f.frames.observe(p, spdyPayload) }

func spdyPayload(header []byte) (payload uint64, complete bool) {
	if len(header) < spdyHeaderBytes {
		return 0, false
	}
	return uint64(header[spdyLengthAt])<<16 | uint64(header[spdyLengthAt+1])<<8 | uint64(header[spdyLengthAt+2]), true
}

func (f *spdyFarewell) last(string, bool) []byte {
	if !f.frames.boundary() {
		return nil
	}
	// Control bit and version 3, type 7 (GOAWAY), no flags, length 8, last good stream 0, status 0 (OK).
	return []byte{0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0}
}

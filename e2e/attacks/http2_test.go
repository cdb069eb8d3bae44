package attacks_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// frames is an HTTP/2 connection on which frames are written one by one.
type frames struct {
	*http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	next    uint32
	goAway  bool
}

// dialFrames connects over HTTP/2.
func dialFrames(t *testing.T, s server, certificate *pki.KeyPair) *frames {
	t.Helper()
	config := tlsConfig(t, s, certificate)
	config.NextProtos = []string{"h2"}
	conn, err := dialTLS(t, s, config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := &frames{Framer: http2.NewFramer(conn, conn), next: 1}
	f.encoder = hpack.NewEncoder(&f.block)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// field is a header field, as it goes on the wire.
type field struct{ name, value string }

func (f *frames) encode(fields []field) []byte {
	f.block.Reset()
	for _, one := range fields {
		// Writing to a bytes.Buffer cannot fail.
		_ = f.encoder.WriteField(hpack.HeaderField{Name: one.name, Value: one.value})
	}
	return bytes.Clone(f.block.Bytes())
}

// whoAmIFields are the header fields of a SelfSubjectReview.
func whoAmIFields(user string, more ...field) []field {
	fields := []field{
		{":method", "POST"},
		{":scheme", "https"},
		{":authority", "ostiary"},
		{":path", reviewPath},
		{"content-type", "application/json"},
	}
	if user != "" {
		fields = append(fields, field{"authorization", "Bearer " + shared.tokens[user]})
	}
	return append(fields, more...)
}

// open starts a stream, with a body and trailers if there are any.
func (f *frames) open(fields []field, body string, trailers []field) (stream uint32, err error) {
	stream = f.next
	f.next += 2
	err = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.encode(fields), EndHeaders: true, EndStream: body == "" && trailers == nil})
	if body != "" {
		err = errors.Join(err, f.WriteData(stream, trailers == nil, []byte(body)))
	}
	if trailers != nil {
		err = errors.Join(err, f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.encode(trailers), EndHeaders: true, EndStream: true}))
	}
	return stream, err
}

// answer reads until the stream ends. A status of 0 means that it was reset, or that the connection ended.
func (f *frames) answer(t *testing.T, stream uint32) answer {
	t.Helper()
	var got answer
	var body strings.Builder
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Logf("the connection ended: %v", err)
			return answer{}
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			f.goAway = true
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return answer{}
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID != stream {
				continue
			}
			got.header = http.Header{}
			for _, one := range frame.RegularFields() {
				got.header.Add(one.Name, one.Value)
			}
			if got.status, err = strconv.Atoi(frame.PseudoValue("status")); err != nil {
				t.Fatal(err)
			}
			if frame.StreamEnded() {
				return got
			}
		case *http2.DataFrame:
			if frame.StreamID != stream {
				continue
			}
			body.Write(frame.Data())
			if frame.StreamEnded() {
				got.body = body.String()
				return got
			}
		}
	}
}

// ends tells whether the server ends the connection.
func (f *frames) ends() bool {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return errors.Is(err, io.EOF) || f.goAway
		}
		if _, ok := frame.(*http2.GoAwayFrame); ok {
			f.goAway = true
		}
	}
}

func (f *frames) exchange(t *testing.T, fields []field, body string, trailers []field) answer {
	t.Helper()
	stream, err := f.open(fields, body, trailers)
	if err != nil {
		t.Fatal(err)
	}
	return f.answer(t, stream)
}

// Over HTTP/2, forged headers have no effect, in trailers and in spellings that only HTTP/2 knows.
func TestForgedHeadersOverHTTP2(t *testing.T) {
	for _, tt := range []struct {
		name     string
		fields   []field
		trailers []field
	}{
		{name: "attack 5 front-proxy headers", fields: []field{{"x-remote-user", "admin"}, {"x-remote-group", "system:masters"}, {"x-remote-uid", "0"}}},
		{name: "attack 8 underscores", fields: []field{{"x_remote_user", "admin"}, {"x-remote_group", "system:masters"}}},
		{name: "attack 18 forwarding headers", fields: []field{{"x-forwarded-for", "8.8.8.8"}, {"forwarded", "for=8.8.8.8"}, {"x-real-ip", "8.8.8.8"}}},
		{name: "attack 20 trailers", trailers: []field{{"x-remote-user", "admin"}, {"x-remote-group", "system:masters"}, {"impersonate-user", "admin"}}},
		{name: "attack 20 announced trailers", fields: []field{{"trailer", "x-remote-user, impersonate-user"}}, trailers: []field{{"x-remote-user", "admin"}, {"impersonate-user", "admin"}}},
		{name: "attack 67 another authority in a host header", fields: []field{{"host", "evil.example"}}},
		{name: "twin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				got := dialFrames(t, at(m.gate), nil).exchange(t, whoAmIFields("jane", tt.fields...), reviewBody, tt.trailers)
				sameUser(t, jane(), got.user(t))
				m.sawAs(t, got, "jane")
			})
		})
	}
}

// What HTTP/2 forbids, since another hop could read it otherwise, is refused; so are targets that are no paths.
func TestMalformedHTTP2(t *testing.T) {
	get := func(path string) []field {
		return []field{{":method", "GET"}, {":scheme", "https"}, {":authority", "ostiary"}, {":path", path}, {"authorization", "Bearer " + shared.tokens["jane"]}}
	}
	for _, tt := range []struct {
		name   string
		fields []field
		status int // 0: the stream is reset or the connection ends
	}{
		{"attack 1 connection header", append(get("/api"), field{"connection", "x-remote-user"}), http.StatusBadRequest},
		{"attack 75 upgrade header", append(get("/api"), field{"upgrade", "h2c"}), http.StatusBadRequest},
		{"attack 80 transfer coding", append(get("/api"), field{"transfer-encoding", "chunked"}), http.StatusBadRequest},
		{"attack 80 TE of something else", append(get("/api"), field{"te", "gzip"}), http.StatusBadRequest},
		{"attack 8 upper case", append(get("/api"), field{"X-Remote-User", "admin"}), 0},
		{"attack 14 line feed in a value", append(get("/api"), field{"x-harmless", "a\r\nx-remote-user: admin"}), 0},
		{"attack 14 NUL in a value", append(get("/api"), field{"x-harmless", "a\x00"}), 0},
		{"attack 8 colon in a name", append(get("/api"), field{"x-remote-user: admin\r\nx", "y"}), 0},
		{"attack 78 two paths", append(get("/api"), field{":path", "/livez"}), 0},
		{"attack 78 pseudo-header after others", append(get("/api")[:3], field{"x", "y"}, field{":path", "/api"}), 0},
		{"attack 78 asterisk", get("*"), http.StatusBadRequest},
		{"attack 78 absolute form", get("https://evil/api"), 0},
		{"attack 78 no slash", get("api"), 0},
		{"attack 78 empty path", get(""), 0},
		{"attack 15 two authorization headers", append(get("/api"), field{"authorization", "Bearer x"}), http.StatusBadRequest},
		{"attack 75 extended CONNECT", append([]field{{":protocol", "websocket"}}, append([]field{{":method", "CONNECT"}}, get("/api")[1:]...)...), 0},
		{"twin", get("/api"), http.StatusOK},
		{"twin with TE of trailers", append(get("/api"), field{"te", "trailers"}), http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				got := dialFrames(t, at(m.gate), nil).exchange(t, tt.fields, "", nil)
				if tt.status == 0 && got.status == http.StatusBadRequest {
					return // a refusal as good as the other
				}
				got.want(t, tt.status)
			})
		})
	}
}

// decisions is how many requests the gate has refused for want of a credential.
func decisions(t *testing.T, m mode) int {
	t.Helper()
	metrics, err := m.gate.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, found := range regexp.MustCompile(`(?m)^ostiary_requests_total\{.*verdict="deny".*\} (\d+)$`).FindAllStringSubmatch(metrics, -1) {
		n, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return total
}

// Attack 81: a client that nobody vouched for has one answer, and then no connection; resetting streams does not help.
func TestAttack81RapidReset(t *testing.T) {
	inEachMode(t, func(t *testing.T, m mode) {
		t.Run("one refusal ends the connection", func(t *testing.T) {
			f := dialFrames(t, at(m.gate), nil)
			got := f.exchange(t, whoAmIFields("", field{"authorization", "Bearer x"}), reviewBody, nil)
			got.want(t, http.StatusUnauthorized)
			if !json.Valid([]byte(got.body)) {
				t.Errorf("the answer is cut: %q", got.body)
			}
			if !f.ends() || !f.goAway {
				t.Error("the connection goes on")
			}
		})
		t.Run("streams that are reset", func(t *testing.T) {
			before := decisions(t, m)
			f := dialFrames(t, at(m.gate), nil)
			ended := make(chan bool, 1)
			go func() { ended <- f.ends() }()
			// More than the gate takes in the second that a connection may live on after it was told to end.
			const streams = 10_000
			for range streams {
				stream, err := f.open(whoAmIFields("", field{"authorization", "Bearer x"}), "", nil)
				if err == nil {
					err = f.WriteRSTStream(stream, http2.ErrCodeCancel)
				}
				if err != nil {
					break // ended already
				}
			}
			<-ended
			// What arrives after the first refusal is dropped unread; some are under way by then.
			if cost := decisions(t, m) - before; cost == 0 || cost > streams/10 {
				t.Errorf("%d of %d streams were decided on", cost, streams)
			} else {
				t.Logf("%d of %d streams were decided on", cost, streams)
			}
		})
		t.Run("twin", func(t *testing.T) {
			f := dialFrames(t, at(m.gate), nil)
			for range 50 {
				f.exchange(t, whoAmIFields("jane"), reviewBody, nil).want(t, http.StatusCreated)
			}
			if f.goAway {
				t.Error("the connection of an authenticated client ends")
			}
		})
	})
}

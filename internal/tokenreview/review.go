package tokenreview

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"unicode/utf8"

	kjson "sigs.k8s.io/json"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

// The versions of TokenReview, as the webhook protocol spells them.
const (
	kind    = "TokenReview"
	v1      = "authentication.k8s.io/v1"
	v1beta1 = "authentication.k8s.io/v1beta1"
)

// review is what a caller asks.
type review struct {
	// APIVersion is v1 or v1beta1; the answer has the same.
	APIVersion string
	Token      secret.String
	Audiences  []string
}

// buffers keeps what reviews are read into. A buffer is cleared before it is put back: it held a token.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }} //nolint:gochecknoglobals // a pool is shared by nature

// read reads a review. The status is the one to answer with, where there is an error; no error repeats the body.
func read(w http.ResponseWriter, r *http.Request) (*review, int, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, http.StatusUnsupportedMediaType, errors.New("a review is application/json")
	}
	buffer, _ := buffers.Get().(*bytes.Buffer)
	defer func() {
		clear(buffer.Bytes())
		buffer.Reset()
		buffers.Put(buffer)
	}()
	if length := r.ContentLength; 0 < length && length <= maxReviewBytes {
		buffer.Grow(int(length) + bytes.MinRead) // grown later, what was read would be left behind in a smaller one
	}
	if _, err := buffer.ReadFrom(http.MaxBytesReader(w, r.Body, maxReviewBytes)); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("a review has %d bytes at most", maxReviewBytes)
		}
		return nil, http.StatusBadRequest, errors.New("the review could not be read to its end")
	}
	parsed, err := parse(buffer.Bytes())
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	return parsed, http.StatusOK, nil
}

// Errors of parsing. They repeat nothing of what was sent.
var (
	errJSON    = errors.New("the body is not one JSON object of the form of a TokenReview, or names a member twice")
	errVersion = errors.New("the body is no TokenReview of authentication.k8s.io/v1 or v1beta1")
)

// parse reads a TokenReview as Kubernetes does, by the exact names of its members; members that are not known are passed
// over, those that stand there twice are refused, and so are bytes that are no UTF-8, which would be replaced silently.
func parse(body []byte) (*review, error) {
	found, plain := scan(body)
	if !plain {
		return parseAny(body)
	}
	version, ok := versionOf(string(found.kind), string(found.apiVersion))
	if !ok {
		return nil, errVersion
	}
	return &review{APIVersion: version, Token: secret.New(string(found.token)), Audiences: found.audiences}, nil
}

// versionOf gives a version's name, and whether it is one that is answered.
func versionOf(written, apiVersion string) (version string, ok bool) {
	switch {
	case written != kind:
		return "", false
	case apiVersion == v1:
		return v1, true
	case apiVersion == v1beta1:
		return v1beta1, true
	default:
		return "", false
	}
}

// parseAny is parse for a body of whatever form.
func parseAny(body []byte) (*review, error) {
	var written struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       struct {
			Token     string   `json:"token"`
			Audiences []string `json:"audiences"`
		} `json:"spec"`
	}
	strict, err := kjson.UnmarshalStrict(body, &written, kjson.DisallowDuplicateFields)
	if err != nil || len(strict) > 0 || !utf8.Valid(body) {
		return nil, errJSON
	}
	version, ok := versionOf(written.Kind, written.APIVersion)
	if !ok {
		return nil, errVersion
	}
	return &review{APIVersion: version, Token: secret.New(written.Spec.Token), Audiences: written.Spec.Audiences}, nil
}

// failure is all that a caller is told of a technical failure. With it, kube-apiserver asks again (CACHE-5).
const failure = "the token could not be judged; try again"

// answer writes the answer to a review.
func (s *Server) answer(w http.ResponseWriter, version string, d *authn.Decision) {
	buffer, _ := buffers.Get().(*bytes.Buffer)
	defer func() {
		buffer.Reset()
		buffers.Put(buffer)
	}()
	buffer.WriteString(`{"kind":"` + kind + `","apiVersion":"` + version + `","metadata":{},"spec":{},"status":{`)
	switch {
	case d.Admitted():
		buffer.WriteString(`"authenticated":true,"user":`)
		buffer.Write(s.user(d.Identity))
		for i, audience := range d.Audiences {
			if i == 0 {
				buffer.WriteString(`,"audiences":[`)
			} else {
				buffer.WriteByte(',')
			}
			quote(buffer, audience)
		}
		if len(d.Audiences) > 0 {
			buffer.WriteByte(']')
		}
	case d.Reason == authn.ReasonFailed:
		buffer.WriteString(`"authenticated":false,"error":"` + failure + `"`)
	default:
		buffer.WriteString(`"authenticated":false`)
	}
	buffer.WriteString("}}\n")
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(buffer.Len()))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(buffer.Bytes())
}

// userInfo is Kubernetes' UserInfo.
type userInfo struct {
	Username string              `json:"username,omitempty"`
	UID      string              `json:"uid,omitempty"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

// user encodes an identity, once for each.
func (s *Server) user(id *identity.Identity) []byte {
	key := userKey{id}
	if encoded, ok := s.users.Get(key); ok {
		return encoded
	}
	var buffer bytes.Buffer
	encode(&buffer, userInfo{Username: id.Username, UID: id.UID, Groups: id.Groups, Extra: id.Extra})
	encoded := bytes.TrimRight(buffer.Bytes(), "\n")
	s.users.Put(key, encoded)
	return encoded
}

// quote writes a JSON string. Plain ASCII, which audiences nearly always are, is copied.
func quote(buffer *bytes.Buffer, text string) {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			encode(buffer, text)
			return
		}
	}
	buffer.WriteByte('"')
	buffer.WriteString(text)
	buffer.WriteByte('"')
}

// encode writes a value of strings, lists and maps, which cannot fail.
func encode(buffer *bytes.Buffer, value any) { _ = json.NewEncoder(buffer).Encode(value) }

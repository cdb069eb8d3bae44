package tokenreview

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// plain is what kube-apiserver sends.
const plain = `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{"creationTimestamp":null},"spec":{"token":"abc","audiences":["https://api","x"]},"status":{"user":{}}}` + "\n"

// seeds are bodies that parsers disagree about.
func seeds() []string {
	nested := func(open, end string, depth int) string {
		return strings.Replace(plain, "null", strings.Repeat(open, depth)+strings.Repeat(end, depth), 1)
	}
	return []string{
		plain, strings.ReplaceAll(plain, ":", " :\t"), strings.ReplaceAll(plain, ",", "\n,\r "),
		strings.Replace(plain, `"abc"`, `"abc","token":"def"`, 1),
		strings.Replace(plain, `"abc"`, `"abc","\u0074oken":"def"`, 1),
		strings.Replace(plain, `"abc"`, `"abc","Token":"def"`, 1),
		strings.Replace(plain, `"abc"`, `"a\u0000\ud800\n\"b"`, 1),
		strings.Replace(plain, `"abc"`, "\"a\x00b\"", 1), strings.Replace(plain, `"abc"`, "\"a\xffb\"", 1), strings.Replace(plain, `"abc"`, `"ä"`, 1),
		strings.Replace(plain, `"abc"`, `null`, 1), strings.Replace(plain, `"abc"`, `7`, 1), strings.Replace(plain, `["https://api","x"]`, `null`, 1),
		strings.Replace(plain, `["https://api","x"]`, `[null,"x",]`, 1), strings.Replace(plain, `["https://api","x"]`, `[]`, 1),
		plain + plain, "\ufeff" + plain, "[" + plain + "]", "null", "", "{}", `{"spec":{},"spec":{}}`, plain[:len(plain)-3],
		nested("[", "]", 3), nested("[", "]", 50), nested(`{"a":`, "null}", 3), nested("[", "]", 20000),
		strings.Replace(plain, `"metadata":`, `"more":1,"metadata":`, 1), strings.Replace(plain, `"metadata":`, `"metadata":{},"metadata":`, 1),
	}
}

// FuzzParse holds the fast way of reading reviews against the one that knows everything: what the former reads, the
// latter reads alike, and no reading has bytes that were not sent.
func FuzzParse(f *testing.F) {
	for _, seed := range seeds() {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parse(body)
		want, wantErr := parseAny(body)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("parse says %v, parseAny %v: %q", err, wantErr, body)
		}
		if err != nil {
			return
		}
		if got.APIVersion != want.APIVersion || got.Token.Reveal() != want.Token.Reveal() || !slices.Equal(got.Audiences, want.Audiences) {
			t.Fatalf("parse reads %q %q %q, parseAny %q %q %q: %q", got.APIVersion, got.Token.Reveal(), got.Audiences,
				want.APIVersion, want.Token.Reveal(), want.Audiences, body)
		}
		if !utf8.ValidString(got.Token.Reveal()) || got.APIVersion != v1 && got.APIVersion != v1beta1 {
			t.Fatalf("a token that is no text, or another version: %q", body)
		}
	})
}

// TestScanReadsWhatIsSent: what API servers send goes the fast way.
func TestScanReadsWhatIsSent(t *testing.T) {
	t.Parallel()
	found, ok := scan([]byte(plain))
	if !ok || string(found.token) != "abc" || string(found.kind) != kind || string(found.apiVersion) != v1 || !slices.Equal(found.audiences, []string{"https://api", "x"}) {
		t.Errorf("%v %+v", ok, found)
	}
	for _, member := range []string{`"kind":"TokenReview"`, `"apiVersion":"authentication.k8s.io/v1"`, `"metadata":{}`, `"spec":{}`, `"status":{}`, `"other":null`} {
		if _, ok := scan([]byte(strings.Replace(plain, "{", "{"+member+",", 1))); ok {
			t.Errorf("a second %s is read", member)
		}
	}
	for _, member := range []string{`"token":"def"`, `"audiences":[]`, `"other":null`} {
		if _, ok := scan([]byte(strings.Replace(plain, `"token"`, member+`,"token"`, 1))); ok {
			t.Errorf("a second %s is read", member)
		}
	}
}

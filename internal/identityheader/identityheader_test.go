package identityheader_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/identityheader"
)

// names is a dialect of its own, so that nothing here depends on the real ones.
func names() identityheader.Names {
	return identityheader.Names{User: "T-User", UID: "T-Uid", Group: "T-Group", ExtraPrefix: "T-Extra-"}
}

func TestEncode(t *testing.T) {
	tests := []struct {
		name    string
		id      *identity.Identity
		want    http.Header
		refused bool
	}{
		{name: "nobody", id: nil, refused: true},
		{name: "GW-4 empty username", id: &identity.Identity{Groups: []string{"g"}}, refused: true},
		{name: "attack 14 line feed in username", id: &identity.Identity{Username: "a\nT-Group: system:masters"}, refused: true},
		{name: "attack 14 carriage return in group", id: &identity.Identity{Username: "a", Groups: []string{"b\r"}}, refused: true},
		{name: "attack 14 NUL in uid", id: &identity.Identity{Username: "a", UID: "\x00"}, refused: true},
		{name: "attack 14 tab", id: &identity.Identity{Username: "a\tb"}, refused: true},
		{name: "attack 14 DEL", id: &identity.Identity{Username: "a\x7f"}, refused: true},
		{name: "attack 14 next line, U+0085", id: &identity.Identity{Username: "a\u0085b"}, refused: true},
		{name: "attack 14 leading blank", id: &identity.Identity{Username: " a"}, refused: true},
		{name: "attack 14 trailing blank in extra", id: &identity.Identity{Username: "a", Extra: map[string][]string{"k": {"v "}}}, refused: true},
		{name: "RH-12 not UTF-8", id: &identity.Identity{Username: "a\xff"}, refused: true},
		{name: "username alone", id: &identity.Identity{Username: "a b"}, want: http.Header{"T-User": {"a b"}}},
		{name: "UTF-8", id: &identity.Identity{Username: "jörg"}, want: http.Header{"T-User": {"jörg"}}},
		{
			name: "attack 13 groups are never joined",
			id:   &identity.Identity{Username: "a", Groups: []string{"b,c", "d|system:masters", "b,c"}},
			want: http.Header{"T-User": {"a"}, "T-Group": {"b,c", "d|system:masters", "b,c"}},
		},
		{
			name: "GW-2 keys",
			id: &identity.Identity{Username: "a", UID: "u", Extra: map[string][]string{
				"acme.com/project": {"p", ""}, "Abc": {"upper"}, "50%": {"percent"}, "ü": {"unicode"}, "": {"empty"}, "none": {},
			}},
			want: http.Header{
				"T-User": {"a"}, "T-Uid": {"u"}, "T-Extra-Acme.com%2fproject": {"p", ""}, "T-Extra-%41bc": {"upper"},
				"T-Extra-50%25": {"percent"}, "T-Extra-%C3%Bc": {"unicode"}, "T-Extra-": {"empty"},
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			encoded, err := identityheader.Encode(names(), test.id)
			if test.refused != errors.Is(err, identityheader.ErrInexpressible) || test.refused != (err != nil) {
				t.Fatalf("Encode error = %v, refused = %t", err, test.refused)
			}
			if test.refused {
				return
			}
			h := http.Header{"T-User": {"forged"}}
			encoded.Set(h)
			if diff := cmp.Diff(canonical(test.want), h); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// canonical spells names as net/http does, so that the table can be read.
func canonical(h http.Header) http.Header {
	result := make(http.Header)
	for name, values := range h {
		result[http.CanonicalHeaderKey(name)] = values
	}
	return result
}

func TestEncodeWithoutNames(t *testing.T) {
	if _, err := identityheader.Encode(identityheader.Names{}, &identity.Identity{Username: "a"}); err == nil {
		t.Error("no names were accepted")
	}
}

func TestZeroEncodedSetsNobody(t *testing.T) {
	h := http.Header{}
	new(identityheader.Encoded).Set(h)
	if len(h) != 0 {
		t.Errorf("headers = %v", h)
	}
}

// TestSetSharesSafely: one request that adds to its headers must not change another's.
func TestSetSharesSafely(t *testing.T) {
	groups := append(make([]string, 0, 8), "a", "b")
	encoded, err := identityheader.Encode(names(), &identity.Identity{Username: "u", UID: "i", Groups: groups})
	if err != nil {
		t.Fatal(err)
	}
	first, second := http.Header{}, http.Header{}
	encoded.Set(first)
	encoded.Set(second)
	for name := range first {
		first.Add(name, "mine")
		second.Add(name, "yours")
	}
	third := http.Header{}
	encoded.Set(third)
	if first.Values("T-Group")[2] != "mine" || first.Values("T-User")[1] != "mine" || len(third["T-Group"]) != 2 || len(third["T-User"]) != 1 {
		t.Errorf("shared values were written to: %v %v", first, third)
	}
}

func TestErrorsDoNotRepeatValues(t *testing.T) {
	_, err := identityheader.Encode(names(), &identity.Identity{Username: "evil\nline"})
	if err == nil || strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "evil") {
		t.Errorf("error = %v", err)
	}
}

// FuzzEscapeKey: Kubernetes' reading of an escaped key gives the key back, and two keys never share a header.
func FuzzEscapeKey(f *testing.F) {
	for _, key := range []string{"", "a", "A", "%", "%2f", "acme.com/project", "ü", "\x00\xff", "a b"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		escaped := identityheader.EscapeKey(key)
		name := http.CanonicalHeaderKey("T-Extra-" + escaped)
		decoded, err := url.PathUnescape(strings.ToLower(strings.TrimPrefix(name, "T-Extra-")))
		if err != nil || decoded != key {
			t.Errorf("%q became %q and came back as %q, %v", key, name, decoded, err)
		}
	})
}

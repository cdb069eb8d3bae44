package issued

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/secret"
)

// TestParseToken reads what NewToken makes, and no other spelling of it.
func TestParseToken(t *testing.T) {
	t.Parallel()
	id := issuer.NewID()
	token, part := NewToken(id)
	got, same, ours, err := ParseToken(token)
	if got != id || !same.Equal(part) || !ours || err != nil {
		t.Fatalf("%v, %t, %v", got, ours, err)
	}
	text := token.Reveal()
	whole := text[:strings.LastIndexByte(text, '.')]
	sealed := func(text string) string { return text + "." + checksum(text) }
	tail := whole[:len(whole)-1] + string(whole[len(whole)-1]+1) // the bits beyond the last byte
	for name, bad := range map[string]string{
		"no checksum": whole, "another checksum": whole + ".AAAAAA", "something behind it": text + ".", "padding": sealed(whole + "="),
		"another spelling": sealed(tail), "a short id": sealed("gw1.AA." + strings.Split(whole, ".")[2]),
		"a short secret": sealed(strings.Join(strings.Split(whole, ".")[:2], ".") + ".AA"), "one part more": sealed(whole + ".AA"), "nothing": "gw1.",
	} {
		if _, _, ours, err := ParseToken(secret.New(bad)); !ours || !errors.Is(err, ErrTokenForm) {
			t.Errorf("%s: %t, %v", name, ours, err)
		}
	}
	for _, other := range []string{"", "gw2.x", "abcdef.0123456789abcdef", "a.b.c"} {
		if _, _, ours, err := ParseToken(secret.New(other)); ours || err != nil {
			t.Errorf("%q is taken for one: %v", other, err)
		}
	}
	if printed := fmt.Sprintf("%v %+v %s", token, part, token); strings.Contains(printed, whole[10:]) {
		t.Error("it prints")
	}
}

// FuzzParseToken takes one spelling of each token, and never panics.
func FuzzParseToken(f *testing.F) {
	token, _ := NewToken(issuer.ID{1})
	f.Add(token.Reveal())
	f.Add("gw1.AAAA.BBBB.CCCC")
	f.Fuzz(func(t *testing.T, text string) {
		id, part, ours, err := ParseToken(secret.New(text))
		if err != nil || !ours {
			return
		}
		whole := TokenPrefix + base64.RawURLEncoding.EncodeToString(id[:]) + "." + base64.RawURLEncoding.EncodeToString([]byte(part.Reveal()))
		if whole+"."+checksum(whole) != text {
			t.Errorf("%q has two spellings", text)
		}
	})
}

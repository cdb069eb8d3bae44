package oidclogin

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/signin"
)

// FuzzPasted reads what people paste: an address that is taken is this attempt's, whatever else stands in it.
func FuzzPasted(f *testing.F) {
	const state, issuer = "THE-STATE", "https://idp.example"
	for _, text := range []string{
		"http://127.0.0.1:8000/callback?code=abc&state=THE-STATE", "http://127.0.0.1:8000/callback?code=abc&state=other", " abc\n", "",
		"http://127.0.0.1:8000/callback?code=abc&state=THE-STATE&iss=https://evil.example", "?error=access_denied&state=THE-STATE",
		"?code=a&code=b&state=THE-STATE", "http://127.0.0.1/callback?code=%zz&state=THE-STATE", "?code=a;state=THE-STATE", "what is this?",
	} {
		f.Add(text)
	}
	client := &Client{issuer: issuer}
	f.Fuzz(func(t *testing.T, text string) {
		code, err := client.pasted(&attempt{state: state}, text)
		if _, refused := errors.AsType[*signin.RefusedError](err); refused && !strings.Contains(text, state) {
			t.Errorf("%q ends the sign-in without its state", text)
		}
		if err != nil {
			if code != "" || len(err.Error()) > 2000 || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("%q: %q, %q", text, code, err)
			}
			return
		}
		if code == "" {
			t.Errorf("%q: no code, and no error", text)
		}
		if !strings.Contains(text, "?") {
			return // a code alone: the provider judges it by the verifier
		}
		_, query, _ := strings.Cut(strings.TrimSpace(text), "?")
		query, _, _ = strings.Cut(query, "#")
		values, _ := url.ParseQuery(query) // as far as it can be read
		if len(values["state"]) != 1 || values.Get("state") != state || len(values["code"]) != 1 || values.Get("code") != code || values.Get("error") != "" {
			t.Errorf("%q is taken", text)
		}
		if iss := values.Get("iss"); iss != "" && iss != issuer {
			t.Errorf("%q is of another issuer", text)
		}
	})
}

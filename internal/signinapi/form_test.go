package signinapi

import (
	"net/url"
	"testing"
)

// TestParseForm wants each parameter once, and says nothing of what it refuses.
func TestParseForm(t *testing.T) {
	t.Parallel()
	if form, err := parseForm("a=1&b=%20x&c="); err != nil || form.Get("a") != "1" || form.Get("b") != " x" || !form.Has("c") {
		t.Errorf("%v, %v", form, err)
	}
	for _, bad := range []string{"a=1&a=2", "a=%zz", "a=1;b=2", "subject_token=x&subject_token=y"} {
		if form, err := parseForm(bad); err != errForm || form != nil { //nolint:errorlint // the same value: nothing of the form is in it
			t.Errorf("%q: %v, %v", bad, form, err)
		}
	}
}

// FuzzParseForm gives what it takes one reading.
func FuzzParseForm(f *testing.F) {
	f.Add("grant_type=x&subject_token=a.b.c&csr=MII")
	f.Add("a=1&a=2")
	f.Fuzz(func(t *testing.T, body string) {
		form, err := parseForm(body)
		if err != nil {
			return
		}
		again, err := parseForm(form.Encode())
		if err != nil || len(again) != len(form) {
			t.Fatalf("%v", err)
		}
		for name := range form {
			if len(form[name]) != 1 || again.Get(name) != form.Get(name) {
				t.Errorf("%q", name)
			}
		}
		_, _ = url.ParseQuery(body)
	})
}

package jwt

import (
	"encoding/base64"
	"strconv"
	"testing"
	"time"
)

func token(payload string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func TestParseClaims(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	for _, tt := range []struct {
		name, token string
		want        claims
		bad         bool
	}{
		{name: "two parts", token: "e30.e30", bad: true},
		{name: "four parts", token: "e30.e30.e30.e30", bad: true},
		{name: "not base64", token: "e30.!.e30", bad: true},
		{name: "not JSON", token: token("{"), bad: true},
		{name: "exp is a list", token: token(`{"exp":[1]}`), bad: true},
		{name: "exp is words", token: token(`{"exp":"soon"}`), bad: true},
		{name: "exp beyond time", token: token(`{"exp":1e300}`), bad: true},
		{name: "none", token: token(`{}`)},
		{name: "null", token: token(`{"iat":null}`)},
		{name: "numbers", token: token(`{"iat":1700000000,"exp":1700000000.9}`), want: claims{IssuedAt: at, Expiry: at}},
		{name: "OIDC-7 text", token: token(`{"exp":"1700000000"}`), want: claims{Expiry: at}},
		{name: "OIDC-7 the last spelling wins", token: token(`{"exp":1,"Exp":1700000000}`), want: claims{Expiry: at}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseClaims(tt.token)
			if (err != nil) != tt.bad || !got.Expiry.Equal(tt.want.Expiry) || !got.IssuedAt.Equal(tt.want.IssuedAt) {
				t.Errorf("%+v %v, want %+v", got, err, tt.want)
			}
		})
	}
}

// FuzzParseClaims: nothing panics, and a plain number of seconds is read as it stands.
func FuzzParseClaims(f *testing.F) {
	f.Add(token(`{"exp":1}`), int64(1))
	f.Add("a.b.c", int64(-5))
	f.Fuzz(func(t *testing.T, raw string, seconds int64) {
		_, _ = parseClaims(raw)
		seconds %= maxUnixSeconds
		got, err := parseClaims(token(`{"exp":` + strconv.FormatInt(seconds, 10) + `}`))
		if err != nil || got.Expiry.Unix() != seconds {
			t.Fatalf("%d became %v (%v)", seconds, got.Expiry, err)
		}
	})
}

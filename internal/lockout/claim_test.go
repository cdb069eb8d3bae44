package lockout

import (
	"encoding/base64"
	"strings"
	"testing"
)

// TestClaims: what a token claims to be, and whether guessing at its like is hopeless.
func TestClaims(t *testing.T) {
	t.Parallel()
	signed := func(payload string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "." + strings.Repeat("s", 86)
	}
	for _, tt := range []struct {
		name, token string
		shape       Shape
		claim       string
	}{
		{"bootstrap", "abcdef.0123456789abcdef", Bootstrap, "BOOTSTRAP=abcdef"},
		{"bootstrap, upper case", "ABCDEF.0123456789abcdef", Weak, ""},
		{"password", "swordfish-1968", Weak, ""},
		{"long text", strings.Repeat("password ", 20), Weak, ""},
		{"hex of 128 bits", "8f2b1c9d4e7a6053b8c1d2e3f4a59687", Strong, ""},
		{"too long for any mechanism", strings.Repeat("aB3$x9Zq", maxRead/8+1), Weak, ""},
		{"signed", signed(`{"iss":"https://x","jti":"42"}`), JWS, "JTI=42 issuer=https://x"},
		{"signed, terminal in jti", signed(`{"iss":"https://x","jti":"\u001b[2J"}`), JWS, "JWSSHA256="},
		{"signed, no jti", signed(`{}`), JWS, "JWSSHA256="},
		{"signed, no JSON", signed(`x`), JWS, "JWSSHA256="},
		{"two dots, no signature", "a.b.c", Weak, ""},
		{"three dots", "a.b.c." + strings.Repeat("s", 14), Weak, ""},
	} {
		if got := shapeOf(tt.token); got != tt.shape {
			t.Errorf("%s: shape %q, want %q", tt.name, got, tt.shape)
		}
		got := claimOf(tt.token, tt.shape)
		if tt.claim == "JWSSHA256=" {
			got = got[:min(len(got), len(tt.claim))]
		}
		if got != tt.claim {
			t.Errorf("%s: claims %q, want %q", tt.name, got, tt.claim)
		}
	}
}

// FuzzClaim: whatever a token holds, its claim can stand in a log and is bounded, and its shape is one of the list; two
// signatures of one claim are guesses at one secret.
func FuzzClaim(f *testing.F) {
	f.Add("abcdef.0123456789abcdef")
	f.Add("e30.eyJqdGkiOiI0MiJ9.ssssssssssssssssssssssssss")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		shape := shapeOf(token)
		claim := claimOf(token, shape)
		if len(claim) > 3*maxID || !plain(claim[:min(len(claim), maxID)]) {
			t.Fatalf("claim %q", claim)
		}
		switch shape {
		case Bootstrap, JWS:
			if claim == "" {
				t.Fatal("no claim")
			}
		case Strong, Weak:
			if claim != "" {
				t.Fatalf("claim %q", claim)
			}
		default:
			t.Fatalf("shape %q", shape)
		}
		if shape == JWS {
			last := strings.LastIndexByte(token, '.')
			if other := token[:last+1] + strings.Repeat("x", len(token)-last-1); claimOf(other, JWS) != claim {
				t.Fatal("another signature, another claim")
			}
		}
	})
}

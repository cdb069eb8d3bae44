package jwt

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// claims are what policy needs to know of a token that was already verified.
type claims struct {
	IssuedAt time.Time
	Expiry   time.Time
}

// Errors of reading the claims of a token.
var (
	errNotCompact = errors.New("the token is not a compact JWS")
	errTime       = errors.New("a time in the token is not a number of seconds")
)

// parseClaims reads iat and exp the way the verifying library reads exp: loosely in the case of member names, the
// last of several winning (OIDC-7), so that both see the same time. It must only be given verified tokens.
func parseClaims(token string) (claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 { //nolint:mnd // header, payload, signature (RFC 7515 section 7.1)
		return claims{}, errNotCompact
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return claims{}, errNotCompact
	}
	var decoded struct {
		IssuedAt numericDate `json:"iat"`
		Expiry   numericDate `json:"exp"`
	}
	if err := json.Unmarshal(payload, &decoded); err != nil {
		return claims{}, fmt.Errorf("reading the token's times: %w", err)
	}
	return claims{IssuedAt: decoded.IssuedAt.Time, Expiry: decoded.Expiry.Time}, nil
}

// numericDate is a JSON number of seconds, or the same as a string (OIDC-7). The zero time means absent.
type numericDate struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (d *numericDate) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if text == "null" || text == "" {
		d.Time = time.Time{}
		return nil
	}
	seconds, err := json.Number(text).Float64()
	if err != nil || math.IsNaN(seconds) || seconds < -maxUnixSeconds || seconds > maxUnixSeconds {
		return errTime
	}
	d.Time = time.Unix(int64(seconds), 0)
	return nil
}

// maxUnixSeconds keeps conversions exact and within what time.Time arithmetic takes: the year 9999.
const maxUnixSeconds = 253402300799

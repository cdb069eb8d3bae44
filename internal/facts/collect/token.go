package collect

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
)

// jwtClaims are what a token says of itself. Nothing is verified: it is read to know whose it claims to be.
type jwtClaims struct {
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	ID        string          `json:"jti"`
	Audience  json.RawMessage `json:"aud"`
	IssuedAt  float64         `json:"iat"`
	ExpiresAt float64         `json:"exp"`
	// Kubernetes holds what a token is bound to.
	Kubernetes struct {
		Pod    *struct{} `json:"pod"`
		Node   *struct{} `json:"node"`
		Secret *struct{} `json:"secret"`
	} `json:"kubernetes.io"`
}

// readClaims reads a compact JWS; the second result is false for anything else.
func readClaims(token string) (jwtClaims, bool) {
	var claims jwtClaims
	parts := strings.Split(token, ".")
	if len(parts) != 3 { //nolint:mnd // RFC 7515 section 3.1
		return claims, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return jwtClaims{}, false
	}
	return claims, true
}

// held describes a bearer token in a file.
func (g *Gatherer) held(token string) *facts.HeldToken {
	described := &facts.HeldToken{Token: g.token(token)}
	claims, ok := readClaims(token)
	if !ok {
		return described
	}
	described.JWT, described.Issuer, described.Subject, described.ID = true, claims.Issuer, claims.Subject, claims.ID
	described.Issued, described.Expires = seconds(claims.IssuedAt), seconds(claims.ExpiresAt)
	described.Bound = claims.Kubernetes.Pod != nil || claims.Kubernetes.Node != nil || claims.Kubernetes.Secret != nil
	var one string
	if json.Unmarshal(claims.Audience, &one) == nil && one != "" {
		described.Audience = []string{one}
	} else {
		_ = json.Unmarshal(claims.Audience, &described.Audience) // an audience of another form is none
	}
	return described
}

// seconds is a NumericDate (RFC 7519 section 2); zero for one that no calendar has.
func seconds(value float64) time.Time {
	const latest = 253402300799 // the end of the year 9999
	if value <= 0 || value > latest {
		return time.Time{}
	}
	return time.Unix(int64(value), 0).UTC()
}

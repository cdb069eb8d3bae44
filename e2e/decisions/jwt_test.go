package decisions_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

const (
	differsFarTimes  = "Tokens whose `exp` or `iat` lies after the year 9999 are refused"
	differsLongToken = "Tokens of more than 64 KiB are refused"

	// longClaim makes a token longer than Ostiary reads, and no longer than a header of kube-apiserver's may be.
	longClaim = 96 << 10
)

// seconds is a moment relative to now, as a claim.
func seconds(fromNow time.Duration) int64 { return time.Now().Add(fromNow).Unix() }

// payload is an honest token's claims as JSON, with text put before the closing brace: members that a map cannot have
// twice.
func (i *issuer) payload(t *testing.T, changes with, more string) []byte {
	t.Helper()
	text, err := json.Marshal(i.claims(changes))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.TrimSuffix(string(text), "}") + "," + more + "}")
}

// raw is a call with an honest token into whose claims JSON text was put.
func (i *issuer) raw(t *testing.T, changes with, more string) call {
	t.Helper()
	return call{headers: bearer(i.sign(t, minter.Token{Algorithm: "RS256", KeyID: "rsa", Payload: i.payload(t, changes, more)}))}
}

// TestJWTVerification is about tokens of an issuer whose "sub" and "groups" are taken as they are.
func TestJWTVerification(t *testing.T) {
	m := shared.issuers.mapped
	jane := as("jane", "dev", authenticated)
	token := func(changes with) call { return m.token(t, changes) }
	sign := func(token minter.Token) call { return call{headers: bearer(m.sign(t, token))} }
	honest := m.sign(t, minter.Token{Algorithm: "RS256", KeyID: "rsa"})
	parts := strings.Split(honest, ".")
	public, err := pki.PublicKeyPEM(m.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	stranger := shared.issuers.cel
	of := func(parts ...string) call { return call{headers: bearer(strings.Join(parts, "."))} }
	shared.open.run(t, []row{
		{name: "OIDC-1 good", call: token(nil), want: jane},
		{name: "OIDC-1 unknown issuer", call: token(with{"iss": "https://stranger.example.com"}), want: refused()},
		{name: "OIDC-1 slash after the issuer", call: token(with{"iss": m.Issuer + "/"}), want: refused()},
		{name: "OIDC-1 issuer in other letter case", call: token(with{"iss": strings.ToUpper(m.Issuer)}), want: refused()},
		{name: "OIDC-1 no issuer", call: token(with{"iss": absent{}}), want: refused()},
		{name: "OIDC-1 issuers in a list", call: token(with{"iss": []string{m.Issuer}}), want: refused()},
		{name: "OIDC-1 another known issuer", call: token(with{"iss": stranger.Issuer, "username": "jane"}), want: refused()},
		{name: "OIDC-1 issuer of ServiceAccounts", call: token(with{"iss": "https://kubernetes.default.svc.cluster.local"}), want: refused()},
		{name: "OIDC-1 member in other letter case", call: m.raw(t, with{"iss": absent{}}, `"Iss":"`+m.Issuer+`"`), want: jane},
		{name: "OIDC-1 last of two issuers is known", call: m.raw(t, with{"iss": "https://stranger.example.com"}, `"iss":"`+m.Issuer+`"`), want: jane},
		{name: "OIDC-1 last of two issuers is not known", call: m.raw(t, nil, `"iss":"https://stranger.example.com"`), want: refused()},
		{name: "OIDC-3 four parts", call: of(honest, "x"), want: refused()},
		{name: "OIDC-3 four parts, the last empty", call: of(honest, ""), want: refused()},
		{name: "OIDC-3 two parts", call: of(parts[:2]...), want: refused()},
		{name: "OIDC-3 empty header", call: of("", parts[1], parts[2]), want: refused()},
		{name: "OIDC-3 empty payload", call: of(parts[0], "", parts[2]), want: refused()},
		{name: "OIDC-3 padded signature", call: of(parts[0], parts[1], parts[2]+"=="), want: refused()},
		{name: "OIDC-3 tab in the header", call: of(parts[0][:4]+"\t"+parts[0][4:], parts[1], parts[2]), want: jane},
		{name: "OIDC-3 tab in the payload", call: of(parts[0], parts[1][:4]+"\t"+parts[1][4:], parts[2]), want: refused()},
		{name: "OIDC-3 tab in the signature", call: of(parts[0], parts[1], parts[2][:4]+"\t"+parts[2][4:]), want: jane},
		{name: "OIDC-3 JSON instead of the compact form", want: refused(), call: call{headers: bearer(
			`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`)}},
		{name: "OIDC-3 payload that is no object", call: sign(minter.Token{Algorithm: "RS256", KeyID: "rsa", Payload: []byte(`["jane"]`)}), want: refused()},
		{name: "OIDC-3 text after the claims", call: sign(minter.Token{Algorithm: "RS256", KeyID: "rsa", Payload: append(m.payload(t, nil, `"x":1`), "{}"...)}), want: refused()},
		{name: "OIDC-4 ES256", call: sign(minter.Token{Algorithm: "ES256", KeyID: "ec"}), want: jane},
		{name: "OIDC-4 RS512 with a key for RS256", call: sign(minter.Token{Algorithm: "RS512", KeyID: "rsa"}), want: jane},
		{name: "OIDC-4 PS256 with a key for RS256", call: sign(minter.Token{Algorithm: "PS256", KeyID: "rsa"}), want: jane},
		{name: "OIDC-4 none", call: sign(minter.Token{Algorithm: "none"}), want: refused()},
		{name: "OIDC-4 none with the old signature", want: refused(), call: of(
			base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)), parts[1], parts[2])},
		{name: "OIDC-4 None in other letter case", call: sign(minter.Token{Algorithm: "none", Header: with{"alg": "nOnE"}}), want: refused()},
		{name: "OIDC-4 no algorithm", call: sign(minter.Token{Algorithm: "RS256", KeyID: "rsa", Header: with{"alg": nil}}), want: refused()},
		{name: "OIDC-4 HS256 with the public key", call: sign(minter.Token{Algorithm: "HS256", Secret: public}), want: refused()},
		{name: "OIDC-4 HS256 with the public key and its id", call: sign(minter.Token{Algorithm: "HS256", Secret: public, Header: with{"kid": "rsa"}}), want: refused()},
		{name: "OIDC-4 RS256 said, ES256 signed", call: sign(minter.Token{Algorithm: "ES256", KeyID: "ec", Header: with{"alg": "RS256"}}), want: refused()},
		{name: "OIDC-4 type is not looked at", call: sign(minter.Token{Algorithm: "RS256", KeyID: "rsa", Header: with{"typ": "at+jwt"}}), want: jane},
		{name: "OIDC-4 critical header", call: sign(minter.Token{Algorithm: "RS256", KeyID: "rsa", Header: with{"crit": []string{"exp"}, "exp": 1}}), want: refused()},
		{name: "OIDC-4 critical b64", call: sign(minter.Token{Algorithm: "RS256", KeyID: "rsa", Header: with{"crit": []string{"b64"}, "b64": true}}), want: jane},
		{name: "OIDC-5 no key id", call: sign(minter.Token{Algorithm: "RS256", KeyID: "rsa", Header: with{"kid": nil}}), want: jane},
		{name: "OIDC-5 empty key id", call: sign(minter.Token{Algorithm: "RS256", KeyID: "rsa", Header: with{"kid": ""}}), want: jane},
		{name: "OIDC-5 unknown key id", call: sign(minter.Token{Algorithm: "RS256", KeyID: "rsa", Header: with{"kid": "other"}}), want: refused()},
		{name: "OIDC-5 id of another key", call: sign(minter.Token{Algorithm: "RS256", KeyID: "rsa", Header: with{"kid": "ec"}}), want: refused()},
		{name: "OIDC-5 number as the key id", call: sign(minter.Token{Algorithm: "RS256", KeyID: "rsa", Header: with{"kid": 1}}), want: refused()},
		{name: "OIDC-5 key that is not published", call: sign(minter.Token{Algorithm: "RS256", KeyID: "hidden"}), want: refused()},
		{name: "OIDC-5 key that is not published under a known id", call: sign(minter.Token{Algorithm: "RS256", KeyID: "hidden", Header: with{"kid": "rsa"}}), want: refused()},
		{name: "OIDC-5 key of another issuer", want: refused(), call: call{headers: bearer(
			stranger.sign(t, minter.Token{Algorithm: "RS256", KeyID: "rsa", Claims: m.claims(nil)}))}},
		{name: "OIDC-5 key in the token's header", want: refused(), call: sign(minter.Token{Algorithm: "RS256", KeyID: "hidden", Header: with{
			"kid": nil, "jku": m.Issuer + "/keys", "x5u": "https://stranger.example.com",
		}})},
		{name: "OIDC-5 changed claims", call: of(parts[0], base64.RawURLEncoding.EncodeToString(m.payload(t, nil, `"sub":"root"`)), parts[2]), want: refused()},
		{name: "OIDC-5 no signature", call: of(parts[0], parts[1], ""), want: refused()},
		{name: "OIDC-7 later Exp wins, good", call: m.raw(t, with{"exp": 1}, `"Exp":9999999999`), want: jane},
		{name: "OIDC-7 later Exp wins, bad", call: m.raw(t, nil, `"Exp":1`), want: refused()},
		{name: "OIDC-7 later exp wins, good", call: m.raw(t, with{"exp": 1}, `"exp":9999999999`), want: jane},
		{name: "OIDC-7 letters that fold to ASCII", call: m.raw(t, with{"iss": absent{}}, `"i\u017f\u017f":"`+m.Issuer+`"`), want: jane},
		{name: "OIDC-7 later Aud wins", call: m.raw(t, nil, `"Aud":"stranger"`), want: refused()},
		{name: "OIDC-7 Sub is no sub", call: m.raw(t, nil, `"Sub":"root"`), want: jane},
		{name: "OIDC-7 last of two subjects", call: m.raw(t, nil, `"sub":"joe"`), want: as("joe", "dev", authenticated)},
		{name: "OIDC-7 exp is null", call: token(with{"exp": nil}), want: refused()},
		{name: "OIDC-7 iat is null", call: token(with{"iat": nil}), want: refused()},
		{name: "OIDC-7 nbf is null", call: token(with{"nbf": nil}), want: jane},
		{name: "OIDC-7 exp is text", call: token(with{"exp": "9999999999"}), want: jane},
		{name: "OIDC-7 exp is other text", call: token(with{"exp": "tomorrow"}), want: refused()},
		{name: "OIDC-7 exp is a fraction", call: token(with{"exp": 9999999999.5}), want: jane},
		{name: "OIDC-7 exp has an exponent", call: m.raw(t, with{"exp": absent{}}, `"exp":9.9e9`), want: jane},
		{name: "OIDC-7 exp is negative", call: token(with{"exp": -1}), want: refused()},
		{name: "OIDC-7 exp is true", call: token(with{"exp": true}), want: refused()},
		{name: "OIDC-7 exp is a list", call: token(with{"exp": []int{9999999999}}), want: refused()},
		{
			name: "OIDC-7 exp after the year 9999", call: token(with{"exp": int64(1) << 40}), want: jane,
			difference: differsFarTimes, ostiary: refused(),
		},
		{
			name: "OIDC-7 iat after the year 9999", call: token(with{"iat": int64(1) << 40}), want: jane,
			difference: differsFarTimes, ostiary: refused(),
		},
		{name: "OIDC-7 iat is text", call: token(with{"iat": "1"}), want: jane},
		{name: "OIDC-7 iat is empty text", call: token(with{"iat": ""}), want: refused()},
		{name: "OIDC-7 nbf is text", call: token(with{"nbf": "1"}), want: jane},
		{name: "OIDC-7 nonce is a number", call: token(with{"nonce": 1}), want: refused()},
		{name: "OIDC-7 at_hash is a number", call: token(with{"at_hash": 1}), want: refused()},
		{name: "OIDC-7 subject is a number", call: token(with{"sub": 5}), want: refused()},
		{name: "OIDC-8 claim name without a source", call: token(with{"_claim_names": with{"roles": "src"}}), want: refused()},
		{name: "OIDC-8 claim name with an empty source", call: token(with{"_claim_names": with{"roles": ""}, "_claim_sources": with{"": with{}}}), want: refused()},
		{name: "OIDC-8 claim name that is no text", call: token(with{"_claim_names": with{"roles": 1}}), want: refused()},
		{name: "OIDC-8 source that nobody needs", want: jane, call: token(with{
			"_claim_names": with{"roles": "src"}, "_claim_sources": with{"src": with{"endpoint": m.Issuer + "/nowhere"}},
		})},
		{name: "OIDC-9 list of audiences", call: token(with{"aud": []string{"stranger", "ostiary"}}), want: jane},
		{name: "OIDC-9 second audience", call: token(with{"aud": "second"}), want: jane},
		{name: "OIDC-9 other audience", call: token(with{"aud": "stranger"}), want: refused()},
		{name: "OIDC-9 API audience", call: token(with{"aud": audience}), want: refused()},
		{name: "OIDC-9 audience in other letter case", call: token(with{"aud": "Ostiary"}), want: refused()},
		{name: "OIDC-9 no audience", call: token(with{"aud": absent{}}), want: refused()},
		{name: "OIDC-9 no audience in the list", call: token(with{"aud": []string{}}), want: refused()},
		{name: "OIDC-9 audience is null", call: token(with{"aud": nil}), want: refused()},
		{name: "OIDC-9 audience is a number", call: token(with{"aud": 1}), want: refused()},
		{name: "OIDC-9 number in the list", call: token(with{"aud": []any{"ostiary", 1}}), want: refused()},
		{name: "OIDC-9 authorized party is not looked at", call: token(with{"azp": "stranger"}), want: jane},
		{name: "OIDC-10 expired five seconds ago", call: token(with{"exp": seconds(-5 * time.Second)}), want: refused()},
		{name: "OIDC-10 expires in a minute", call: token(with{"exp": seconds(time.Minute)}), want: jane},
		{name: "OIDC-10 no exp", call: token(with{"exp": absent{}}), want: refused()},
		{name: "OIDC-10 no nbf", call: token(with{"nbf": absent{}}), want: jane},
		{name: "OIDC-10 not before half a minute from now", call: token(with{"nbf": seconds(30 * time.Second)}), want: jane},
		{name: "OIDC-10 not before two minutes from now", call: token(with{"nbf": seconds(2 * time.Minute)}), want: refused()},
		{name: "OIDC-10 issued tomorrow", call: token(with{"iat": seconds(24 * time.Hour)}), want: jane},
		{name: "OIDC-10 issued in 1970", call: token(with{"iat": 0}), want: jane},
		{name: "OIDC-10 no iat", call: token(with{"iat": absent{}}), want: jane},
		{name: "OIDC-10 issued after it ends", call: token(with{"iat": seconds(2 * time.Hour), "exp": seconds(time.Hour)}), want: jane},
		{name: "OIDC-11 distributed groups that cannot be fetched", want: refused(), call: token(with{
			"groups": absent{}, "_claim_names": with{"groups": "src"}, "_claim_sources": with{"src": with{"endpoint": m.Issuer + "/nowhere"}},
		})},
		{name: "OIDC-11 distributed groups from no https", want: refused(), call: token(with{
			"groups": absent{}, "_claim_names": with{"groups": "src"}, "_claim_sources": with{"src": with{"endpoint": "file:///etc/passwd"}},
		})},
		{name: "OIDC-11 groups of its own win", want: jane, call: token(with{
			"_claim_names": with{"groups": "src"}, "_claim_sources": with{"src": with{"endpoint": m.Issuer + "/nowhere"}},
		})},
		{name: "OIDC-11 aggregated groups are ignored", want: as("jane", authenticated), call: token(with{
			"groups": absent{}, "_claim_names": with{"groups": "src"}, "_claim_sources": with{"src": with{"JWT": honest}},
		})},
		{
			name: "OIDC-1 very long token", call: token(with{"filler": strings.Repeat("x", longClaim)}), want: jane,
			difference: differsLongToken, ostiary: refused(),
		},
	})
}

// TestJWTMapping is about what becomes of claims that are taken by name.
func TestJWTMapping(t *testing.T) {
	m, p := shared.issuers.mapped, shared.issuers.prefixed
	jane := as("jane", "dev", authenticated)
	mapped := func(changes with) call { return m.token(t, changes) }
	prefixed := func(changes with) call { return p.token(t, changes) }
	janeAtExample := as("oidc:jane@example.com", "oidc:dev", authenticated).withUID("u-1")
	shared.open.run(t, []row{
		{name: "OIDC-12 no user name", call: mapped(with{"sub": absent{}}), want: refused()},
		{
			name: "OIDC-12 empty user name", call: mapped(with{"sub": ""}), want: as("", "dev", authenticated),
			difference: differsEmptyUser, ostiary: refused(),
		},
		{
			name: "OIDC-12 user name is null", call: mapped(with{"sub": nil}), want: as("", "dev", authenticated),
			difference: differsEmptyUser, ostiary: refused(),
		},
		{name: "OIDC-12 user name beyond ASCII", call: mapped(with{"sub": "Жук 🐞"}), want: as("Жук 🐞", "dev", authenticated)},
		{
			name: "OIDC-12 blank before the user name", call: mapped(with{"sub": " jane"}), want: as(" jane", "dev", authenticated),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{
			name: "OIDC-12 tab after the user name", call: mapped(with{"sub": "jane\t"}), want: as("jane\t", "dev", authenticated),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{
			name: "OIDC-12 header in the user name", call: mapped(with{"sub": "jane\r\nX-Remote-Group: system:masters"}),
			want:       as("jane\r\nX-Remote-Group: system:masters", "dev", authenticated),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{
			name: "OIDC-12 control character beyond ASCII in the user name", call: mapped(with{"sub": "jane\u0085"}), want: as("jane\u0085", "dev", authenticated),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{name: "OIDC-12 half a surrogate pair in the user name", call: m.raw(t, with{"sub": absent{}}, `"sub":"jane\ud800"`), want: as("jane\ufffd", "dev", authenticated)},
		{name: "OIDC-12 prefix", call: prefixed(nil), want: janeAtExample},
		{name: "OIDC-12 address verified", call: prefixed(with{"email_verified": true}), want: janeAtExample},
		{name: "OIDC-12 address not verified", call: prefixed(with{"email_verified": false}), want: refused()},
		{name: "OIDC-12 verified is text", call: prefixed(with{"email_verified": "true"}), want: refused()},
		{name: "OIDC-12 verified is null", call: prefixed(with{"email_verified": nil}), want: refused()},
		{name: "OIDC-12 verified is a number", call: prefixed(with{"email_verified": 1}), want: refused()},
		{name: "OIDC-12 verified counts for addresses alone", call: mapped(with{"email_verified": false}), want: jane},
		{name: "OIDC-12 no address", call: prefixed(with{"email": absent{}}), want: refused()},
		{name: "OIDC-12 empty address", call: prefixed(with{"email": ""}), want: as("oidc:", "oidc:dev", authenticated).withUID("u-1")},
		{name: "OIDC-12 address is a list", call: prefixed(with{"email": []string{"jane@example.com"}}), want: refused()},
		{name: "OIDC-7 numeric subject that is not used", call: prefixed(with{"sub": 5}), want: refused()},
		{name: "OIDC-14 no groups", call: mapped(with{"groups": absent{}}), want: as("jane", authenticated)},
		{name: "OIDC-14 groups are null", call: mapped(with{"groups": nil}), want: as("jane", authenticated)},
		{name: "OIDC-14 groups are text", call: mapped(with{"groups": "ops"}), want: as("jane", "ops", authenticated)},
		{name: "OIDC-14 comma in the text", call: mapped(with{"groups": "ops,dev"}), want: as("jane", "ops,dev", authenticated)},
		{name: "OIDC-14 empty list", call: mapped(with{"groups": []string{}}), want: as("jane", authenticated)},
		{name: "OIDC-14 order and doubles", call: mapped(with{"groups": []string{"z", "a", "z"}}), want: as("jane", "z", "a", "z", authenticated)},
		{name: "OIDC-14 groups are a number", call: mapped(with{"groups": 5}), want: refused()},
		{name: "OIDC-14 groups are true", call: mapped(with{"groups": true}), want: refused()},
		{name: "OIDC-14 groups are an object", call: mapped(with{"groups": with{"dev": true}}), want: refused()},
		{name: "OIDC-14 number in the list", call: mapped(with{"groups": []any{"dev", 5}}), want: refused()},
		{name: "OIDC-14 list in the list", call: mapped(with{"groups": []any{[]string{"dev"}}}), want: refused()},
		{
			name: "OIDC-14 null in the list", call: mapped(with{"groups": []any{"dev", nil}}), want: as("jane", "dev", "", authenticated),
			difference: differsEmptyGroups, ostiary: jane,
		},
		{
			name: "OIDC-14 empty group", call: mapped(with{"groups": []string{"", "dev"}}), want: as("jane", "", "dev", authenticated),
			difference: differsEmptyGroups, ostiary: jane,
		},
		{
			name: "OIDC-14 blank after a group", call: mapped(with{"groups": []string{"dev", "system:masters "}}), want: as("jane", "dev", "system:masters ", authenticated),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{name: "OIDC-14 empty group behind a prefix", call: prefixed(with{"roles": []string{""}}), want: as("oidc:jane@example.com", "oidc:", authenticated).withUID("u-1")},
		{name: "OIDC-16 no uid", call: prefixed(with{"uid": absent{}}), want: refused()},
		{name: "OIDC-16 uid is a number", call: prefixed(with{"uid": 5}), want: refused()},
		{name: "OIDC-16 empty uid", call: prefixed(with{"uid": ""}), want: as("oidc:jane@example.com", "oidc:dev", authenticated)},
		{
			name: "OIDC-16 line break in the uid", call: prefixed(with{"uid": "u\n1"}), want: janeAtExample.withUID("u\n1"),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{name: "OIDC-17 credential id", call: mapped(with{"jti": "j-1"}), want: jane.withExtra(credentialID, "JTI=j-1")},
		{name: "OIDC-17 no jti", call: mapped(with{"jti": absent{}}), want: jane.withNoExtra()},
		{name: "OIDC-17 empty jti", call: mapped(with{"jti": ""}), want: jane.withNoExtra()},
		{name: "OIDC-17 jti is a number", call: mapped(with{"jti": 5}), want: jane.withNoExtra()},
		{name: "OIDC-17 jti is a list", call: mapped(with{"jti": []string{"j"}}), want: jane.withNoExtra()},
		{
			name: "OIDC-17 line break in the jti", call: mapped(with{"jti": "j\n1"}), want: jane.withExtra(credentialID, "JTI=j\n1"),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{name: "OIDC-18 required claim absent", call: prefixed(with{"hd": absent{}}), want: refused()},
		{name: "OIDC-18 required claim with another value", call: prefixed(with{"hd": "example.org"}), want: refused()},
		{name: "OIDC-18 required claim in other letter case", call: prefixed(with{"hd": "Example.com"}), want: refused()},
		{name: "OIDC-18 required claim in a list", call: prefixed(with{"hd": []string{"example.com"}}), want: refused()},
		{name: "OIDC-19 system:masters", call: mapped(with{"groups": []string{"system:masters"}}), want: as("jane", "system:masters", authenticated)},
		{name: "OIDC-19 a user of Kubernetes' own", call: mapped(with{"sub": "system:kube-scheduler"}), want: as("system:kube-scheduler", "dev", authenticated)},
		{name: "OIDC-19 a ServiceAccount", call: mapped(with{"sub": "system:serviceaccount:kube-system:default"}), want: as("system:serviceaccount:kube-system:default", "dev", authenticated)},
		{name: "OIDC-19 behind a prefix it is no such name", call: prefixed(with{"roles": []string{"system:masters"}}), want: as("oidc:jane@example.com", "oidc:system:masters", authenticated).withUID("u-1")},
		{name: "GRP-2 system:unauthenticated in a token", call: mapped(with{"groups": []string{"system:unauthenticated"}}), want: as("jane", unauthenticated)},
	})
}

// TestJWTExpressions is about claims that are mapped by CEL.
func TestJWTExpressions(t *testing.T) {
	const tenant, number, integer = "example.com/tenant", "example.com/number", "example.com/integer"
	jane := as("jane", "dev", authenticated)
	jti := func(changes with) with {
		changes["jti"] = absent{} // what remains are the mapped extras
		return changes
	}
	c := func(changes with) call { return shared.issuers.cel.token(t, changes) }
	shared.open.run(t, []row{
		{name: "OIDC-13 good", call: c(nil), want: jane},
		{name: "OIDC-13 no user name", call: c(with{"username": absent{}}), want: refused()},
		{name: "OIDC-13 empty user name", call: c(with{"username": ""}), want: refused()},
		{name: "OIDC-13 user name is null", call: c(with{"username": nil}), want: refused()},
		{name: "OIDC-13 user name is a number", call: c(with{"username": 5}), want: refused()},
		{name: "OIDC-13 user name is a list", call: c(with{"username": []string{"jane"}}), want: refused()},
		{
			name: "OIDC-13 blank is a user name", call: c(with{"username": " "}), want: as(" ", "dev", authenticated),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{name: "OIDC-15 no groups", call: c(with{"groups": absent{}}), want: refused()},
		{name: "OIDC-15 groups are null", call: c(with{"groups": nil}), want: as("jane", authenticated)},
		{name: "OIDC-15 groups are text", call: c(with{"groups": "ops"}), want: as("jane", "ops", authenticated)},
		{name: "OIDC-15 empty text", call: c(with{"groups": ""}), want: as("jane", authenticated)},
		{name: "OIDC-15 empty groups are dropped", call: c(with{"groups": []string{"", "ops", ""}}), want: as("jane", "ops", authenticated)},
		{name: "OIDC-15 groups are a number", call: c(with{"groups": 5}), want: refused()},
		{name: "OIDC-15 groups are an object", call: c(with{"groups": with{"dev": true}}), want: refused()},
		{name: "OIDC-15 number in the list", call: c(with{"groups": []any{"dev", 5}}), want: refused()},
		{name: "OIDC-15 null in the list", call: c(with{"groups": []any{"dev", nil}}), want: refused()},
		{name: "OIDC-16 uid by expression", call: c(with{"uid": "u-2"}), want: jane.withUID("u-2")},
		{name: "OIDC-16 uid by expression is a number", call: c(with{"uid": 5}), want: refused()},
		{name: "OIDC-16 uid by expression is null", call: c(with{"uid": nil}), want: refused()},
		{name: "OIDC-17 extra", call: c(jti(with{"tenant-id": "acme"})), want: jane.withExtra(tenant, "acme")},
		{name: "OIDC-17 extra with a jti", call: c(with{"tenant-id": "acme", "jti": "j"}), want: jane.withExtra(tenant, "acme").withExtra(credentialID, "JTI=j")},
		{name: "OIDC-17 list of extras", call: c(jti(with{"tenant-id": []string{"b", "a", "", "b"}})), want: jane.withExtra(tenant, "b", "a", "b")},
		{name: "OIDC-17 extra beyond ASCII", call: c(jti(with{"tenant-id": "Ünï,côde; %41"})), want: jane.withExtra(tenant, "Ünï,côde; %41")},
		{name: "OIDC-17 empty extra", call: c(jti(with{"tenant-id": ""})), want: jane.withNoExtra()},
		{name: "OIDC-17 extra is null", call: c(jti(with{"tenant-id": nil})), want: jane.withNoExtra()},
		{name: "OIDC-17 extra is a number", call: c(with{"tenant-id": 5}), want: refused()},
		{
			name: "OIDC-17 blank before an extra", call: c(jti(with{"tenant-id": " acme"})), want: jane.withExtra(tenant, " acme"),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{name: "OIDC-18 claim rule holds", call: c(with{"banned": false}), want: jane},
		{name: "OIDC-18 claim rule does not hold", call: c(with{"banned": true}), want: refused()},
		{name: "OIDC-18 claim rule over another type", call: c(with{"banned": "false"}), want: refused()},
		{name: "OIDC-18 user rule does not hold for the name", call: c(with{"username": "blocked-jane"}), want: refused()},
		{name: "OIDC-18 user rule does not hold for a group", call: c(with{"groups": []string{"dev", "forbidden"}}), want: refused()},
		{name: "CEL-1 member in other letter case is another claim", call: c(with{"username": absent{}, "Username": "jane"}), want: refused()},
		{name: "CEL-2 number and a double", call: c(jti(with{"n": 4})), want: jane.withExtra(number, "5")},
		{name: "CEL-2 number and an integer", call: c(with{"i": 4}), want: refused()},
		{name: "CEL-2 integer above 2^53", call: c(jti(with{"n": int64(1)<<53 + 1})), want: jane},
		{name: "CEL-2 text is no number", call: c(with{"n": "4"}), want: refused()},
		{name: "CEL-3 optional claim absent", call: c(jti(with{})), want: jane.withNoExtra()},
		{name: "OIDC-19 system:masters by expression", call: c(with{"groups": []string{"system:masters"}}), want: as("jane", "system:masters", authenticated)},
	})
}

package decisions_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

const (
	differsTwoHeaders  = "More than one `Authorization` header: 400"
	differsTwoUpgrades = "A `Connection: Upgrade` with no `Upgrade` header or more than one: 400"
	differsProtocol    = "Upgrades to other than `websocket` and `SPDY/3.1`: 400"

	// extraSpace is the warning of BEAR-4 as it stands in the header.
	extraSpace = `299 - "the provided Authorization header contains extra space before the bearer token, and is ignored"`
)

func TestBearer(t *testing.T) {
	is := func(values ...string) call {
		var c call
		for _, value := range values {
			c.headers = append(c.headers, "Authorization:"+value)
		}
		return c
	}
	warned := func(o outcome) outcome {
		o.Warnings = []string{extraSpace}
		return o
	}
	malformed := outcome{Status: http.StatusBadRequest}
	shared.open.run(t, []row{
		{
			name: "BEAR-1 first header good, second bad", call: is(" Bearer "+tokenAlice, " Bearer wrong"), want: alice(),
			difference: differsTwoHeaders, ostiary: malformed,
		},
		{
			name: "BEAR-1 first header bad, second good", call: is(" Bearer wrong", " Bearer "+tokenAlice), want: refused(),
			difference: differsTwoHeaders, ostiary: malformed,
		},
		{
			name: "BEAR-1 first header empty, second good", call: is("", " Bearer "+tokenAlice), want: anonymous(),
			difference: differsTwoHeaders, ostiary: malformed,
		},
		{
			name: "BEAR-1 first header basic, second good", call: is(" Basic YTpi", " Bearer "+tokenAlice), want: anonymous(),
			difference: differsTwoHeaders, ostiary: malformed,
		},
		{
			name: "BEAR-1 the same header twice", call: is(" Bearer "+tokenAlice, " Bearer "+tokenAlice), want: alice(),
			difference: differsTwoHeaders, ostiary: malformed,
		},
		{name: "BEAR-1 one empty header", call: is(""), want: anonymous()},
		{name: "BEAR-1 other letter case of the name", call: call{headers: []string{"aUTHORIZATION: Bearer " + tokenAlice}}, want: alice()},
		{name: "BEAR-2 blanks around", call: is("  \t Bearer " + tokenAlice + " \t "), want: alice()},
		{name: "BEAR-2 no blank after the colon", call: is("Bearer " + tokenAlice), want: alice()},
		{name: "BEAR-2 Unicode blank at the end", call: is(" Bearer " + tokenAlice + "\u00a0\u3000"), want: alice()},
		{name: "BEAR-2 Unicode blank at the start", call: is(" \u2003Bearer " + tokenAlice), want: alice()},
		{name: "BEAR-2 Unicode blank as a separator", call: is(" Bearer\u00a0" + tokenAlice), want: anonymous()},
		{name: "BEAR-3 lower case", call: is(" bearer " + tokenAlice), want: alice()},
		{name: "BEAR-3 upper case", call: is(" BEARER " + tokenAlice), want: alice()},
		{name: "BEAR-3 mixed case", call: is(" bEaReR " + tokenAlice), want: alice()},
		{name: "BEAR-3 letters that fold to ASCII", call: is(" \u0412earer " + tokenAlice), want: anonymous()},
		{name: "BEAR-3 tab as a separator", call: is(" Bearer\t" + tokenAlice), want: anonymous()},
		{name: "BEAR-3 scheme alone", call: is(" Bearer"), want: anonymous()},
		{name: "BEAR-3 colon after the scheme", call: is(" Bearer: " + tokenAlice), want: anonymous()},
		{name: "BEAR-3 token alone", call: is(" " + tokenAlice), want: anonymous()},
		{name: "BEAR-3 other scheme", call: is(" Token " + tokenAlice), want: anonymous()},
		{name: "BEAR-3 longer scheme", call: is(" BearerX " + tokenAlice), want: anonymous()},
		{name: "BEAR-4 scheme and blank", call: is(" Bearer "), want: anonymous()},
		{name: "BEAR-4 two blanks", call: is(" Bearer  " + tokenAlice), want: warned(anonymous())},
		{name: "BEAR-4 three blanks", call: is(" Bearer   " + tokenAlice), want: warned(anonymous())},
		{name: "BEAR-4 two blanks, the warning goes with a refusal", call: is(" Bearer  " + tokenAlice).with(upgrade(protocols("wrong"))...), want: warned(refused())},
		{name: "BEAR-4 two blanks, the warning goes with a good subprotocol", call: is(" Bearer  x").with(upgrade(protocols(tokenAlice))...), want: warned(alice())},
		{name: "BEAR-5 word after the token", call: is(" Bearer " + tokenAlice + " extra words"), want: alice()},
		{name: "BEAR-5 two blanks after the token", call: is(" Bearer " + tokenAlice + "  extra"), want: alice()},
		{name: "BEAR-5 quoted", call: is(` Bearer "` + tokenAlice + `"`), want: refused()},
		{name: "BEAR-5 comma and another", call: is(" Bearer " + tokenAlice + ",Bearer x"), want: refused()},
		{name: "BEAR-5 tab after the token", call: is(" Bearer " + tokenAlice + "\tx"), want: refused()},
		{name: "BEAR-5 percent escapes", call: is(" Bearer " + strings.ReplaceAll(tokenAlice, "-", "%2d")), want: refused()},
		{name: "BEAR-6 unknown", call: is(" Bearer bogus"), want: refused()},
		{name: "BEAR-7 basic", call: is(" Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+tokenAlice))), want: anonymous()},
		{name: "BEAR-7 query parameter", call: call{target: reviews + "?access_token=" + tokenAlice}, want: anonymous()},
		{name: "BEAR-7 cookie", call: call{headers: []string{"Cookie: Authorization=Bearer " + tokenAlice}}, want: anonymous()},
		{name: "BEAR-7 proxy's header", call: call{headers: []string{"Proxy-Authorization: Bearer " + tokenAlice}}, want: anonymous()},
		{name: "BEAR-7 named hop by hop", call: is(" Bearer " + tokenAlice).with("Connection: Authorization"), want: alice()},
	})
}

// protocol is the subprotocol that carries a token (WS-2).
func protocol(encoded string) string { return "base64url.bearer.authorization.k8s.io." + encoded }

// protocols offers tokens as subprotocols, and one that is none.
func protocols(tokens ...string) string {
	offered := []string{"v4.channel.k8s.io"}
	for _, token := range tokens {
		offered = append(offered, protocol(base64.RawURLEncoding.EncodeToString([]byte(token))))
	}
	return strings.Join(offered, ", ")
}

// upgrade is what a WebSocket client sends. A SelfSubjectReview cannot be upgraded: who asks for one gets it.
func upgrade(offered ...string) []string {
	headers := []string{
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
	for _, protocols := range offered {
		headers = append(headers, "Sec-WebSocket-Protocol: "+protocols)
	}
	return headers
}

func TestWebSocketBearer(t *testing.T) {
	is := func(offered ...string) call { return call{headers: upgrade(offered...)} }
	// instead replaces the first two headers.
	instead := func(headers ...string) call {
		return call{headers: append(headers, upgrade(protocols(tokenAlice))[2:]...)}
	}
	encoded := base64.RawURLEncoding.EncodeToString([]byte(tokenAlice))
	other := "v4.channel.k8s.io"
	jwt := strings.TrimPrefix(shared.issuers.mapped.token(t, nil).headers[0], "Authorization: Bearer ")
	dots := strings.Split(jwt, ".")
	jane := as("jane", "dev", authenticated)
	shared.open.run(t, []row{
		{name: "WS-1 good", call: is(protocols(tokenAlice)), want: alice()},
		{name: "WS-1 no upgrade", call: call{headers: []string{"Sec-WebSocket-Protocol: " + protocols(tokenAlice)}}, want: anonymous()},
		{name: "WS-1 no Connection", call: instead("Upgrade: websocket"), want: anonymous()},
		{
			name: "WS-1 no Upgrade", call: instead("Connection: Upgrade"), want: anonymous(),
			difference: differsTwoUpgrades, ostiary: outcome{Status: http.StatusBadRequest},
		},
		{name: "WS-1 other letter case", call: instead("connection: uPGRADE", "upgrade: WebSocket"), want: alice()},
		{name: "WS-1 upgrade among others", call: instead("Connection: keep-alive, Upgrade", "Upgrade: websocket"), want: alice()},
		{name: "WS-1 two values of Connection", call: instead("Connection: not", "Connection: upgrade", "Upgrade: websocket"), want: alice()},
		{name: "WS-1 the word inside another", call: instead("Connection: xupgradex", "Upgrade: websocket"), want: alice()},
		{name: "WS-1 upgrade to SPDY", call: instead("Connection: Upgrade", "Upgrade: SPDY/3.1"), want: anonymous()},
		{
			name: "WS-1 first of two upgrades", call: instead("Connection: Upgrade", "Upgrade: websocket", "Upgrade: SPDY/3.1"), want: alice(),
			difference: differsTwoUpgrades, ostiary: outcome{Status: http.StatusBadRequest},
		},
		{
			name: "WS-1 second of two upgrades", call: instead("Connection: Upgrade", "Upgrade: SPDY/3.1", "Upgrade: websocket"), want: anonymous(),
			difference: differsTwoUpgrades, ostiary: outcome{Status: http.StatusBadRequest},
		},
		{
			name: "WS-1 upgrade to another protocol", call: instead("Connection: Upgrade", "Upgrade: h2c"), want: anonymous(),
			difference: differsProtocol, ostiary: outcome{Status: http.StatusBadRequest},
		},
		{name: "WS-2 token first", call: is(protocol(encoded) + "," + other), want: alice()},
		{name: "WS-2 no blanks", call: is(other + "," + protocol(encoded)), want: alice()},
		{name: "WS-2 lines of their own", call: is(protocol(encoded), other), want: alice()},
		{name: "WS-2 other letter case", call: is(other + ", Base64URL" + strings.TrimPrefix(protocol(encoded), "base64url")), want: anonymous()},
		{name: "WS-2 other prefix", call: is(other + ", base64.bearer.authorization.k8s.io." + encoded), want: anonymous()},
		{name: "WS-2 unknown token", call: is(protocols("wrong")), want: refused()},
		{name: "WS-3 two tokens", call: is(protocols(tokenAlice, tokenBob)), want: refused()},
		{name: "WS-3 one token twice", call: is(protocols(tokenAlice, tokenAlice)), want: refused()},
		{name: "WS-3 two tokens in two lines", call: is(protocols(tokenAlice), protocols(tokenBob)), want: refused()},
		{name: "WS-3 empty token, then a good one", call: is(protocols("", tokenAlice)), want: refused()},
		{name: "WS-3 padded", call: is(other + "," + protocol(base64.URLEncoding.EncodeToString([]byte("tok-bo-")))), want: refused()},
		{name: "WS-3 not base64", call: is(other + "," + protocol("!!!")), want: refused()},
		{name: "WS-3 the other base64", call: is(other + "," + protocol("+/+/")), want: refused()},
		{name: "WS-3 bits left over", call: is(other + "," + protocol(encoded[:len(encoded)-1]+"_")), want: refused()},
		{name: "WS-3 not UTF-8", call: is(protocols("tok-\xff")), want: refused()},
		{name: "WS-3 empty token", call: is(protocols("")), want: anonymous()},
		{name: "WS-3 token alone", call: is(protocol(encoded)), want: refused()},
		{name: "WS-3 token and an empty subprotocol", call: is(protocol(encoded) + ","), want: alice()},
		{name: "WS-3 empty token alone", call: is(protocol("")), want: anonymous()},
		{name: "WS-4 JWT", call: is(protocols(jwt)), want: jane},
		{name: "WS-4 expired JWT", call: is(protocols(strings.TrimPrefix(shared.issuers.mapped.token(t, with{"exp": 1}).headers[0], "Authorization: Bearer "))), want: refused()},
		{name: "WS-5 good subprotocol, bad bearer token", call: is(protocols(tokenAlice)).with(bearer("wrong")...), want: alice()},
		{name: "WS-5 bad subprotocol, good bearer token", call: is(protocols("wrong")).with(bearer(tokenBob)...), want: as("bob", authenticated).withUID("uid-bob")},
		{name: "WS-5 two subprotocols, good bearer token", call: is(protocols(tokenAlice, tokenAlice)).with(bearer(tokenBob)...), want: as("bob", authenticated).withUID("uid-bob")},
		{name: "WS-5 both bad", call: is(protocols("wrong")).with(bearer("wrong")...), want: refused()},
		{name: "WS-6 token with blanks", call: is(protocols("tok with blanks")), want: as("judy", "dev", authenticated).withUID("uid-judy")},
		{name: "WS-6 token with a leading blank", call: is(protocols(" tok-leading")), want: as("kim", "dev", authenticated).withUID("uid-kim")},
		{name: "WS-6 token with quotation marks", call: is(protocols(`tok-with "quotes"`)), want: as("heidi", "dev", authenticated).withUID("uid-heidi")},
		{name: "WS-6 blanks around are part of the token", call: is(protocols(tokenAlice + " ")), want: refused()},
		{name: "WS-6 line break after a JWT", call: is(protocols(jwt + "\n")), want: jane},
		{name: "WS-6 line break inside a JWT's claims", call: is(protocols(dots[0] + "." + dots[1][:4] + "\r\n" + dots[1][4:] + "." + dots[2])), want: jane},
		{name: "WS-6 blank inside a JWT's claims", call: is(protocols(dots[0] + "." + dots[1][:4] + " " + dots[1][4:] + "." + dots[2])), want: refused()},
	})
}

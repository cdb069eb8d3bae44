package decisions_test

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2" //nolint:depguard // the same seed must make the same requests
	"strings"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/minter"
)

// Names of rows of docs/differences.md that the differential test meets.
const (
	differsReserved     = "User and group names starting with `system:` are refused"
	differsClearText    = "Clear text in the static token file is refused"
	differsWeakTokens   = "Bootstrap tokens that are published samples or easily guessed are refused"
	differsLostWarnings = "Warnings that an API server gives of a ServiceAccount Secret's token do not reach the caller"
)

// shape is one way to present a credential, good or bad.
type shape struct {
	// name is "kind: what is special about it".
	name string
	// make makes the request's part. It is called anew for each server where times matter.
	make func(e *everything, r *rand.Rand) call
	// differs is the row by which both gates may decide otherwise, hardened the one by which only the hardened gate may.
	differs, hardened string
}

// token is a shape that presents a bearer token.
func token(name string, text func(e *everything, r *rand.Rand) string) shape {
	return shape{name: name, make: func(e *everything, r *rand.Rand) call { return call{headers: bearer(text(e, r))} }}
}

func (s shape) hardenedBy(row string) shape { s.hardened = row; return s }

func (s shape) differingBy(row string) shape { s.differs = row; return s }

// shapes are all, kind by kind.
func shapes() [][]shape {
	return [][]shape{proxyShapes(), certificateShapes(), staticShapes(), secretShapes(), boundShapes(), bootstrapShapes(), jwtShapes(), webhookShapes(), otherShapes()}
}

// behind is a request with a certificate and headers.
func behind(certificate string, headers ...string) func(*everything, *rand.Rand) call {
	return func(e *everything, _ *rand.Rand) call {
		return call{certificate: e.certificates[certificate], headers: headers}
	}
}

func proxyShapes() []shape {
	user := "X-Remote-User: bob"
	return []shape{
		{name: "proxy: user", make: behind("proxy", user)},
		{name: "proxy: RH-7 groups", make: behind("proxy", user, "X-Remote-Group: a", "X-Remote-Group: b", "X-Remote-Group: ", "X-Remote-Group: a,c")},
		{name: "proxy: RH-6 two uids", make: behind("proxy", user, "X-Remote-Uid: u1", "X-Remote-Uid: u2")},
		{name: "proxy: RH-5 two users", make: behind("proxy", user, "X-Remote-User: carol")},
		{name: "proxy: RH-5 empty user, then another", make: behind("proxy", "X-Remote-User: ", user)},
		{name: "proxy: RH-5 no user", make: behind("proxy")},
		{name: "proxy: RH-5 groups without a user", make: behind("proxy", "X-Remote-Group: a")},
		{name: "proxy: RH-8 extras", make: behind("proxy", user, "X-Remote-Extra-Foo: 1", "X-Remote-Extra-foo: 2", "X-Remote-Extra-Acme.Com%2Fproject: p")},
		{name: "proxy: RH-8 extra that does not decode", make: behind("proxy", user, "X-Remote-Extra-bad%zz: z")},
		{name: "proxy: RH-8 empty value", make: behind("proxy", user, "X-Remote-Extra-e: ")},
		{name: "proxy: RH-9 case by percent", make: behind("proxy", user, "X-Remote-Extra-%41bC: 1")},
		{name: "proxy: RH-4 lower case", make: behind("proxy", "x-remote-user: bob", "x-remote-group: a")},
		{name: "proxy: RH-4 underscores", make: behind("proxy", "X_Remote_User: bob")},
		shape{name: "proxy: GRP-2 unauthenticated", make: behind("proxy", user, "X-Remote-Group: system:unauthenticated")}.hardenedBy(differsReserved),
		shape{name: "proxy: GRP-2 anonymous with a group", make: behind("proxy", "X-Remote-User: system:anonymous", "X-Remote-Group: zz")}.hardenedBy(differsReserved),
		shape{name: "proxy: masters", make: behind("proxy", user, "X-Remote-Group: system:masters")}.hardenedBy(differsReserved),
		shape{name: "proxy: system user", make: behind("proxy", "X-Remote-User: system:node:x")}.hardenedBy(differsReserved),
		{name: "proxy: RH-12 UTF-8", make: behind("proxy", "X-Remote-User: Bøb Жук", "X-Remote-Group: группа")},
		shape{name: "proxy: RH-12 not UTF-8", make: behind("proxy", "X-Remote-User: b\xffb")}.differingBy(differsUnforwardable),
		{name: "proxy: RH-12 outer blanks", make: behind("proxy", "X-Remote-User:   bob  ")},
		{name: "proxy: RH-1 headers without a certificate", make: behind("none", user, "X-Remote-Group: admins")},
		{name: "proxy: RH-3 other name", make: behind("other proxy", user)},
		{name: "proxy: RH-3 name as SAN", make: behind("proxy by SAN", user)},
		{name: "proxy: RH-3 user's certificate of that name", make: behind("proxy's name", user)},
		{name: "proxy: RH-2 user's certificate", make: behind("user", user, "X-Remote-Group: admins")},
		{name: "proxy: RH-2 expired", make: behind("expired proxy", user)},
		{name: "proxy: RH-2 for servers", make: behind("proxy as server", user)},
		{name: "proxy: RH-2 stranger", make: behind("stranger", user)},
	}
}

func certificateShapes() []shape {
	var all []shape
	for _, name := range []string{
		"user", "no groups", "doubled group", "unicode", "uid", "two uids", "empty uid", "no name", "expired", "not yet",
		"server usage", "any usage", "stranger",
	} {
		all = append(all, shape{name: "certificate: " + name, make: behind(name)})
	}
	return append(all,
		shape{name: "certificate: masters", make: behind("masters")}.hardenedBy(differsReserved),
		shape{name: "certificate: node", make: behind("node")}.hardenedBy(differsReserved),
		shape{name: "certificate: anonymous", make: behind("anonymous")}.hardenedBy(differsReserved),
		shape{name: "certificate: empty group", make: behind("empty group")}.differingBy(differsEmptyGroups),
		shape{name: "certificate: blank name", make: behind("blank name")}.differingBy(differsUnforwardable),
	)
}

// given presents a token as it stands.
func given(text string) func(*everything, *rand.Rand) string {
	return func(*everything, *rand.Rand) string { return text }
}

func staticShapes() []shape {
	var all []shape
	for _, text := range []string{
		tokenAlice, tokenBob, "tok-no-uid", "tok-one-group", "tok-doubled-group", "tok-doubled", "tok-five", "tok-tøken-ключ",
		"tok-user-ünïcode", "tok-comma-user",
	} {
		all = append(all, token("static: "+text, given(text)).hardenedBy(differsClearText))
	}
	for _, text := range []string{
		strings.ToUpper(tokenAlice), tokenAlice + "x", tokenAlice[1:], "tok-unknown", `"` + tokenAlice + `"`, tokenAlice + ",x", "tok", "ключ",
	} {
		all = append(all, token("static: unknown "+text, given(text)))
	}
	return append(all,
		token("static: masters", given("tok-masters")).hardenedBy(differsClearText),
		token("static: unauthenticated", given("tok-unauthenticated")).hardenedBy(differsClearText),
		token("static: anonymous", given("tok-anonymous")).hardenedBy(differsClearText),
		token("static: node", given("tok-node")).hardenedBy(differsClearText),
		token("static: empty groups", given("tok-empty-groups")).differingBy(differsEmptyGroups).hardenedBy(differsClearText),
		token("static: empty group between", given("tok-empty-between")).differingBy(differsEmptyGroups).hardenedBy(differsClearText),
		token("static: blank in groups", given("tok-blank-in-groups")).differingBy(differsUnforwardable).hardenedBy(differsClearText),
		token("static: blank user", given("tok-blank-user")).differingBy(differsUnforwardable).hardenedBy(differsClearText),
		token("static: empty user", given("tok-empty-user")).differingBy(differsEmptyUser).hardenedBy(differsClearText),
	)
}

func secretShapes() []shape {
	var all []shape
	for _, name := range []string{
		"secret-good", "secret-expired", "secret-foreign-audience", "secret-own-audience", "secret-invalid", "secret-empty-label",
		"secret-other-content", "secret-absent", "secret-wrong-subject", "secret-no-subject", "secret-wrong-uid", "secret-no-uid",
		"secret-no-name", "secret-no-namespace", "secret-unnamed", "secret-number-audience", "secret-extra-claim",
	} {
		all = append(all, token("secret: "+name, func(e *everything, _ *rand.Rand) string { return e.secretTokens[name] }))
	}
	return append(all,
		token("secret: SAL-6 signed anew", func(e *everything, r *rand.Rand) string {
			return must(e.own(e.secretClaims("secret-good", with{"x": r.Int()})))
		}),
		token("secret: SAL-9 generated", func(e *everything, _ *rand.Rand) string { return e.secretTokens["secret-generated"] }).differingBy(differsLostWarnings),
		token("secret: broken signature", func(e *everything, _ *rand.Rand) string { return flip(e.secretTokens["secret-good"]) }),
	)
}

// bound is a requested token with some claims changed.
func bound(name string, changes func(e *everything) with) shape {
	return token("bound: "+name, func(e *everything, _ *rand.Rand) string { return must(e.own(e.boundClaims(changes(e)))) })
}

// in is a time from now, as a claim.
func in(seconds int) int64 { return time.Now().Add(time.Duration(seconds) * time.Second).Unix() }

// private are Kubernetes' own claims of a token, with some changed.
func private(e *everything, changes with) with {
	return with{"kubernetes.io": merged(map[string]any{
		"namespace": "default", "serviceaccount": map[string]any{"name": "robot", "uid": string(e.objects["robot"].UID)},
	}, changes)}
}

// same are changes that do not depend on the world.
func same(changes with) func(*everything) with { return func(*everything) with { return changes } }

func boundShapes() []shape {
	object := func(name, uid string) map[string]any { return map[string]any{"name": name, "uid": uid} }
	return append([]shape{
		bound("good", same(nil)),
		bound("SAB-11 exp -30", func(*everything) with { return with{"exp": in(-30)} }),
		bound("SAB-11 exp -90", func(*everything) with { return with{"exp": in(-90)} }),
		bound("SAB-11 nbf +30", func(*everything) with { return with{"nbf": in(30)} }),
		bound("SAB-11 nbf +90", func(*everything) with { return with{"nbf": in(90)} }),
		bound("SAB-11 iat +30", func(*everything) with { return with{"iat": in(30)} }),
		bound("SAB-11 iat +90", func(*everything) with { return with{"iat": in(90)} }),
		bound("SAB-11 no times", same(with{"exp": absent{}, "nbf": absent{}, "iat": absent{}})),
		bound("SAB-8 exp null", same(with{"exp": nil})),
		bound("SAB-8 exp as text", func(*everything) with { return with{"exp": "4000000000"} }),
		bound("SAB-8 exp with a fraction", func(*everything) with { return with{"exp": float64(in(600)) + .5} }),
		bound("SAB-9 no audience", same(with{"aud": absent{}})),
		bound("SAB-9 empty audience list", same(with{"aud": []string{}})),
		bound("SAB-9 empty audience", same(with{"aud": ""})),
		bound("SAB-9 audience as text", same(with{"aud": audience})),
		bound("SAB-9 foreign audience", same(with{"aud": []string{"vault"}})),
		bound("SAB-9 two audiences", same(with{"aud": []string{"vault", audience}})),
		bound("SAB-8 audience null", same(with{"aud": nil})),
		bound("SAB-8 audience as number", same(with{"aud": 7})),
		bound("SAB-1 issuer with a slash", same(with{"iss": controlplane.Issuer + "/"})),
		bound("SAB-1 no issuer", same(with{"iss": absent{}})),
		bound("SAB-12 no subject", same(with{"sub": absent{}})),
		bound("SAB-12 other subject", same(with{"sub": "system:serviceaccount:kube-system:admin"})),
		bound("SAB-8 subject as number", same(with{"sub": 7})),
		bound("SAB-18 no jti", same(with{"jti": absent{}})),
		bound("SAB-18 jti as number", same(with{"jti": 7})),
		bound("SAB-18 groups claim", same(with{"groups": []string{"system:masters"}})),
		bound("SAB-12 no private claims", same(with{"kubernetes.io": absent{}})),
		bound("SAB-13 account is gone", func(e *everything) with {
			return private(e, with{"serviceaccount": object("gone", string(e.objects["gone"].UID))})
		}),
		bound("SAB-13 other uid", func(e *everything) with { return private(e, with{"serviceaccount": object("robot", "u")}) }),
		bound("SAB-13 account that was made anew", func(e *everything) with {
			return private(e, with{"serviceaccount": object("renewed", string(e.objects["renewed"].UID))})
		}),
		bound("SAB-15 pod", func(e *everything) with { return private(e, with{"pod": object("pod-one", e.podUID)}) }),
		bound("SAB-15 pod is gone", func(e *everything) with { return private(e, with{"pod": object("no-pod", "u")}) }),
		bound("SAB-15 other pod uid", func(e *everything) with { return private(e, with{"pod": object("pod-one", "u")}) }),
		bound("SAB-16 pod and node", func(e *everything) with {
			return private(e, with{"pod": object("pod-one", e.podUID), "node": object("node-one", e.nodeUID)})
		}),
		bound("SAB-16 pod and a node that is gone", func(e *everything) with {
			return private(e, with{"pod": object("pod-one", e.podUID), "node": object("no-node", "u")})
		}),
		bound("SAB-16 node", func(e *everything) with { return private(e, with{"node": object("node-one", e.nodeUID)}) }),
		bound("SAB-16 node is gone", func(e *everything) with { return private(e, with{"node": object("no-node", "u")}) }),
		bound("SAB-14 secret is gone", func(e *everything) with { return private(e, with{"secret": object("no-secret", "u")}) }),
		bound("SAB-17 warnafter passed", func(e *everything) with { return private(e, with{"warnafter": in(-1000)}) }),
		bound("SAB-19 webhook", func(e *everything) with { return private(e, with{"validatingwebhookconfiguration": object("x", "u")}) }),
		token("bound: SAB-3 rotated key", signedBy("old", "ES256", func(e *everything) any { return e.oldKeyID })),
		token("bound: SAB-3 no key id", signedBy("own", "RS256", func(*everything) any { return nil })),
		token("bound: SAB-3 other key id", signedBy("own", "RS256", func(e *everything) any { return e.oldKeyID })),
		token("bound: SAB-3 unknown key id", signedBy("own", "RS256", func(*everything) any { return "unknown" })),
		token("bound: SAB-2 numeric key id", signedBy("own", "RS256", func(*everything) any { return 7 })),
		token("bound: SAB-4 PS256", signedBy("own", "PS256", func(e *everything) any { return e.keyID })),
		token("bound: SAB-4 RS512", signedBy("own", "RS512", func(e *everything) any { return e.keyID })),
		token("bound: SAB-4 stranger's key", signedBy("stranger", "RS256", func(e *everything) any { return e.keyID })),
		token("bound: SAB-4 stranger's key without id", signedBy("stranger", "RS256", func(*everything) any { return nil })),
		token("bound: SAB-4 none", signedBy("", "none", func(e *everything) any { return e.keyID })),
	}, brokenShapes()...)
}

// signedBy is an honest token under another key, algorithm or key id.
func signedBy(key, algorithm string, id func(*everything) any) func(*everything, *rand.Rand) string {
	return func(e *everything, _ *rand.Rand) string {
		return must(e.accounts.Mint(minter.Token{Algorithm: algorithm, KeyID: key, Header: with{"kid": id(e)}, Claims: e.boundClaims(nil)}))
	}
}

// brokenShapes are requested tokens whose form is not as it should be.
func brokenShapes() []shape {
	text := func(name string, change func(token string) string) shape {
		return token("bound: "+name, func(e *everything, _ *rand.Rand) string { return change(must(e.own(e.boundClaims(nil)))) })
	}
	payload := func(name string, change func(payload string) string) shape {
		return token("bound: "+name, func(e *everything, _ *rand.Rand) string {
			plain := must(json.Marshal(e.boundClaims(nil)))
			return must(e.accounts.Mint(minter.Token{
				Algorithm: "RS256", KeyID: "own", Header: with{"kid": e.keyID}, Payload: []byte(change(string(plain))),
			}))
		})
	}
	header := func(name string, changes with) shape {
		return token("bound: "+name, func(e *everything, _ *rand.Rand) string {
			return must(e.accounts.Mint(minter.Token{
				Algorithm: "RS256", KeyID: "own", Header: merged(map[string]any{"kid": e.keyID}, changes), Claims: e.boundClaims(nil),
			}))
		})
	}
	return []shape{
		text("broken signature", flip),
		text("SAB-6 padding", func(t string) string { return t + "=" }),
		text("SAB-6 fourth part", func(t string) string { return t + ".x" }),
		text("SAB-6 tab in the header", func(t string) string { return t[:5] + "\t" + t[5:] }),
		text("SAB-6 tab in the signature", func(t string) string { return t[:len(t)-5] + "\t" + t[len(t)-5:] }),
		text("SAB-6 tab in the payload", func(t string) string { i := strings.Index(t, ".") + 5; return t[:i] + "\t" + t[i:] }),
		text("no signature", func(t string) string { return t[:strings.LastIndex(t, ".")+1] }),
		text("two parts", func(t string) string { return t[:strings.LastIndex(t, ".")] }),
		payload("SAB-7 doubled member", func(p string) string { return `{"jti":"other",` + p[1:] }),
		payload("SAB-7 Iss", func(p string) string { return strings.Replace(p, `"iss"`, `"Iss"`, 1) }),
		payload("SAB-7 SUB", func(p string) string { return strings.Replace(p, `"sub"`, `"SUB"`, 1) }),
		payload("payload is a list", func(p string) string { return "[" + p + "]" }),
		payload("blanks in the payload", func(p string) string { return " " + p + "\n" }),
		payload("trailing text", func(p string) string { return p + "x" }),
		header("SAB-5 typ", with{"typ": "at+jwt"}),
		header("SAB-5 crit", with{"crit": []string{"exp"}}),
		header("SAB-5 crit b64", with{"crit": []string{"b64"}, "b64": true}),
		header("jku", with{"jku": "https://127.0.0.1:1/keys"}),
	}
}

func bootstrapShapes() []shape {
	var all []shape
	for _, name := range []string{
		"good", "expired", "expires later", "bad expiration", "empty expiration", "no usage", "usage True", "other id inside",
		"other secret inside", "no secret inside", "groups", "bad groups", "trailing comma", "other type", "absent",
	} {
		all = append(all, token("bootstrap: "+name, func(e *everything, _ *rand.Rand) string { return e.bootstrap[name] }))
	}
	return append(all,
		token("bootstrap: sample", given(sampleToken)).hardenedBy(differsWeakTokens),
		token("bootstrap: BOOT-1 upper case", func(e *everything, _ *rand.Rand) string { return strings.ToUpper(e.bootstrap["good"]) }),
		token("bootstrap: BOOT-1 longer", func(e *everything, _ *rand.Rand) string { return e.bootstrap["good"] + "a" }),
		token("bootstrap: BOOT-5 wrong secret", func(e *everything, _ *rand.Rand) string { return e.bootstrap["good"][:7] + "0000000000000000" }),
		token("bootstrap: BOOT-1 colon", func(e *everything, _ *rand.Rand) string { return strings.Replace(e.bootstrap["good"], ".", ":", 1) }),
	)
}

func jwtShapes() []shape {
	shaped := func(name string, changes func() with) shape {
		return token("jwt: "+name, func(*everything, *rand.Rand) string { return must(shared.issuers.mapped.mint(changes())) })
	}
	fixed := func(name string, changes with) shape { return shaped(name, func() with { return changes }) }
	return []shape{
		fixed("good", nil),
		fixed("groups", with{"groups": []string{"a", "b", "a"}}),
		fixed("no groups", with{"groups": absent{}}),
		fixed("group as text", with{"groups": "dev"}),
		fixed("groups as numbers", with{"groups": []int{1}}),
		fixed("empty group", with{"groups": []string{""}}).differingBy(differsEmptyGroups),
		fixed("masters", with{"groups": []string{"system:masters"}}).hardenedBy(differsReserved),
		fixed("system user", with{"sub": "system:kube-controller-manager"}).hardenedBy(differsReserved),
		fixed("unicode", with{"sub": "Jänë Жук", "groups": []string{"группа"}}),
		fixed("line break", with{"sub": "ja\nne"}).differingBy(differsUnforwardable),
		fixed("no subject", with{"sub": absent{}}),
		fixed("empty subject", with{"sub": ""}).differingBy(differsEmptyUser),
		fixed("subject as number", with{"sub": 7}),
		fixed("second audience", with{"aud": "second"}),
		fixed("foreign audience", with{"aud": "other"}),
		fixed("audiences", with{"aud": []string{"other", "ostiary"}}),
		fixed("no audience", with{"aud": absent{}}),
		fixed("issuer with a slash", with{"iss": shared.issuers.mapped.Issuer + "/"}),
		fixed("no jti", with{"jti": absent{}}),
		fixed("no exp", with{"exp": absent{}}),
		shaped("exp -30", func() with { return with{"exp": in(-30)} }),
		shaped("exp +30", func() with { return with{"exp": in(30)} }),
		shaped("nbf +30", func() with { return with{"nbf": in(30)} }),
		shaped("nbf +400", func() with { return with{"nbf": in(400)} }),
		shaped("iat +400", func() with { return with{"iat": in(400)} }),
		token("jwt: broken signature", func(*everything, *rand.Rand) string { return flip(must(shared.issuers.mapped.mint(nil))) }),
		token("jwt: prefixed", func(*everything, *rand.Rand) string { return must(shared.issuers.prefixed.mint(nil)) }),
		token("jwt: prefixed, other domain", func(*everything, *rand.Rand) string { return must(shared.issuers.prefixed.mint(with{"hd": "x"})) }),
		token("jwt: expressions", func(*everything, *rand.Rand) string { return must(shared.issuers.cel.mint(with{"n": 1, "i": 2})) }),
		token("jwt: expressions, banned", func(*everything, *rand.Rand) string { return must(shared.issuers.cel.mint(with{"banned": true})) }),
		token("jwt: one issuer's token under another's name", func(*everything, *rand.Rand) string {
			return must(shared.issuers.cel.mint(with{"iss": shared.issuers.mapped.Issuer}))
		}),
		token("jwt: very long", func(*everything, *rand.Rand) string {
			return must(shared.issuers.mapped.mint(with{"filler": strings.Repeat("x", 70<<10)}))
		}).differingBy(differsLongToken),
	}
}

func webhookShapes() []shape {
	return []shape{
		token("webhook: good", given("wh-alice")),
		token("webhook: unicode", given("wh-ünï")),
		token("webhook: unknown", func(_ *everything, r *rand.Rand) string { return "wh-" + string(rune('a'+r.IntN(26))) + "-unknown" }),
		token("webhook: WH-7 empty user", given("wh-empty-user")).differingBy(differsEmptyUser),
		token("webhook: WH-7 empty groups", given("wh-empty-groups")).differingBy(differsEmptyGroups),
		token("webhook: WH-7 masters", given("wh-masters")).hardenedBy(differsReserved),
		token("webhook: WH-7 node", given("wh-node")).hardenedBy(differsReserved),
	}
}

// otherShapes are requests without a credential, or with something that looks like one.
func otherShapes() []shape {
	line := func(name string, headers ...string) shape {
		return shape{name: "other: " + name, make: func(*everything, *rand.Rand) call { return call{headers: headers} }}
	}
	return []shape{
		line("nothing"),
		line("BEAR-3 scheme only", "Authorization: Bearer"),
		line("BEAR-3 colon", "Authorization: Bearer: "+tokenAlice),
		line("BEAR-3 no scheme", "Authorization: "+tokenAlice),
		line("BEAR-7 basic", "Authorization: Basic YWxpY2U6c2VjcmV0"),
		line("BEAR-7 cookie", "Cookie: token="+tokenAlice),
		line("BEAR-3 empty", "Authorization: "),
		line("RH-1 asserted only", "X-Remote-User: bob", "X-Remote-Group: admins"),
		line("random bytes", "Authorization: Bearer "+base64.StdEncoding.EncodeToString([]byte("\x00\xff\x10"))),
		line("three dots", "Authorization: Bearer ..."),
		line("JSON", `Authorization: Bearer {"iss":"`+controlplane.Issuer+`"}`),
	}
}

// spellings change how a bearer token is written (BEAR-1 to BEAR-5).
func spellings() []func(token string) ([]string, string) {
	one := func(format string) func(string) ([]string, string) {
		return func(token string) ([]string, string) {
			return []string{"Authorization: " + strings.ReplaceAll(format, "%", token)}, ""
		}
	}
	return []func(string) ([]string, string){
		one("bearer %"), one("BEARER %"), one("bEaReR %"), one("  Bearer %  "), one("Bearer % extra"), one("Bearer  %"), one("Bearer\t%"),
		one("Bearer %\tx"), one("Token %"), one("Bearer \"%\""), one("Bearer %,Bearer x"),
		func(token string) ([]string, string) {
			return []string{"Authorization: Bearer " + token, "Authorization: Bearer bogus"}, differsTwoHeaders
		},
		func(token string) ([]string, string) {
			return []string{"Authorization: Basic eDp5", "Authorization: Bearer " + token}, differsTwoHeaders
		},
	}
}

// oddities are headers that must change nothing.
func oddities() []string {
	return []string{
		"X-Forwarded-For: 10.0.0.1", "X-Remote-User: root", "X-Remote-Group: admins", "X-Remote-Uid: 0", "X-Remote-Extra-Scopes: all",
		"x_remote_user: root", "Cookie: a=b", "X-Custom: тест", "Accept: application/json", "Connection: X-Remote-User", "Forwarded: for=10.0.0.1",
		"Client-Cert: :AAAA:", "X-Remote-Users: root",
	}
}

// flip changes a token's last but one character, and with it the signature.
func flip(token string) string {
	changed := []byte(token)
	i := len(changed) - 2
	if changed[i] == 'A' {
		changed[i] = 'B'
	} else {
		changed[i] = 'A'
	}
	return string(changed)
}

// must is for what fails only if the test itself is wrong.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

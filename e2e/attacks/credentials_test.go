package attacks_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// Attack 15: the Authorization header is read as kube-apiserver reads it, in every spelling.
func TestAttack15AuthorizationIsReadAsByKubernetes(t *testing.T) {
	token := shared.tokens["jane"]
	for _, tt := range []struct {
		name, value string
		status      int
	}{
		{"two spaces", "Bearer  " + token, http.StatusUnauthorized},
		{"tab", "Bearer\t" + token, http.StatusUnauthorized},
		{"space and tab", "Bearer \t" + token, http.StatusUnauthorized},
		{"trailing words", "Bearer " + token + " trailing words", http.StatusCreated},
		{"lower case", "bearer " + token, http.StatusCreated},
		{"upper case", "BEARER " + token, http.StatusCreated},
		{"blanks around", "   Bearer " + token + "   ", http.StatusCreated},
		{"scheme alone", "Bearer", http.StatusUnauthorized},
		{"scheme and blank", "Bearer ", http.StatusUnauthorized},
		{"no scheme", token, http.StatusUnauthorized},
		{"another scheme", "Basic " + token, http.StatusUnauthorized},
		{"scheme with a colon", "Bearer: " + token, http.StatusUnauthorized},
		{"quoted", `Bearer "` + token + `"`, http.StatusUnauthorized},
		{"comma", "Bearer " + token + ",", http.StatusUnauthorized},
		{"twice in one", "Bearer Bearer " + token, http.StatusUnauthorized},
		{"another first", "Bearer x " + token, http.StatusUnauthorized},
		{"in lower case", "Bearer " + strings.ToLower(token), http.StatusUnauthorized},
		{"cut", "Bearer " + token[:len(token)-1], http.StatusUnauthorized},
		{"longer", "Bearer " + token + "A", http.StatusUnauthorized},
		{"empty", "", http.StatusUnauthorized},
		{"twin", "Bearer " + token, http.StatusCreated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw := whoAmI("Authorization: " + tt.value + "\r\n")
			want := once(t, direct(), nil, raw)
			want.want(t, tt.status)
			inEachMode(t, func(t *testing.T, m mode) {
				got := once(t, at(m.gate), nil, raw)
				got.want(t, tt.status)
				if got.header.Get("Warning") != want.header.Get("Warning") {
					t.Errorf("warning = %q, kube-apiserver's is %q", got.header.Get("Warning"), want.header.Get("Warning"))
				}
			})
		})
	}
	for _, headers := range []string{
		bearer("jane") + bearer("boss"), bearer("jane") + bearer("jane"), bearer("jane") + "Authorization: Basic x\r\n",
		"Authorization:\r\n" + bearer("jane"), strings.ToLower("Authorization") + bearer("boss")[len("Authorization"):] + bearer("jane"),
	} {
		t.Run("two headers", func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				once(t, at(m.gate), nil, whoAmI(headers)).want(t, http.StatusBadRequest)
			})
		})
	}
}

// Attack 16: of two credentials the certificate wins, and the token goes nowhere.
func TestAttack16CertificateAndToken(t *testing.T) {
	good, err := shared.plane.Authorities.Client.Issue(pki.Client("carol", "crew"))
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := pki.NewAuthority("client-ca")
	if err != nil {
		t.Fatal(err)
	}
	forgery, err := stranger.Issue(pki.Client("carol", "crew"))
	if err != nil {
		t.Fatal(err)
	}
	reserved, err := shared.plane.Authorities.Client.Issue(pki.Client("carol", "system:masters"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name        string
		certificate *pki.KeyPair
		headers     string
		user        string // empty: refused
	}{
		{"certificate and token", good, bearer("jane"), "carol"},
		{"certificate and wrong token", good, "Authorization: Bearer x\r\n", "carol"},
		{"forged certificate and token", forgery, bearer("jane"), "jane"},
		{"forged certificate alone", forgery, "", ""},
		{"forged certificate and wrong token", forgery, "Authorization: Bearer x\r\n", ""},
		{"certificate that policy refuses, and token", reserved, bearer("jane"), ""},
		{"twin certificate alone", good, "", "carol"},
		{"twin token alone", nil, bearer("jane"), "jane"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				got := once(t, at(m.gate), tt.certificate, whoAmI(tt.headers))
				if tt.user == "" {
					got.want(t, http.StatusUnauthorized)
					return
				}
				if user := got.user(t); user.Username != tt.user {
					t.Errorf("user = %q, want %q", user.Username, tt.user)
				}
				m.sawAs(t, got, tt.user)
			})
		})
	}
}

// execRequest opens a WebSocket to the pod.
func execRequest(lines string) string {
	return request("GET /api/v1/namespaces/default/pods/"+podName+"/exec?command=echo&command=hello&stdout=true",
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+lines)
}

// Attack 17: a token among a WebSocket's subprotocols is read as kube-apiserver reads it, and not passed on.
func TestAttack17TokensOfWebSockets(t *testing.T) {
	const prefix = "base64url.bearer.authorization.k8s.io."
	encoded := func(user string) string {
		return prefix + base64.RawURLEncoding.EncodeToString([]byte(shared.tokens[user]))
	}
	offer := func(protocols ...string) string {
		return "Sec-WebSocket-Protocol: " + strings.Join(protocols, ", ") + "\r\n"
	}
	for _, tt := range []struct {
		name, headers string
		status        int
	}{
		{"two tokens", offer("v5.channel.k8s.io", encoded("jane"), encoded("boss")), http.StatusUnauthorized},
		{"the same token twice", offer("v5.channel.k8s.io", encoded("jane"), encoded("jane")), http.StatusUnauthorized},
		{"two tokens in two headers", offer("v5.channel.k8s.io", encoded("jane")) + offer(encoded("jane")), http.StatusUnauthorized},
		{"bad base64", offer("v5.channel.k8s.io", prefix+"!"), http.StatusUnauthorized},
		{"padded base64", offer("v5.channel.k8s.io", prefix+base64.URLEncoding.EncodeToString([]byte(shared.tokens["jane"]+"x"))), http.StatusUnauthorized},
		{"not UTF-8", offer("v5.channel.k8s.io", prefix+"_w"), http.StatusUnauthorized},
		{"no other protocol", offer(encoded("jane")), http.StatusUnauthorized},
		{"wrong token", offer("v5.channel.k8s.io", prefix+"eHh4"), http.StatusUnauthorized},
		{"prefix in upper case", offer("v5.channel.k8s.io", strings.ToUpper(prefix)+strings.TrimPrefix(encoded("jane"), prefix)), http.StatusUnauthorized},
		{"wrong bearer token beside a wrong one", "Authorization: Bearer x\r\n" + offer("v5.channel.k8s.io", prefix+"eHh4"), http.StatusUnauthorized},
		{"another's token that may not", offer("v5.channel.k8s.io", encoded("mallory")), http.StatusForbidden},
		{"another's token beside jane's", bearer("jane") + offer("v5.channel.k8s.io", encoded("boss")), http.StatusSwitchingProtocols},
		{"twin", offer("v5.channel.k8s.io", encoded("jane")), http.StatusSwitchingProtocols},
		{"twin with the token first", offer(encoded("jane"), "v5.channel.k8s.io"), http.StatusSwitchingProtocols},
		{"twin with a bearer token", bearer("jane") + offer("v5.channel.k8s.io"), http.StatusSwitchingProtocols},
	} {
		t.Run(tt.name, func(t *testing.T) {
			once(t, direct(), nil, execRequest(tt.headers)).want(t, tt.status)
			inEachMode(t, func(t *testing.T, m mode) {
				got := once(t, at(m.gate), nil, execRequest(tt.headers))
				got.want(t, tt.status)
				if tt.status == http.StatusSwitchingProtocols && got.header.Get("Sec-Websocket-Protocol") != "v5.channel.k8s.io" {
					t.Errorf("the answer chose %q", got.header.Get("Sec-Websocket-Protocol"))
				}
			})
		})
	}
	t.Run("token without an upgrade", func(t *testing.T) {
		inEachMode(t, func(t *testing.T, m mode) {
			once(t, at(m.gate), nil, whoAmI(offer("v5.channel.k8s.io", encoded("jane")))).want(t, http.StatusUnauthorized)
		})
	})
}

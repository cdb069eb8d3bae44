package signin_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// comesIn asks who the caller is, with the certificate, at a cluster's path.
func (h *house) comesIn(t *testing.T, s *signed, prefix string) int {
	t.Helper()
	status, _ := ask(t, h.client(&s.certificate), http.MethodGet, h.URL+prefix+"/api/v1/namespaces/default/configmaps", "", "")
	return status
}

// post sends a form to a path of the gate's own.
func (h *house) post(t *testing.T, client *http.Client, path string, form url.Values) (int, string) {
	t.Helper()
	return ask(t, client, http.MethodPost, h.URL+path, "application/x-www-form-urlencoded", form.Encode())
}

// watch opens one, and returns what hands on when it ended.
func (h *house) watch(t *testing.T, s *signed) <-chan time.Time {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+"/api/v1/namespaces/default/configmaps?watch=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := h.client(&s.certificate).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("watch: %s", response.Status)
	}
	ended, first := make(chan time.Time, 1), make(chan struct{})
	go func() {
		defer func() { _ = response.Body.Close() }()
		lines := bufio.NewScanner(response.Body)
		for n := 0; lines.Scan(); n++ {
			if n == 0 {
				close(first)
			}
		}
		ended <- time.Now()
	}()
	select { // there is kube-root-ca.crt, at least
	case <-first:
	case <-time.After(deadline):
		t.Fatal("the watch brings nothing")
	}
	return ended
}

// within wants a stream to end soon after began.
func within(t *testing.T, ended <-chan time.Time, began time.Time) {
	t.Helper()
	const limit = 3 * time.Second // one is promised; the rest is for a machine that does something else
	select {
	case at := <-ended:
		if took := at.Sub(began); took > limit {
			t.Errorf("it was open for %s, more than %s", took, limit)
		}
	case <-time.After(deadline):
		t.Error("the stream was not cut")
	}
}

// TestLogout ends one's own session, and nobody else's: streams are cut, the certificate counts no more, and nothing is renewed.
func TestLogout(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	token := login(t, jane)
	one, other, foreign := h.signIn(t, token, newKey(t), nil), h.signIn(t, token, newKey(t), nil), h.signIn(t, login(t, joe), newKey(t), nil)
	ended, stays := h.watch(t, one), h.watch(t, other)
	revoke := url.Values{"token": {one.Session}}
	for name, client := range map[string]*http.Client{"nobody": h.client(nil), "somebody else": h.client(&foreign.certificate), "another session": h.client(&other.certificate)} {
		if status, body := h.post(t, client, "/.ostiary/revoke", revoke); status != http.StatusUnauthorized && status != http.StatusForbidden {
			t.Errorf("%s ends the session: %d %s", name, status, body)
		}
	}
	if status := h.comesIn(t, one, ""); status != http.StatusOK {
		t.Fatalf("status %d before the logout", status)
	}
	began := time.Now()
	if status, body := h.post(t, h.client(&one.certificate), "/.ostiary/revoke", revoke); status != http.StatusOK {
		t.Fatalf("logout: %d %s", status, body)
	}
	if status := h.comesIn(t, one, ""); status != http.StatusUnauthorized {
		t.Errorf("status %d after the logout", status)
	}
	within(t, ended, began)
	if status, body := h.exchange(t, token, newKey(t), url.Values{"session": {one.Session}}); status != http.StatusBadRequest || !strings.Contains(body, "invalid_request") {
		t.Errorf("a session that ended is renewed: %d %s", status, body)
	}
	if status, _ := h.post(t, h.client(&other.certificate), "/.ostiary/revoke", url.Values{"token": {"00112233445566778899aabbccddeeff"}}); status != http.StatusOK {
		t.Errorf("status %d for what is not known", status)
	}
	if status := h.comesIn(t, other, ""); status != http.StatusOK {
		t.Errorf("status %d: the other session ended too", status)
	}
	select {
	case <-stays:
		t.Error("the other session's stream was cut")
	default:
	}
}

// TestRenewal goes on with a session: the same one, until its end, for the same person only. What the provider says anew counts at
// once for what was issued before.
func TestRenewal(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	first := h.signIn(t, login(t, mover), newKey(t), nil)
	if first.Groups[0] != "one" {
		t.Fatalf("groups %q", first.Groups)
	}
	shared.provider.SetGroups(mover, "two")
	again := h.signIn(t, login(t, mover), newKey(t), url.Values{"session": {first.Session}, "expires_in": {"600"}})
	if again.Session != first.Session || !again.SessionExpiresAt.Equal(first.SessionExpiresAt) || again.CredentialID == first.CredentialID || again.ExpiresIn > 600 {
		t.Errorf("%+v\nafter\n%+v", again.answer, first.answer)
	}
	for name, s := range map[string]*signed{"first": first, "second": again} {
		out, err := h.kubectl(t, s).MustSucceed(t.Context(), "auth", "whoami", "-o", "json")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out, `"one"`) || !strings.Contains(out, `"two"`) {
			t.Errorf("%s certificate: %s", name, out)
		}
	}
	if status, body := h.exchange(t, login(t, joe), newKey(t), url.Values{"session": {first.Session}}); status != http.StatusBadRequest {
		t.Errorf("somebody else's session is renewed: %d %s", status, body)
	}
	if status, body := h.exchange(t, login(t, joe), &key{csr: newKey(t).csr[:40]}, nil); status != http.StatusBadRequest {
		t.Errorf("half a request: %d %s", status, body)
	}
}

// TestBackchannelLogout has the provider end sessions: by its own name for one, and by whom they are for. Tokens that are not what they
// must be end nothing.
func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	idToken := login(t, jane)
	one, other := h.signIn(t, idToken, newKey(t), nil), h.signIn(t, login(t, jane), newKey(t), nil)
	joes := h.signIn(t, login(t, joe), newKey(t), nil)
	sid := claim(t, idToken, "sid")
	ended, stays := h.watch(t, one), h.watch(t, other)
	send := func(typ string, change func(map[string]any)) (int, string) {
		token, err := shared.provider.LogoutToken(typ, change)
		if err != nil {
			t.Fatal(err)
		}
		return h.post(t, h.client(nil), "/.ostiary/logout/main", url.Values{"logout_token": {token}})
	}
	const typ = "logout+jwt"
	bySubject := func(claims map[string]any) { claims["sub"] = jane }
	for name, bad := range map[string]struct {
		typ    string
		change func(map[string]any)
	}{
		"an ID token's type": {"JWT", bySubject},
		"a nonce":            {typ, func(c map[string]any) { bySubject(c); c["nonce"] = "n" }},
		"no event":           {typ, func(c map[string]any) { bySubject(c); delete(c, "events") }},
		"another event": {typ, func(c map[string]any) {
			bySubject(c)
			c["events"] = map[string]any{"https://other.example": map[string]any{}}
		}},
		"another audience": {typ, func(c map[string]any) { bySubject(c); c["aud"] = "other" }},
		"another issuer":   {typ, func(c map[string]any) { bySubject(c); c["iss"] = "https://other.example" }},
		"expired":          {typ, func(c map[string]any) { bySubject(c); c["exp"] = time.Now().Add(-2 * time.Minute).Unix() }},
		"too old":          {typ, func(c map[string]any) { bySubject(c); c["iat"] = time.Now().Add(-time.Hour).Unix() }},
		"nobody":           {typ, func(map[string]any) {}},
		"no jti":           {typ, func(c map[string]any) { bySubject(c); delete(c, "jti") }},
	} {
		if status, body := send(bad.typ, bad.change); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, body := h.post(t, h.client(nil), "/.ostiary/logout/main", url.Values{"logout_token": {idToken}}); status != http.StatusBadRequest {
		t.Errorf("an ID token: %d %s", status, body)
	}
	if status := h.comesIn(t, one, ""); status != http.StatusOK {
		t.Fatalf("status %d before the logout", status)
	}
	began := time.Now()
	if status, body := send(typ, func(c map[string]any) { c["sid"] = sid }); status != http.StatusOK {
		t.Fatalf("by session: %d %s", status, body)
	}
	within(t, ended, began)
	if status := h.comesIn(t, one, ""); status != http.StatusUnauthorized {
		t.Errorf("status %d after the logout", status)
	}
	if status := h.comesIn(t, other, ""); status != http.StatusOK {
		t.Errorf("status %d for the other session", status)
	}
	// Whoever logs out where that is done already is told that it is, of their own session and of no other.
	for name, s := range map[string]*signed{"one's own": one, "another one": other} {
		status, body := h.post(t, h.client(&one.certificate), "/.ostiary/revoke", url.Values{"token": {s.Session}})
		if want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[s == one]; status != want {
			t.Errorf("logout of %s after the provider's: %d %s, wanted %d", name, status, body, want)
		}
	}
	if status := h.comesIn(t, other, ""); status != http.StatusOK {
		t.Errorf("status %d for the other session", status)
	}
	began = time.Now()
	once, err := shared.provider.LogoutToken(typ, bySubject)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{http.StatusOK, http.StatusBadRequest} { // the second time it was used before
		if status, body := h.post(t, h.client(nil), "/.ostiary/logout/main", url.Values{"logout_token": {once}}); status != want {
			t.Errorf("by subject: %d %s, want %d", status, body, want)
		}
	}
	within(t, stays, began)
	if status := h.comesIn(t, joes, ""); status != http.StatusOK {
		t.Errorf("status %d for another person", status)
	}
}

// claim reads one of a token.
func claim(t *testing.T, token, name string) string {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	text, _ := claims[name].(string)
	if text == "" {
		t.Fatalf("no %s in %s", name, payload)
	}
	return text
}

// TestClusters lets one sign-in serve all clusters, but for ServiceAccounts: those of another cluster are not the same.
func TestClusters(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	person := h.signIn(t, login(t, jane), newKey(t), nil)
	for _, prefix := range []string{"", "/clusters/prod", "/clusters/second"} {
		if status := h.comesIn(t, person, prefix); status != http.StatusOK {
			t.Errorf("%q: status %d", prefix, status)
		}
	}
	machine := h.signIn(t, serviceAccountToken(t), newKey(t), url.Values{"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"}, "cluster": {"prod"}})
	if machine.Username != robotUser || machine.ExpiresIn > 900 {
		t.Errorf("%+v", machine.answer)
	}
	for prefix, want := range map[string]int{"": http.StatusOK, "/clusters/prod": http.StatusOK, "/clusters/second": http.StatusUnauthorized} {
		if status := h.comesIn(t, machine, prefix); status != want {
			t.Errorf("%q: status %d, want %d", prefix, status, want)
		}
	}
	if status, body := h.exchange(t, login(t, jane), newKey(t), url.Values{"cluster": {"third"}}); status != http.StatusBadRequest || !strings.Contains(body, "invalid_target") {
		t.Errorf("%d %s", status, body)
	}
}

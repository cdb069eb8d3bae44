package signin_test

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const apiPrefix = "/apis/ostiary.dev/v1alpha1"

// serviceAccountToken is one of the cluster's, requested.
func serviceAccountToken(t *testing.T) string {
	t.Helper()
	seconds := int64(3600)
	made, err := shared.plane.Admin.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), robot,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Status.Token
}

// object is any JSON object.
type object = map[string]any

// api sends an object to the gate's own API.
func (h *house) api(t *testing.T, client *http.Client, token, method, path string, body object) (int, object) {
	t.Helper()
	text := ""
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(raw)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, h.URL+apiPrefix+path, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer := object{}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatalf("%s: %v", response.Status, err)
	}
	return response.StatusCode, answer
}

func (h *house) guardClient() *http.Client {
	pair := h.admin.TLS()
	return h.client(&pair)
}

func issueOf(what string, spec object) object {
	return object{"apiVersion": "ostiary.dev/v1alpha1", "kind": "Issue", what: spec}
}

// TestIssueCertificate gives a machine a certificate that works, and nobody one without the right, or with a name that is not to be
// given.
func TestIssueCertificate(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	k := newKey(t)
	wish := object{"csr": k.csr, "username": "builder", "groups": []string{"builders"}, "lifetime": "30m"}
	janes := h.signIn(t, login(t, jane), newKey(t), nil)
	if status, answer := h.api(t, h.client(&janes.certificate), "", http.MethodPost, "/issue", issueOf("certificate", wish)); status != http.StatusForbidden {
		t.Errorf("without the right: %d %v", status, answer)
	}
	for name, bad := range map[string]object{
		"a name of Kubernetes' own":  {"csr": k.csr, "username": "system:admin"},
		"a group of Kubernetes' own": {"csr": k.csr, "username": "builder", "groups": []string{"system:masters"}},
		"longer than is allowed":     {"csr": k.csr, "username": "builder", "lifetime": "25h"},
		"no request":                 {"csr": []byte("x"), "username": "builder"},
		"the key of somebody else":   {"csr": signedKeyOf(t, janes).csr, "username": "builder"},
	} {
		if status, answer := h.api(t, h.guardClient(), "", http.MethodPost, "/issue", issueOf("certificate", bad)); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %v", name, status, answer)
		}
	}
	joes := h.signIn(t, login(t, joe), newKey(t), nil) // who may name the builder, and give no group
	if status, answer := h.api(t, h.client(&joes.certificate), "", http.MethodPost, "/issue", issueOf("certificate", wish)); status != http.StatusForbidden {
		t.Errorf("a group without the right to give it: %d %v", status, answer)
	}
	if status, answer := h.api(t, h.client(&joes.certificate), "", http.MethodPost, "/issue", issueOf("staticToken", object{"username": "admin"})); status != http.StatusForbidden {
		t.Errorf("another name than may be given: %d %v", status, answer)
	}
	if status, answer := h.api(t, h.client(&joes.certificate), "", http.MethodPost, "/issue", issueOf("staticToken", object{"username": "builder"})); status != http.StatusCreated {
		t.Errorf("without a group: %d %v", status, answer)
	}
	status, answer := h.api(t, h.guardClient(), "", http.MethodPost, "/issue", issueOf("certificate", wish))
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, answer)
	}
	issued, _ := answer["status"].(object)
	machine := &signed{}
	machine.certificate.PrivateKey = k.private
	text, _ := issued["certificate"].(string)
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		machine.certificate.Certificate = append(machine.certificate.Certificate, block.Bytes)
	}
	if status := h.comesIn(t, machine, ""); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	_, who := h.api(t, h.client(&machine.certificate), "", http.MethodGet, "/whoami", nil)
	if who["username"] != "builder" || who["mechanism"] != "issuedCertificate" || who["credentialID"] != issued["credentialID"] || who["session"] != nil || who["cluster"] != "prod" {
		t.Errorf("%v", who)
	}
	_, who = h.api(t, h.client(&janes.certificate), "", http.MethodGet, "/whoami", nil)
	if who["session"] != janes.Session || who["username"] != jane {
		t.Errorf("%v", who)
	}
}

// signedKeyOf is the request of a key that somebody else has a certificate for.
func signedKeyOf(t *testing.T, s *signed) *key {
	t.Helper()
	return &key{private: s.private, csr: requestFor(t, s.private)}
}

// TestStaticToken issues one, which works until some time after its owner rotated it, and no other way.
func TestStaticToken(t *testing.T) {
	t.Parallel()
	h := open(t, func(config object) {
		issuer, _ := config["issuer"].(object)
		issuer["staticTokens"] = object{"rotationGrace": "4s"}
	})
	status, answer := h.api(t, h.guardClient(), "", http.MethodPost, "/issue", issueOf("staticToken", object{"username": "builder", "lifetime": "24h"}))
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, answer)
	}
	first, _ := answer["status"].(object)
	old, _ := first["token"].(string)
	empty := object{"apiVersion": "ostiary.dev/v1alpha1", "kind": "Issue"}
	works := func(token string) int {
		status, _ := h.api(t, h.client(nil), token, http.MethodGet, "/whoami", nil)
		return status
	}
	if works(old) != http.StatusOK || works(old[:len(old)-1]) != http.StatusUnauthorized || works(old+"x") != http.StatusUnauthorized {
		t.Error("the token does not count, or half of it does")
	}
	if status, _ := h.api(t, h.guardClient(), "", http.MethodPost, "/rotate", empty); status != http.StatusForbidden {
		t.Errorf("somebody rotates a certificate: %d", status)
	}
	status, answer = h.api(t, h.client(nil), old, http.MethodPost, "/rotate", empty)
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, answer)
	}
	if status, answer := h.api(t, h.client(nil), old, http.MethodPost, "/rotate", empty); status != http.StatusConflict {
		t.Errorf("the old token is rotated once more: %d %v", status, answer)
	}
	second, _ := answer["status"].(object)
	next, _ := second["token"].(string)
	if next == "" || next == old || second["oldExpiresAt"] == nil || works(next) != http.StatusOK {
		t.Errorf("%v", second)
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for over := time.After(deadline); works(old) != http.StatusUnauthorized; {
		select {
		case <-over:
			t.Fatal("the old token lives on")
		case <-ticker.C:
		}
	}
	if works(next) != http.StatusOK {
		t.Error("the new token ended with the old one")
	}
	files := shared.plane.LogTails() + h.Process.LogTail()
	for _, token := range []string{old, next} {
		if strings.Contains(files, token) {
			t.Error("a token stands in a log")
		}
	}
}

// TestBoundToken is a token that is of no use without its certificate.
func TestBoundToken(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	s := h.signIn(t, login(t, jane), newKey(t), nil)
	joes := h.signIn(t, login(t, joe), newKey(t), nil)
	form := url.Values{
		"grant_type": {grantExchange}, "subject_token": {login(t, jane)}, "subject_token_type": {typeIDToken},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "session": {s.Session},
	}
	for name, certificate := range map[string]*tls.Certificate{"no certificate": nil, "that of another session": &joes.certificate} {
		if status, body := h.post(t, h.client(certificate), tokenPath, form); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	status, body := h.post(t, h.client(&s.certificate), tokenPath, form)
	var bound answer
	if status != http.StatusOK || json.Unmarshal([]byte(body), &bound) != nil || bound.TokenType != "Bearer" || !strings.HasPrefix(bound.AccessToken, "gw1.") {
		t.Fatalf("%d %s", status, body)
	}
	again := h.signIn(t, login(t, jane), newKey(t), url.Values{"session": {s.Session}}) // of the same session, another certificate
	works := func(certificate *tls.Certificate) (int, any) {
		status, who := h.api(t, h.client(certificate), bound.AccessToken, http.MethodGet, "/whoami", nil)
		return status, who["mechanism"]
	}
	if status, mechanism := works(&s.certificate); status != http.StatusOK || mechanism != "issuedToken" {
		t.Errorf("with its certificate: %d %v", status, mechanism)
	}
	for name, certificate := range map[string]*tls.Certificate{"nothing": nil, "another session's": &joes.certificate, "the session's next": &again.certificate} {
		if status, _ := works(certificate); status != http.StatusUnauthorized {
			t.Errorf("with %s: %d", name, status)
		}
	}
	introspect := func(token string) object {
		guard := h.guardClient()
		status, body := h.post(t, guard, "/.ostiary/introspect", url.Values{"token": {token}})
		said := object{}
		if status != http.StatusOK || json.Unmarshal([]byte(body), &said) != nil {
			t.Errorf("introspect: %d %s", status, body)
		}
		return said
	}
	if said := introspect(bound.AccessToken); said["active"] != true || said["username"] != jane || said["cnf"] == nil {
		t.Errorf("%v", said)
	}
	if said := introspect(bound.AccessToken + "x"); said["active"] != false || len(said) != 1 {
		t.Errorf("%v", said)
	}
	for name, client := range map[string]*http.Client{"nobody": h.client(nil), "who may not": h.client(&joes.certificate)} {
		if status, _ := h.post(t, client, "/.ostiary/introspect", url.Values{"token": {bound.AccessToken}}); status != http.StatusUnauthorized && status != http.StatusForbidden {
			t.Errorf("%s introspects: %d", name, status)
		}
	}
	if status, body := h.post(t, h.client(nil), "/.ostiary/revoke", url.Values{"token": {bound.AccessToken}}); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if status, _ := works(&s.certificate); status != http.StatusUnauthorized {
		t.Errorf("a token that was given back counts: %d", status)
	}
	if said := introspect(bound.AccessToken); said["active"] != false {
		t.Errorf("%v", said)
	}
	if status := h.comesIn(t, s, ""); status != http.StatusOK {
		t.Errorf("its certificate does not count any more: %d", status)
	}
}

// TestBootstrapToken makes one that the cluster has.
func TestBootstrapToken(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	status, answer := h.api(t, h.guardClient(), "", http.MethodPost, "/issue", issueOf("bootstrapToken", object{"lifetime": "10m", "groups": []string{"system:bootstrappers:workers"}}))
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, answer)
	}
	issued, _ := answer["status"].(object)
	token, _ := issued["token"].(string)
	id, part, _ := strings.Cut(token, ".")
	found, err := shared.plane.Admin.CoreV1().Secrets(metav1.NamespaceSystem).Get(t.Context(), "bootstrap-token-"+id, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if string(found.Data["token-secret"]) != part || string(found.Data["usage-bootstrap-authentication"]) != "true" || string(found.Data["auth-extra-groups"]) != "system:bootstrappers:workers" {
		t.Errorf("%v", found.Data)
	}
	out, err := h.guard.MustSucceed(t.Context(), "ostiary", "get", "credentials", "--user", "system:bootstrap:"+id, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "BOOTSTRAP="+id) || strings.Contains(out, part) {
		t.Errorf("%s", out)
	}
}

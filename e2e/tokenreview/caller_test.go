package tokenreview_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/process"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// reviewOf is what an API server sends.
func reviewOf(version, token string) string {
	body, _ := json.Marshal(map[string]any{
		"kind": "TokenReview", "apiVersion": "authentication.k8s.io/" + version, "metadata": map[string]any{"creationTimestamp": nil},
		"spec": map[string]any{"token": token}, "status": map[string]any{"user": map[string]any{}},
	})
	return string(body)
}

// issue is a certificate, which must be had.
func issue(t *testing.T, authority *pki.Authority, leaf pki.Leaf) *pki.KeyPair {
	t.Helper()
	pair, err := authority.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// TestOnlyTheAPIServersMayAsk is attacks 37 and 44: the certificate alone says who asks.
func TestOnlyTheAPIServersMayAsk(t *testing.T) {
	c, name := shared.callers[v1], v1+"-apiserver"
	stranger, err := pki.NewAuthority(v1 + "-callers-ca") // called as the real one
	if err != nil {
		t.Fatal(err)
	}
	body := reviewOf(v1, mint(t, nil))
	for _, tt := range []struct {
		name        string
		certificate *pki.KeyPair
		status      int // 0: not even a connection
	}{
		{"no certificate", nil, 0},
		{"another CA of the same name", issue(t, stranger, pki.Client(name)), http.StatusForbidden},
		{"the CA of another caller", issue(t, shared.callers[v1beta1].authority, pki.Client(name)), http.StatusForbidden},
		{"another name", issue(t, c.authority, pki.Client("kubelet")), http.StatusForbidden},
		{"the name as a group", issue(t, c.authority, pki.Client("kubelet", name)), http.StatusForbidden},
		{"a server's certificate", issue(t, c.authority, pki.Leaf{CommonName: name, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), http.StatusForbidden},
		{"expired", issue(t, c.authority, pki.Leaf{CommonName: name, NotAfter: time.Now().Add(-time.Minute)}), http.StatusForbidden},
		{"a certificate of the API server's clients", issue(t, c.plane.Authorities.Client, pki.Client(name, "system:masters")), http.StatusForbidden},
		{"the caller's", c.pair, http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, answer, err := review(stage.Within(t), t, tt.certificate, body)
			if status != tt.status || (err == nil) != (tt.status != 0) {
				t.Errorf("%d %s %v", status, answer, err)
			}
			if strings.Contains(answer, "jane") != (tt.status == http.StatusOK) {
				t.Errorf("the answer is %s", answer)
			}
		})
	}
}

// TestNothingButTheCertificateChooses: whatever else a caller says, it is who it is (attack 44).
func TestNothingButTheCertificateChooses(t *testing.T) {
	other := shared.callers[v1beta1]
	token := mint(t, nil)
	for name, change := range map[string]func(*http.Request){
		"nothing": func(*http.Request) {},
		"query":   func(r *http.Request) { r.URL.RawQuery = "timeout=30s&caller=v1&cluster=v1" },
		"host":    func(r *http.Request) { r.Host = v1 },
		"headers": func(r *http.Request) {
			r.Header.Set("X-Remote-User", v1+"-apiserver")
			r.Header.Set("Impersonate-User", v1)
		},
		"credential": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+shared.staticToken) },
	} {
		t.Run(name, func(t *testing.T) {
			var got authenticationv1.TokenReview
			status, answer, err := review(stage.Within(t), t, other.pair, reviewOf(v1beta1, token), change)
			if err != nil || status != http.StatusOK || json.Unmarshal([]byte(answer), &got) != nil {
				t.Fatalf("%d %s %v", status, answer, err)
			}
			if !got.Status.Authenticated || got.Status.User.Username != "oidc:jane" || strings.Contains(answer, onCall) {
				t.Errorf("%s", answer)
			}
		})
	}
	if _, answer, err := review(stage.Within(t), t, shared.callers[v1].pair, reviewOf(v1, token)); err != nil || !strings.Contains(answer, onCall) {
		t.Errorf("the twin: %s %v", answer, err)
	}
}

// TestRefusalsLookAlike: whatever is wrong with a token, the answer is the same to the byte (attack 43).
func TestRefusalsLookAlike(t *testing.T) {
	want := ""
	for name, token := range map[string]string{
		"empty": "", "blank": " ", "unknown": "nobody's", "forged": mint(t, nil) + "AAAA", "with a blank before it": " " + shared.staticToken,
		"expired":       mint(t, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}),
		"reserved name": mint(t, map[string]any{"groups": []string{"system:masters"}}),
		"for too long":  mint(t, map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}),
		"very long":     strings.Repeat("x", 100<<10),
	} {
		status, answer, err := review(stage.Within(t), t, shared.callers[v1].pair, reviewOf(v1, token))
		if want == "" {
			want = answer
		}
		if err != nil || status != http.StatusOK || answer != want || !strings.Contains(answer, `"authenticated":false`) || strings.Contains(answer, "error") {
			t.Errorf("%s: %d %s %v", name, status, answer, err)
		}
	}
}

// TestTechnicalFailuresAreErrors: what could not be judged carries an error, so that API servers do not remember it as a
// refusal (CACHE-5), and the error says nothing of the cause.
func TestTechnicalFailuresAreErrors(t *testing.T) {
	defer reconfigure(t, shared.config)
	ports, err := process.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	gone := kubectl.Access{Server: "https://127.0.0.1:" + strconv.Itoa(ports[0]) + "/review", CA: shared.servingCA.PEM()}.
		WithCertificate(issue(t, shared.servingCA, pki.Client("ostiary")))
	file := filepath.Join(t.TempDir(), "gone.kubeconfig")
	if err := gone.Write(file); err != nil {
		t.Fatal(err)
	}
	changed := maps.Clone(shared.config)
	authentication := maps.Clone(changed["authentication"].(gate.Object))
	authentication["webhook"] = gate.Object{"kubeconfig": file, "version": "v1"}
	reviews := maps.Clone(changed["tokenReview"].(gate.Object))
	asking := maps.Clone(reviews["callers"].([]any)[0].(gate.Object))
	asking["mechanisms"] = []any{"jwt", "staticToken", "webhook"}
	reviews["callers"] = []any{asking, reviews["callers"].([]any)[1]}
	changed["authentication"], changed["tokenReview"] = authentication, reviews
	reconfigure(t, changed)
	stage.Await(t, "an error", func(ctx context.Context) bool {
		status, answer, err := review(ctx, t, shared.callers[v1].pair, reviewOf(v1, "nobody's"))
		return err == nil && status == http.StatusOK && strings.Contains(answer, `"error":"the token could not be judged; try again"`)
	})
	if status, _ := ask(t, shared.callers[v1], "nobody's"); status != http.StatusUnauthorized {
		t.Errorf("the API server answers %d", status)
	}
	if status, body := ask(t, shared.callers[v1], mint(t, nil)); status != http.StatusOK {
		t.Errorf("who is known without the webhook is refused: %d %s", status, body)
	}
	if _, err := shared.gate.WaitAccessLog(stage.Within(t), func(l gate.Line) bool {
		return l.Kind == "token_review" && l.Verdict == "deny" && l.Reason == "failed" && strings.Contains(l.Cause, "webhook")
	}); err != nil {
		t.Error(err)
	}
}

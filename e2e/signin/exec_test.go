package signin_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/kubelet"
)

// TestBackchannelLogoutCutsExec: who logs out at the provider is thrown out of an open exec within a second, and told why. Somebody
// else's goes on.
func TestBackchannelLogoutCutsExec(t *testing.T) {
	const podName = "target"
	node, err := kubelet.Start(t.Context(), shared.plane, "node-1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := node.RunPod(t.Context(), "default", podName, "sh", "-c", "exec sleep infinity"); err != nil {
		t.Fatal(err)
	}
	if err := shared.plane.Grant(t.Context(), "e2e-exec", []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"pods/exec"}, Verbs: []string{"create", "get"}},
	}, controlplane.User(jane), controlplane.User(joe)); err != nil {
		t.Fatal(err)
	}
	h := open(t, nil)
	idToken := login(t, jane)
	start := func(s *signed) *kubectl.Session {
		t.Helper()
		session, err := h.kubectl(t, s).Start(t.Context(), "exec", podName, "--", "sh", "-c", "echo open; exec sleep 600")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(session.Stop)
		if err := session.WaitFor(t.Context(), "open"); err != nil {
			t.Fatal(err)
		}
		return session
	}
	janes, joes := start(h.signIn(t, idToken, newKey(t), nil)), start(h.signIn(t, login(t, joe), newKey(t), nil))
	token, err := shared.provider.LogoutToken("logout+jwt", func(c map[string]any) { c["sid"] = claim(t, idToken, "sid") })
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if status, body := h.post(t, h.client(nil), "/.ostiary/logout/main", url.Values{"logout_token": {token}}); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	limited, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := janes.Wait(limited); err == nil || limited.Err() != nil {
		t.Errorf("the exec ended with %v", err)
	}
	took := time.Since(began)
	t.Logf("an open exec ended %s after the provider began to say so: %s", took.Round(time.Millisecond), strings.TrimSpace(janes.Output()))
	if took > 3*time.Second { // one is promised; the rest is for a machine that does something else
		t.Errorf("it took %s", took)
	}
	if !strings.Contains(janes.Output(), "sign in again") {
		t.Errorf("it was not told why:\n%s", janes.Output())
	}
	select {
	case <-joes.Done():
		t.Errorf("somebody else's ended:\n%s", joes.Output())
	default:
	}
}

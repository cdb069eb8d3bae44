package resilience_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// guard is who revokes, guardToken is how the guard comes in.
	guard      = "guard"
	guardToken = "a-static-token-of-the-guard-with-enough-chance-in-it-4711"
	// cutWithin is how long after a revoke returned an open stream's client may take to say that it ended.
	cutWithin = 3 * time.Second // a second is promised; the rest is for a machine that does something else
	// shutOut is what people are told whose stream is cut.
	shutOut = "the credential is not accepted any more"
)

// guarded starts a gate with a ledger, and returns the guard's kubectl.
func guarded(t *testing.T, change ...func(*house)) (*house, kubectl.Command) {
	t.Helper()
	h := build(t, impersonation)
	h.config["ledger"] = gate.Object{"embedded": gate.Object{"directory": filepath.Join(h.dir, "ledger")}}
	if err := pki.WriteFile(h.tokensFile, []byte(h.tokenLines(guardToken+","+guard+",uid-of-guard\n"))); err != nil {
		t.Fatal(err)
	}
	for _, one := range change {
		one(h)
	}
	h.start(t)
	if err := shared.plane.Grant(t.Context(), "e2e-guard", []rbacv1.PolicyRule{
		{APIGroups: []string{"ostiary.dev"}, Resources: []string{"revocations", "revocations/lift", "streams"}, Verbs: []string{"get", "list", "create"}},
	}, controlplane.User(guard)); err != nil {
		t.Fatal(err)
	}
	return h, h.as(t, h.Access().WithToken(guardToken))
}

// as is a kubectl, with the plugin, for whoever has a credential.
func (h *house) as(t *testing.T, access kubectl.Access) kubectl.Command {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := access.Write(file); err != nil {
		t.Fatal(err)
	}
	return kubectl.Command{
		Path: shared.paths[binaries.Kubectl], Kubeconfig: file, PluginDir: filepath.Dir(shared.paths[binaries.KubectlOstiary]),
	}
}

// comesIn wants a caller to be let in, or not.
func comesIn(t *testing.T, who string, k kubectl.Command, want bool) {
	t.Helper()
	result, err := k.Run(t.Context(), "auth", "whoami")
	if err != nil {
		t.Fatal(err)
	}
	if in := result.ExitCode == 0; in != want {
		t.Errorf("%s comes in: %v, want %v\n%s", who, in, want, result)
	}
	if !want && !strings.Contains(result.Stderr, "Unauthorized") {
		t.Errorf("%s is told otherwise than everybody who is refused:\n%s", who, result)
	}
}

// act runs "kubectl ostiary" and wants it to succeed.
func act(t *testing.T, k kubectl.Command, args ...string) string {
	t.Helper()
	out, err := k.MustSucceed(t.Context(), append([]string{"ostiary"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRevokeOneOfTwoCertificates: of one person's certificates one is shut out and the other is not, by every way to name
// it; the CA is untouched, a restart forgets nothing, and lifting undoes it.
func TestRevokeOneOfTwoCertificates(t *testing.T) {
	t.Parallel()
	h, k := guarded(t)
	issue := func(name string) (kubectl.Command, string, *pki.KeyPair) {
		pair, err := h.users.Issue(pki.Client(user, "platform"))
		if err != nil {
			t.Fatal(err)
		}
		files, err := pair.Write(t.TempDir(), name)
		if err != nil {
			t.Fatal(err)
		}
		return h.as(t, h.Access().WithCertificate(pair)), files.Cert, pair
	}
	lost, lostFile, lostPair := issue("lost")
	kept, _, _ := issue("kept")
	comesIn(t, "the certificate that will be lost", lost, true)
	comesIn(t, "the other", kept, true)

	serial, issuer := lostPair.Certificate.SerialNumber.Text(16), lostPair.Certificate.Issuer.String()
	for _, way := range [][]string{
		{"--file=" + lostFile},
		{"--serial=0x00" + strings.ToUpper(serial), "--issuer=" + issuer},
	} {
		dry := act(t, k, append([]string{"revoke", "--reason=laptop lost", "--dry-run"}, way...)...)
		comesIn(t, "after a dry run ("+dry+") the certificate", lost, true)
		name := strings.TrimSpace(act(t, k, append([]string{"revoke", "--reason=laptop lost", "-o=name"}, way...)...))
		comesIn(t, "the revoked certificate", lost, false)
		comesIn(t, "the other certificate of the same person", kept, true)

		if list := act(t, k, "get", "revocations"); !strings.Contains(list, name) || !strings.Contains(list, "laptop lost") || !strings.Contains(list, guard) {
			t.Errorf("the list does not tell of %s:\n%s", name, list)
		}
		act(t, k, "lift", name, "--reason=found again")
		comesIn(t, "the certificate after the revocation was lifted", lost, true)
		if shown := act(t, k, "describe", "revocation", name); !strings.Contains(shown, "found again") {
			t.Errorf("the record does not tell of the lift:\n%s", shown)
		}
	}

	act(t, k, "revoke", "--file="+lostFile, "--reason=lost for good")
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	comesIn(t, "after a restart the revoked certificate", h.as(t, h.Access().WithCertificate(lostPair)), false)
}

// TestRevokePerson: whatever somebody has is shut out at once, and what is open of theirs ends within a second with a reason.
func TestRevokePerson(t *testing.T) {
	t.Parallel()
	h, k := guarded(t)
	pair, err := h.users.Issue(pki.Client(user, "platform"))
	if err != nil {
		t.Fatal(err)
	}
	ways := map[string]kubectl.Command{
		"certificate":  h.as(t, h.Access().WithCertificate(pair)),
		"static token": h.as(t, h.Access().WithToken(h.staticToken)),
		"ID token":     h.as(t, h.Access().WithToken(token(t, shared.issuer, user))),
	}
	other := h.as(t, h.Access().WithToken(token(t, shared.issuer, "somebody-else")))
	for name, way := range ways {
		comesIn(t, name, way, true)
	}
	webSockets := ways["certificate"].With("KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true", "KUBECTL_PORT_FORWARD_WEBSOCKETS=true")
	forward := session(t, webSockets, "Forwarding from", "port-forward", "pod/"+podName, ":"+echoPort(t))
	useForward(t, forward)
	sessions := map[string]*kubectl.Session{
		"exec by certificate": session(t, webSockets, "open", "exec", podName, "--", "sh", "-c", "echo open; exec sleep 600"),
		"logs by token":       session(t, ways["static token"], "running", "logs", "-f", podName),
		"watch by ID token":   session(t, ways["ID token"], podName, "get", "--raw", "/api/v1/namespaces/default/pods?watch=1"),
	}
	spdy := session(t, ways["static token"].With("KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false"), "open", "exec", podName, "--", "sh", "-c", "echo open; exec sleep 600")
	watching, err := h.clientset(t).CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	open := act(t, k, "get", "streams", "--user="+user)
	if lines := strings.Count(open, user); lines < 6 {
		t.Errorf("%d streams of %s are listed:\n%s", lines, user, open)
	}
	would := act(t, k, "revoke", "--user="+user, "--reason=left", "--dry-run")
	if !strings.Contains(would, "pods/exec") || !strings.Contains(would, "pods/portforward") {
		t.Errorf("the dry run does not tell what would be cut:\n%s", would)
	}

	done := act(t, k, "revoke", "--user="+user, "--reason=left", "-o=json")
	returned := time.Now()
	var answer struct {
		Items []struct {
			Status struct {
				InForce struct {
					Complete         bool
					TookMilliseconds float64
					StreamsCut       int
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(done), &answer); err != nil || len(answer.Items) != 1 {
		t.Fatalf("%v in %s", err, done)
	}
	force := answer.Items[0].Status.InForce
	t.Logf("in force after %.1f ms, %d streams cut", force.TookMilliseconds, force.StreamsCut)
	if !force.Complete || force.StreamsCut < 6 {
		t.Errorf("in force: %+v", force)
	}
	for name, one := range sessions {
		select {
		case <-one.Done():
		case <-stage.Within(t).Done():
			t.Fatalf("%s did not end", name)
		}
		took := time.Since(returned)
		t.Logf("%s ended %s after the revoke returned", name, took.Round(time.Millisecond))
		if took > cutWithin {
			t.Errorf("%s ended %s after the revoke returned", name, took)
		}
		if !strings.Contains(one.Output(), shutOut) {
			t.Errorf("%s does not say why it ended:\n%s", name, one.Output())
		}
	}
	select {
	case <-spdy.Done():
	case <-stage.Within(t).Done():
		t.Fatal("exec over SPDY did not end")
	}
	ended := false
	for event := range watching.ResultChan() {
		status, ok := event.Object.(*metav1.Status)
		ended = ended || ok && status.Code == 401 && strings.Contains(status.Message, shutOut)
	}
	if !ended {
		t.Error("the watch of client-go ended without a reason")
	}
	for name, way := range ways {
		comesIn(t, "after the revoke, the "+name, way, false)
	}
	comesIn(t, "somebody else", other, true)
	if left := act(t, k, "get", "streams", "--user="+user); strings.Contains(left, user) {
		t.Errorf("streams are left:\n%s", left)
	}
}

// TestRevokeIsForTheAllowed: who may is what roles in the cluster say, and nobody shuts themselves out by mistake.
func TestRevokeIsForTheAllowed(t *testing.T) {
	t.Parallel()
	h, k := guarded(t)
	jane := h.as(t, h.Access().WithToken(h.staticToken))
	for _, args := range [][]string{
		{"revoke", "--user=" + guard, "--reason=revenge"},
		{"get", "revocations"},
		{"get", "streams"},
		{"describe", "revocation", "r-aaaaaaaaaa"},
		{"lift", "r-aaaaaaaaaa", "--reason=no"},
	} {
		result, err := jane.Run(t.Context(), append([]string{"ostiary"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		if result.ExitCode != 1 || !strings.Contains(result.Stderr, "cannot") {
			t.Errorf("want a refusal:\n%s", result)
		}
	}
	comesIn(t, "the guard", k, true)
	for _, args := range [][]string{{"--user=" + guard}, {"--mechanism=staticToken"}} {
		result, err := k.Run(t.Context(), append([]string{"ostiary", "revoke", "--reason=a mistake"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		if result.ExitCode != 1 || !strings.Contains(result.Stderr, "shut out the credential that asks") {
			t.Errorf("want a refusal:\n%s", result)
		}
	}
	act(t, k, "revoke", "--mechanism=staticToken", "--reason=all of them leaked", "--including-myself")
	comesIn(t, "the guard", k, false)
	comesIn(t, "a static token", jane, false)
	pair, err := h.users.Issue(pki.Client(user, "platform"))
	if err != nil {
		t.Fatal(err)
	}
	comesIn(t, "a certificate", h.as(t, h.Access().WithCertificate(pair)), true)
}

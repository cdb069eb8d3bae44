//go:build k9s

package login_test

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
)

// TestK9s has a real k9s show the pods of a cluster at a terminal, with what a login left behind. Its build takes long; "make k9s" runs this.
func TestK9s(t *testing.T) {
	paths, err := binaries.FromEnvironment(t.Output()).Build(t.Context(), binaries.K9s)
	if err != nil {
		t.Fatal(err)
	}
	shared.paths[binaries.K9s] = paths[binaries.K9s]
	plane := shared.planes[0]
	if err := plane.Grant(t.Context(), "e2e-pods", []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods", "namespaces", "nodes"}, Verbs: []string{"get", "list", "watch"}},
	}, controlplane.Group("platform")); err != nil {
		t.Fatal(err)
	}
	pod := fmt.Sprintf("shown-%d", time.Now().UnixNano())
	if _, err := plane.Admin.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: pod}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "one", Image: "none.example/none"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p := settle(t, open(t, nil))
	said := p.signInSaying()

	keyboard, screen := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 200}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	k9s := p.command(ctx, binaries.K9s, "--context", p.contextOf("prod"), "--namespace", "default", "--command", "pods", "--readonly", "--logoless", "--splashless")
	k9s.Env = append(k9s.Env, "TERM=xterm-256color")
	k9s.Stdin, k9s.Stdout, k9s.Stderr = screen, screen, screen
	k9s.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // it opens its terminal by name
	if err := k9s.Start(); err != nil {
		t.Fatal(err)
	}
	shown := newSaid()
	go func() { _, _ = io.Copy(shown, keyboard) }() // until the terminal is closed
	shown.wait(t, "("+regexp.QuoteMeta(pod)+")")
	line, err := p.at.WaitAccessLog(ctx, func(l gate.Line) bool { return l.Resource == "pods" && l.Verb == "list" && l.Cluster == "prod" })
	if err != nil || line.User != jane || line.CredentialID != said.CredentialID {
		t.Errorf("the pods were listed by %s of %q, want %s: %v", line.CredentialID, line.User, said.CredentialID, err)
	}
	if _, err := keyboard.WriteString(":q\r"); err != nil {
		t.Fatal(err)
	}
	if err := k9s.Wait(); err != nil {
		t.Errorf("k9s ended with %v", err)
	}
	p.came(said, "issuedCertificate", "pods", "list")
}

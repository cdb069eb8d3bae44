// Package scenario is what people and programs do with a cluster: kubectl and client-go at work, one scenario after
// the other. Run takes a target, which may be kube-apiserver itself or Ostiary in front of it, and both must do alike.
package scenario

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/kubelet"
)

const (
	// impersonated is the one user as whom the caller may act; see Rules.
	impersonated = "alice"
	// impersonatedGroup is the one group in which the caller may act.
	impersonatedGroup = "readers"
	// impersonatedUID is the one UID as which the caller may act.
	impersonatedUID = "uid-of-alice"
	// impersonatedExtra is the one extra that the caller may claim for others.
	impersonatedExtra = "reason"
)

// Target is what the scenarios are run against.
type Target struct {
	// Access is the server, and the caller's credential. The caller must have Rules.
	Access kubectl.Access
	// User is the name that the API server must know the caller by.
	User string
	// Kubectl is the program.
	Kubectl string
	// Plane is the control plane behind it all, for setting up and for looking at what happened.
	Plane *controlplane.ControlPlane
	// Node is where pods run.
	Node *kubelet.Node
}

// Rules are the rights that the scenarios' caller must have, as a ClusterRole: enough for all of them, and not all, so
// that refusals can be seen.
func Rules() []rbacv1.PolicyRule {
	impersonate := func(group, resource string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names, Verbs: []string{"impersonate"}}
	}
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{
			"configmaps", "events", "pods", "pods/attach", "pods/exec", "pods/log", "pods/portforward",
		}, Verbs: []string{"*"}},
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get", "list"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"*"}},
		impersonate("", "users", impersonated),
		impersonate("", "groups", impersonatedGroup),
		impersonate("authentication.k8s.io", "uids", impersonatedUID),
		impersonate("authentication.k8s.io", "userextras/"+impersonatedExtra),
	}
}

// Prepare gives a user Rules. It may be called again, for the same user or others.
func Prepare(ctx context.Context, plane *controlplane.ControlPlane, user string) error {
	if err := plane.Grant(ctx, "e2e-scenarios", Rules()); err != nil {
		return err
	}
	return plane.Bind(ctx, "e2e-scenarios-"+user, "e2e-scenarios", controlplane.User(user))
}

// run is one Run under way.
type run struct {
	Target
	namespace string
	kubectl   kubectl.Command
	config    *rest.Config
	client    *kubernetes.Clientset
}

// Run runs all scenarios as subtests, in a namespace of their own.
func Run(t *testing.T, target Target) {
	t.Helper()
	if err := Prepare(t.Context(), target.Plane, target.User); err != nil {
		t.Fatal(err)
	}
	namespace, err := target.Plane.Admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "scenario-"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	target.Access.Namespace = namespace.Name
	r := &run{Target: target, namespace: namespace.Name}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := target.Access.Write(kubeconfig); err != nil {
		t.Fatal(err)
	}
	r.kubectl = kubectl.Command{Path: target.Kubectl, Kubeconfig: kubeconfig}
	if r.config, err = target.Access.REST(); err != nil {
		t.Fatal(err)
	}
	if r.client, err = kubernetes.NewForConfig(r.config); err != nil {
		t.Fatal(err)
	}
	for _, scenario := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"whoami", r.whoAmI},
		{"discovery", r.discovery},
		{"apply get delete", r.applyGetDelete},
		{"server-side dry run", r.dryRun},
		{"watch", r.watch},
		{"auth can-i", r.canI},
		{"refusals of RBAC", r.refusals},
		{"impersonation", r.impersonation},
		{"exec", r.exec},
		{"attach", r.attach},
		{"logs", r.logs},
		{"port-forward", r.portForward},
		{"cp", r.copyFiles},
		{"large bodies each way", r.largeBodies},
		{"informer", r.informer},
		{"leader election", r.leaderElection},
		{"protocols", r.protocols},
		{"many watches", r.manyWatches},
	} {
		t.Run(scenario.name, scenario.run)
	}
}

// must runs kubectl, wants exit status 0 and returns its standard output.
func (r *run) must(t *testing.T, args ...string) string {
	t.Helper()
	return r.mustInput(t, "", args...)
}

func (r *run) mustInput(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := r.kubectl.MustSucceedInput(t.Context(), strings.NewReader(stdin), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// mustFail runs kubectl, wants a failure that says why, and returns its result.
func (r *run) mustFail(t *testing.T, why string, args ...string) {
	t.Helper()
	result, err := r.kubectl.Run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	if result.ExitCode == 0 || !strings.Contains(result.Stderr, why) {
		t.Fatalf("want a failure that says %q, got:\n%s", why, result)
	}
}

// pod runs a pod for one scenario.
func (r *run) pod(t *testing.T, name string, command ...string) {
	t.Helper()
	if _, err := r.Node.RunPod(t.Context(), r.namespace, name, command...); err != nil {
		t.Fatal(err)
	}
}

func contains(t *testing.T, what, text string) {
	t.Helper()
	if !strings.Contains(text, what) {
		t.Fatalf("want %q in:\n%s", what, text)
	}
}

// configMap is a manifest.
func configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {key: %q}\n", name, value)
}

//nolint:thelper // these are tests, only not in a test file: a failure is to name its own line, not its caller's
package scenario

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/e2e/internal/stage"
)

func (r *run) whoAmI(t *testing.T) {
	got, err := r.kubectl.WhoAmI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Username != r.User {
		t.Errorf("the API server takes the caller for %q, want %q", got.Username, r.User)
	}
}

func (r *run) discovery(t *testing.T) {
	out := r.must(t, "api-resources", "--cached=false")
	for _, kind := range []string{"ConfigMap", "Pod", "Lease", "ClusterRole"} {
		contains(t, kind, out)
	}
	contains(t, "apps/v1", r.must(t, "api-versions"))
	contains(t, "v1.", r.must(t, "version"))
	contains(t, "FIELDS", r.must(t, "explain", "configmap"))
}

func (r *run) applyGetDelete(t *testing.T) {
	r.mustInput(t, configMap("applied", "one"), "apply", "-f", "-")
	if got := r.must(t, "get", "configmap", "applied", "-o", "jsonpath={.data.key}"); got != "one" {
		t.Fatalf("data = %q, want what was applied", got)
	}
	contains(t, "configured", r.mustInput(t, configMap("applied", "two"), "apply", "-f", "-"))
	contains(t, "serverside-applied", r.mustInput(t, configMap("applied", "three"), "apply", "--server-side", "--force-conflicts", "-f", "-"))
	r.must(t, "patch", "configmap", "applied", "--type=merge", "-p", `{"data":{"key":"four"}}`)
	if got := r.must(t, "get", "configmap", "applied", "-o", "jsonpath={.data.key}"); got != "four" {
		t.Fatalf("data = %q, want what was patched", got)
	}
	r.must(t, "delete", "configmap", "applied")
	r.mustFail(t, "NotFound", "get", "configmap", "applied")
}

func (r *run) dryRun(t *testing.T) {
	contains(t, "server dry run", r.mustInput(t, configMap("never-made", "x"), "apply", "--dry-run=server", "-f", "-"))
	r.mustFail(t, "NotFound", "get", "configmap", "never-made")
}

func (r *run) watch(t *testing.T) {
	ctx := stage.Within(t)
	r.mustInput(t, configMap("there-before", "x"), "apply", "-f", "-")
	session, err := r.kubectl.Start(ctx, "get", "configmaps", "--watch", "-o", "name")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Stop()
	if err := session.WaitFor(ctx, "configmap/there-before"); err != nil {
		t.Fatal(err)
	}
	r.mustInput(t, configMap("came-later", "x"), "apply", "-f", "-")
	if err := session.WaitFor(ctx, "configmap/came-later"); err != nil {
		t.Fatal(err)
	}
}

func (r *run) canI(t *testing.T) {
	contains(t, "yes", r.must(t, "auth", "can-i", "create", "configmaps"))
	result, err := r.kubectl.Run(t.Context(), "auth", "can-i", "delete", "nodes")
	if err != nil {
		t.Fatal(err)
	}
	if result.ExitCode != 1 || strings.TrimSpace(result.Stdout) != "no" {
		t.Fatalf("want no, got:\n%s", result)
	}
	contains(t, "configmaps", r.must(t, "auth", "can-i", "--list"))
}

func (r *run) refusals(t *testing.T) {
	r.mustFail(t, "Forbidden", "get", "nodes")
	r.mustFail(t, "Forbidden", "get", "secrets", "--all-namespaces")
}

// impersonation is --as, which the API server must decide upon by the caller's own rights.
func (r *run) impersonation(t *testing.T) {
	all := []string{
		"--as=" + impersonated, "--as-group=" + impersonatedGroup, "--as-uid=" + impersonatedUID,
		"--as-user-extra=" + impersonatedExtra + "=test",
	}
	got, err := r.kubectl.WhoAmI(t.Context(), all...)
	if err != nil {
		t.Fatal(err)
	}
	want := authenticationv1.UserInfo{
		Username: impersonated, UID: impersonatedUID, Groups: []string{impersonatedGroup, "system:authenticated"},
	}
	extra := got.Extra[impersonatedExtra]
	got.Extra = nil // a gate may add to it
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("whoami with --as (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(authenticationv1.ExtraValue{"test"}, extra); diff != "" {
		t.Errorf("extra %s (-want +got):\n%s", impersonatedExtra, diff)
	}
	// The impersonated user has no rights of her own.
	r.mustFail(t, "Forbidden", append([]string{"get", "configmaps"}, all...)...)
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"another user", []string{"--as=bob"}},
		{"an admin", []string{"--as=" + impersonated, "--as-group=system:masters"}},
		{"another group", []string{"--as=" + impersonated, "--as-group=writers"}},
		{"another uid", []string{"--as=" + impersonated, "--as-uid=other"}},
		{"another extra", []string{"--as=" + impersonated, "--as-user-extra=scopes=all"}},
		{"a service account", []string{"--as=system:serviceaccount:kube-system:default"}},
	} {
		t.Run("not as "+tt.name, func(t *testing.T) {
			r.mustFail(t, "cannot impersonate", append([]string{"get", "configmaps"}, tt.args...)...)
		})
	}
}

// podManifest is a pod as people write it.
func (r *run) podManifest(name string, command ...string) (string, error) {
	manifest, err := yaml.Marshal(r.Node.Pod(r.namespace, name, command...))
	return "apiVersion: v1\nkind: Pod\n" + string(manifest), err
}

package inventory_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestReview runs an access review to its end: a token Secret is decided to go; as long as it is there, the review is not
// done; once it is deleted, it is.
func TestReview(t *testing.T) {
	core, folder := shared.plane.Admin.CoreV1(), t.TempDir()
	if _, err := core.Secrets("ci").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "old-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "deployer"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(folder, name) }
	frozen, sheet, decided := file("review.json"), file("sheet.csv"), file("decided.json")

	// Without files and logs the population is not complete, and nothing is written.
	runCommand(t, shared.plane.AdminKubeconfig, 3, "review", "start", "--out", frozen)
	if _, err := os.Stat(frozen); err == nil {
		t.Error("an incomplete population was frozen")
	}
	runCommand(t, shared.plane.AdminKubeconfig, 0, append([]string{"review", "start", "--out", frozen, "--sheet", sheet}, evidence(t)...)...)
	runCommand(t, shared.plane.AdminKubeconfig, 2, append([]string{"review", "start", "--out", frozen}, evidence(t)...)...)

	const gone = "SECRET=ci/old-token"
	decide := func(verdict func(id string) (reviewer, decision, reason string)) {
		t.Helper()
		decideSheet(t, sheet, verdict)
	}
	// Nobody decides about themselves, and what amounts to the whole cluster is not kept without a reason.
	decide(func(string) (string, string, string) { return "alice", "keep", "" })
	result := runCommand(t, shared.plane.AdminKubeconfig, 1, "review", "decide", "--review", frozen, "--decisions", sheet, "--out", decided)
	for _, want := range []string{"alice decides about their own access", "a reason is needed"} {
		if !strings.Contains(result.Stderr, want) {
			t.Errorf("nothing says %q:\n%s", want, result.Stderr)
		}
	}
	decide(func(id string) (string, string, string) {
		if id == gone {
			return "ruth", "revoke", "nobody uses it"
		}
		return "ruth", "keep", "known"
	})
	runCommand(t, shared.plane.AdminKubeconfig, 0, "review", "decide", "--review", frozen, "--decisions", sheet, "--out", decided)

	finish := func(want int) string {
		t.Helper()
		return runCommand(t, shared.plane.AdminKubeconfig, want, append([]string{"review", "finish", "--review", decided, "--output", "json"}, evidence(t)...)...).Stdout
	}
	var report inventoryReport
	if err := json.Unmarshal([]byte(finish(1)), &report); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(report.Findings, func(f finding) bool { return f.Rule == "RV-01" && f.Subject == gone && f.State == "fail" }) {
		t.Errorf("nothing says that the Secret works still: %v", report.Findings)
	}
	if err := core.Secrets("ci").Delete(t.Context(), "old-token", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if text := finish(0); !strings.Contains(text, `"now": "gone"`) {
		t.Error("nothing proves that the Secret is gone")
	}

	// A line that was taken out, or a decision that was changed, is seen.
	for name, change := range map[string][2]string{"population": {"old-token", "new-token"}, "decisions": {"nobody uses it", "ok"}} {
		data, err := os.ReadFile(decided)
		if err != nil {
			t.Fatal(err)
		}
		changed := file(name + ".json")
		if err := os.WriteFile(changed, []byte(strings.Replace(string(data), change[0], change[1], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		result := runCommand(t, shared.plane.AdminKubeconfig, 2, append([]string{"review", "finish", "--review", changed}, evidence(t)...)...)
		if !strings.Contains(result.Stderr, "was changed since") {
			t.Errorf("%s: %s", name, result.Stderr)
		}
	}
}

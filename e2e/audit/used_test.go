package audit_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestUse holds the checks that go by records of use against a cluster in which there is something to find, and against one
// in which there is the same and nothing wrong.
func TestUse(t *testing.T) {
	loose := shared.loose
	log := filepath.Join(loose.Dir, "audit.log")
	found := loose.audit(t, 1, "--audit-log", log, "--audit-log-complete", "--gate-address", "10.9.9.9")
	months := loose.audit(t, 1, "--audit-log", log, "--audit-log", filepath.Join(loose.Dir, oldLog))
	sound := shared.sound
	quiet := sound.audit(t, 0, "--audit-log", filepath.Join(sound.Dir, quietLog), "--audit-log-complete",
		"--kubeconfig-file", sound.AdminKubeconfig, "--kubeconfig-file", filepath.Join(sound.Dir, "controller-manager.kubeconfig"), "--gate-address", "127.0.0.1", "--severity", "critical", "--incomplete-ok",
		"--break-glass", "e2e-admin", "--break-glass", "e2e-controller-manager")
	for _, row := range []struct {
		rule, subject string
		fires         []finding
	}{
		{"WH-01", "", found},
		{"WH-08", "user hook:dave", found},
		{"OI-07", "user e2e in " + filepath.Join(loose.Dir, "carol.kubeconfig"), found},
		{"TR-07", "", found},
		{"TR-08", "JTI=" + forgedID, found},
		{"XC-12", "", found},
		{"TR-04", "JTI=" + forgedID, found},
		{"AP-07", "user idp:carol", found},
		{"OV-09", "", months},
	} {
		at := slices.IndexFunc(row.fires, func(f finding) bool {
			return f.Rule == row.rule && (f.State == "fail" || f.State == "warn") && (row.subject == "" || f.Subject == row.subject)
		})
		if at < 0 {
			t.Errorf("%s where its fault is: want it to fail about %q\n%s", row.rule, row.subject, explain(row.fires, row.rule))
		}
		if got := state(quiet, row.rule); row.rule != "OV-09" && got != "pass" {
			t.Errorf("%s where all is well: %s, want pass\n%s", row.rule, got, explain(quiet, row.rule))
		}
	}
	// Those of TestLive that go by use, too.
	for _, rule := range []string{"OV-04", "OV-10", "XC-07", "XC-09", "BT-09", "SA-10", "TR-03", "TR-05"} {
		if got := state(quiet, rule); got != "pass" {
			t.Errorf("%s where all is well: %s, want pass\n%s", rule, got, explain(quiet, rule))
		}
	}
	if text := explain(months, "OV-09"); !strings.Contains(text, "away (") || strings.Contains(text, "busy (") {
		t.Errorf("want away, who was not seen for months, and not busy, who was:\n%s", text)
	}
	// Without the word that the log is whole, a token of which it does not tell proves nothing.
	if got := state(months, "TR-08"); got != "unknown" {
		t.Errorf("TR-08 of a log of which nobody says that it is whole: %s\n%s", got, explain(months, "TR-08"))
	}
	// Other tokens of that time are not accused.
	if text := explain(found, "TR-08"); strings.Count(text, "fail") != 1 {
		t.Errorf("want the forged token alone:\n%s", text)
	}
}

// TestReplicas: two API servers that go by different configurations of providers are found out, two with the same are not.
func TestReplicas(t *testing.T) {
	odd, sound := manifest(t, shared.odd), manifest(t, shared.sound)
	for _, row := range []struct {
		name  string
		files []string
		want  string
	}{
		{"different", []string{odd, sound}, "fail"},
		{"the same", []string{sound, manifest(t, shared.sound)}, "pass"},
	} {
		args := []string{"ostiary", "audit", "--no-cluster", "--output", "json", "--check", "OI-10", "--incomplete-ok"}
		for _, file := range row.files {
			args = append(args, "--manifest", file)
		}
		result, err := command(shared.odd).Run(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		if all := findings(t, result.Stdout); state(all, "OI-10") != row.want {
			t.Errorf("%s: want %s:\n%s", row.name, row.want, explain(all, "OI-10"))
		}
	}
}

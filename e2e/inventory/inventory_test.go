package inventory_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
)

// line is what the tests look at of an inventory.
type line struct {
	ID, GateID, Mechanism, Username, State, Confidence, IssuedBy, ApprovedBy, Relation string
	MayBe, Groups, Chain, From, Stored, Readers, Sources                               []string
	Expires, LastUsed                                                                  string
	Endless                                                                            bool
	Power                                                                              struct {
		Level   string
		Reasons []struct {
			What, Becomes string
			Through       []string
		}
	}
}

type source struct{ Name, Access, Why string }

type finding struct{ Rule, State, Severity, Subject, Message string }

type inventoryReport struct {
	APIVersion string
	Metadata   struct{ Complete bool }
	Sources    []source
	Findings   []finding
	Details    struct {
		Credentials       []line
		UnmatchedSubjects []struct{ Subject string }
	}
}

// command is kubectl with the plugin, as the cluster's administrator or somebody else.
func command(kubeconfig string) kubectl.Command {
	return kubectl.Command{
		Path: shared.paths[binaries.Kubectl], Kubeconfig: kubeconfig, PluginDir: filepath.Dir(shared.paths[binaries.KubectlOstiary]),
	}
}

// evidence are the flags that name every file and log.
func evidence(t *testing.T) []string {
	t.Helper()
	manifest := filepath.Join(t.TempDir(), "kube-apiserver.flags")
	if err := os.WriteFile(manifest, []byte(strings.Join(shared.plane.APIServerArgs, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{
		"--manifest", manifest, "--audit-log", filepath.Join(shared.plane.Dir, "audit.log"), "--certificate-file", shared.planted.frontProxy,
		"--read-bootstrap-tokens",
	}
	files, err := filepath.Glob(filepath.Join(shared.planted.folder, "*.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		flags = append(flags, "--kubeconfig-file", file)
	}
	return flags
}

// run runs the command, wants an exit code, and searches the output for secrets.
func runCommand(t *testing.T, kubeconfig string, want int, args ...string) kubectl.Result {
	t.Helper()
	result, err := command(kubeconfig).Run(t.Context(), append([]string{"ostiary"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	if result.ExitCode != want {
		t.Errorf("exit code %d, want %d\n%s", result.ExitCode, want, result)
	}
	noSecrets(t, result.Stdout+result.Stderr)
	return result
}

// noSecrets looks for everything that lets somebody in.
func noSecrets(t *testing.T, output string) {
	t.Helper()
	for _, secret := range append(shared.planted.secrets, "PRIVATE KEY", "BEGIN CERTIFICATE") {
		if strings.Contains(output, secret) {
			t.Errorf("the output holds the secret %.8s…", secret)
		}
	}
}

func inventory(t *testing.T, want int, args ...string) inventoryReport {
	t.Helper()
	result := runCommand(t, shared.plane.AdminKubeconfig, want, append([]string{"inventory", "--output", "json"}, args...)...)
	var read inventoryReport
	if err := json.Unmarshal([]byte(result.Stdout), &read); err != nil {
		t.Fatalf("%v\n%s", err, result)
	}
	return read
}

func (r *inventoryReport) byID(id string) *line {
	i := slices.IndexFunc(r.Details.Credentials, func(l line) bool { return l.ID == id })
	if i < 0 {
		return nil
	}
	return &r.Details.Credentials[i]
}

// TestEveryMechanism: a credential of each mechanism was planted, and each is listed with its user and its use.
func TestEveryMechanism(t *testing.T) {
	report := inventory(t, 0, evidence(t)...)
	if !report.Metadata.Complete {
		for _, s := range report.Sources {
			t.Logf("%s: %s: %s", s.Name, s.Access, s.Why)
		}
		t.Error("everything was given, and the report is not complete")
	}
	for what, id := range shared.planted.want {
		got := report.byID(id)
		if got == nil {
			t.Errorf("%s: %s is not listed", what, id)
			continue
		}
		mechanism, _, _ := strings.Cut(what, " ")
		mechanism = strings.TrimSuffix(mechanism, "'s")
		if got.Mechanism != mechanism && !slices.Contains(got.MayBe, mechanism) {
			t.Errorf("%s: mechanism %q, or one of %v", what, got.Mechanism, got.MayBe)
		}
		unused := strings.HasSuffix(what, "in a file") || strings.HasSuffix(what, "certificate")
		if used := got.LastUsed != ""; used == unused {
			t.Errorf("%s: last used %q", what, got.LastUsed)
		}
		if !unused && len(got.From) == 0 {
			t.Errorf("%s: nothing says from where", what)
		}
	}
	for id, want := range map[string]struct{ user, level string }{
		shared.planted.want["clientCertificate"]:           {"alice", "read"},
		shared.planted.want["clientCertificate in a file"]: {"breakglass", "masters"},
		shared.planted.want["proxyHeader's certificate"]:   {"front-proxy-client", "masters"},
		shared.planted.want["tokenRequest"]:                {"system:serviceaccount:ci:robot", "cluster-admin"},
		shared.planted.want["serviceAccountSecret"]:        {"system:serviceaccount:ci:deployer", "none"},
		shared.planted.want["staticToken"]:                 {"bob", "read"},
		shared.planted.want["bootstrapToken"]:              {"system:bootstrap:" + bootstrapID, "none"},
		shared.planted.want["jwt"]:                         {"oidc:carol", "read"},
		shared.planted.want["webhook"]:                     {"hook:dave", "read"},
		shared.planted.want["proxyHeader"]:                 {"erin", "read"},
	} {
		if got := report.byID(id); got != nil && (got.Username != want.user || got.Power.Level != want.level) {
			t.Errorf("%s: user %q with %q, want %q with %q; %v", id, got.Username, got.Power.Level, want.user, want.level, got.Power.Reasons)
		}
	}
	if alice := report.byID(shared.planted.want["clientCertificate"]); alice != nil {
		if alice.IssuedBy == "" || alice.ApprovedBy == "" || alice.ApprovedBy == "Test" || alice.State != "active" {
			t.Errorf("alice's certificate: issued by %q, approved by %q, %s", alice.IssuedBy, alice.ApprovedBy, alice.State)
		}
	}
	if token := report.byID(shared.planted.want["tokenRequest"]); token != nil && len(token.Chain) == 0 {
		t.Error("nothing says who made the requested token")
	}
	for _, id := range []string{"ISSUER=" + shared.issuer.Issuer, "KEY="} {
		if !slices.ContainsFunc(report.Details.Credentials, func(l line) bool { return strings.HasPrefix(l.ID, id) }) {
			t.Errorf("no line of %s", id)
		}
	}
}

// TestMissingSourcesAreNamed: without files and logs the same cluster gives an incomplete report, and says what is missing.
func TestMissingSourcesAreNamed(t *testing.T) {
	report := inventory(t, 3)
	if report.Metadata.Complete {
		t.Error("the report looks complete")
	}
	unread := map[string]string{}
	for _, s := range report.Sources {
		if s.Access != "read" && s.Access != "off" {
			unread[s.Name] = s.Why
		}
	}
	for name, help := range map[string]string{
		"records of use": "--audit-log", "kubeconfig files": "--kubeconfig-file", "static token file": "--manifest", "bootstrap tokens": "--read-bootstrap-tokens",
	} {
		if !strings.Contains(unread[name], help) {
			t.Errorf("%s: %q does not name %s", name, unread[name], help)
		}
	}
	inventory(t, 0, "--incomplete-ok")
}

func TestUnrecorded(t *testing.T) {
	report := inventory(t, 1, append(evidence(t), "--unrecorded")...)
	if report.byID(shared.planted.unrecorded) == nil {
		t.Errorf("the forged certificate is not listed: %v", report.Details.Credentials)
	}
	if report.byID(shared.planted.want["clientCertificate"]) != nil {
		t.Error("a certificate with a record is listed")
	}
}

// TestWho: what works of somebody who left is their own, and what they had made.
func TestWho(t *testing.T) {
	roster := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(roster, []byte("username,active,name\nalice,false,Alice Liddell\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	report := inventory(t, 1, append(evidence(t), "--who", "alice", "--roster", roster)...)
	if got := report.byID(shared.planted.want["clientCertificate"]); got == nil || got.State != "leaver" || got.Relation != "own" {
		t.Errorf("alice's certificate: %+v", got)
	}
	if len(report.Findings) == 0 || report.Findings[0].Rule != "OV-06" {
		t.Errorf("findings %v", report.Findings)
	}
}

func TestBlastRadius(t *testing.T) {
	report := inventory(t, 0, append(evidence(t), "--blast-radius", "ca")...)
	if report.byID(shared.planted.want["clientCertificate"]) == nil || report.byID(shared.planted.want["staticToken"]) != nil {
		t.Error("the CA's radius does not hold alice's certificate, or holds bob's token")
	}
	// The administrator's certificate made the robot's token, which goes on.
	if got := report.byID(shared.planted.want["tokenRequest"]); got == nil || !strings.Contains(got.Relation, "works until it ends") {
		t.Errorf("the token that was made with a certificate: %+v", got)
	}
	report = inventory(t, 0, append(evidence(t), "--blast-radius", "account=ci/robot")...)
	if report.byID(shared.planted.want["tokenRequest"]) == nil || report.byID(shared.planted.want["serviceAccountSecret"]) != nil {
		t.Error("the account's radius does not hold its token, or holds another's")
	}
	runCommand(t, shared.plane.AdminKubeconfig, 2, append([]string{"inventory", "--blast-radius", "account=ci/nobody"}, evidence(t)...)...)
}

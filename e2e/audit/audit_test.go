package audit_test

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// finding is what the tests look at of a report.
type finding struct {
	Rule     string `json:"rule"`
	State    string `json:"state"`
	Severity string `json:"severity"`
	Subject  string `json:"subject"`
	Message  string `json:"message"`
}

// command is kubectl with the plugin, as the cluster's administrator.
func command(w *world) kubectl.Command {
	return kubectl.Command{
		Path: shared.paths[binaries.Kubectl], Kubeconfig: w.AdminKubeconfig, PluginDir: filepath.Dir(shared.paths[binaries.KubectlOstiary]),
	}
}

// manifest writes down the flags of the API server, as a node has them.
func manifest(t *testing.T, w *world) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kube-apiserver.flags")
	if err := os.WriteFile(name, []byte(strings.Join(w.APIServerArgs, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// run runs the plugin, wants an exit code, and looks for secrets in all that it writes.
func (w *world) run(t *testing.T, want int, args ...string) string {
	t.Helper()
	result, err := command(w).Run(t.Context(), append([]string{"ostiary"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	if result.ExitCode != want {
		t.Errorf("exit code %d of %v, want %d\n%s", result.ExitCode, args, want, result.Stderr)
	}
	w.noSecrets(t, result.Stdout+result.Stderr)
	return result.Stdout
}

// noSecrets looks for everything that was planted.
func (w *world) noSecrets(t *testing.T, output string) {
	t.Helper()
	for _, secret := range append([]string{"PRIVATE KEY", "client-key-data"}, w.secrets...) {
		if secret == "" || strings.Contains(output, secret) {
			t.Errorf("the output holds the secret %.12q...", secret)
		}
	}
}

func findings(t *testing.T, output string) []finding {
	t.Helper()
	var read struct {
		Findings []finding `json:"findings"`
	}
	if err := json.Unmarshal([]byte(output), &read); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return read.Findings
}

// audit runs the audit of all that there is.
func (w *world) audit(t *testing.T, want int, args ...string) []finding {
	t.Helper()
	return findings(t, w.run(t, want, slices.Concat([]string{"audit", "--output", "json", "--manifest", manifest(t, w)}, w.args, args)...))
}

// state gives the worst state of a check.
func state(all []finding, rule string) string {
	for _, f := range all { // the worst come first
		if f.Rule == rule {
			return f.State
		}
	}
	return "not there"
}

func explain(findings []finding, rule string) string {
	var text strings.Builder
	for _, f := range findings {
		if f.Rule == rule {
			text.WriteString(f.State + " " + f.Subject + ": " + f.Message + "\n")
		}
	}
	return text.String()
}

// TestLive holds every critical and high check whose fault a running API server can have against one that has it and one
// that has not, and others with them. TestUse and TestReplicas have those that go by use and by several API servers.
func TestLive(t *testing.T) {
	weak, odd := shared.weak.audit(t, 1), shared.odd.audit(t, 1)
	sound := shared.sound.audit(t, 0, "--severity", "critical", "--incomplete-ok", "--break-glass", "e2e-admin", "--break-glass", "e2e-controller-manager")
	for severity, all := range map[string][]finding{"high": weak, "critical": odd} {
		if i := slices.IndexFunc(all, func(f finding) bool { return f.Rule == "AP-01" }); all[i].Severity != severity {
			t.Errorf("one CA for clients and proxies is %s, want %s:\n%s", all[i].Severity, severity, explain(all, "AP-01"))
		}
	}
	isRoot := "pass"
	if os.Geteuid() != 0 {
		isRoot = "fail" // whose files these are is what the checks are about
	}
	const pass, off, unknown = "pass", "notApplicable", "unknown"
	// TestForgedHeaders, TestUse and TestReplicas have these.
	shown := map[string]bool{"AP-06": true, "OI-07": true, "OI-10": true, "OV-09": true, "TR-07": true, "TR-08": true, "WH-01": true, "WH-08": true, "XC-12": true}
	for _, row := range []struct {
		rule  string
		fires []finding
		sound string
	}{
		{"OV-03", weak, pass},
		{"OV-04", weak, unknown},
		{"OV-06", odd, pass},
		{"OV-08", weak, pass},
		{"OV-12", weak, pass},
		{"OV-13", odd, pass},
		{"OV-14", weak, pass},
		{"AN-01", weak, pass},
		{"AN-02", weak, pass},
		{"AN-03", weak, pass},
		{"XC-01", weak, pass},
		{"XC-04", weak, pass},
		{"XC-05", weak, pass},
		{"XC-07", weak, unknown},
		{"XC-08", weak, pass},
		{"XC-09", weak, unknown},
		{"XC-11", weak, pass},
		{"XC-13", weak, pass},
		{"XC-14", weak, pass},
		{"XC-15", weak, pass},
		{"XC-16", weak, pass},
		{"XC-20", weak, pass},
		{"XC-21", weak, isRoot},
		{"ST-01", weak, pass},
		{"ST-02", weak, off},
		{"ST-03", weak, off},
		{"ST-04", weak, off},
		{"ST-05", weak, off},
		{"BT-02", weak, pass},
		{"BT-05", weak, pass},
		{"BT-06", weak, pass},
		{"BT-08", weak, pass},
		{"BT-09", weak, unknown},
		{"BT-11", weak, pass},
		{"SA-01", weak, pass},
		{"SA-06", weak, pass},
		{"SA-07", weak, pass},
		{"SA-08", weak, pass},
		{"SA-10", weak, unknown},
		{"SA-11", weak, pass},
		{"SA-12", weak, pass},
		{"TR-01", weak, pass},
		{"TR-02", weak, pass},
		{"TR-03", weak, unknown},
		{"TR-05", weak, unknown},
		{"TR-06", weak, pass},
		{"OI-01", weak, pass},
		{"OI-02", weak, pass},
		{"OI-02", odd, pass},
		{"OI-03", odd, pass},
		{"OI-05", weak, pass},
		{"AN-01", odd, pass},
		{"WH-02", odd, pass},
		{"WH-04", odd, pass},
		{"WH-05", odd, pass},
		{"WH-06", odd, isRoot},
		{"AP-01", weak, pass},
		{"AP-02", odd, pass},
		{"AP-03", weak, pass},
		{"AP-05", weak, pass},
		{"AP-08", weak, pass},
		{"AP-09", weak, pass},
		{"AP-10", weak, pass},
		{"TL-01", weak, pass},
		{"TL-03", weak, pass},
		{"TL-04", weak, pass},
		{"KC-01", weak, pass},
		{"BT-07", weak, pass},
		{"BT-10", weak, pass},
		{"KC-03", weak, pass},
		{"KC-04", weak, pass},
		{"OI-04", weak, pass},
		{"SA-09", weak, pass},
		{"SA-13", weak, pass},
		{"TL-02", weak, pass},
		{"TR-09", weak, pass},
		{"TR-10", weak, pass},
		{"WH-03", odd, pass},
		{"WH-10", odd, pass},
		{"WH-11", weak, pass},
		{"XC-06", weak, pass},
		{"XC-22", weak, pass},
	} {
		if got := state(row.fires, row.rule); got != "fail" && got != "warn" {
			t.Errorf("%s where its fault is: %s, want it to fail\n%s", row.rule, got, explain(row.fires, row.rule))
		}
		if got := state(sound, row.rule); got != row.sound {
			t.Errorf("%s where all is well: %s, want %s\n%s", row.rule, got, row.sound, explain(sound, row.rule))
		}
		shown[row.rule] = true
	}
	for _, f := range sound {
		if (f.Severity == "critical" || f.Severity == "high") && !shown[f.Rule] {
			t.Errorf("%s is %s, and no cluster has its fault", f.Rule, f.Severity)
		}
	}
}

// TestForgedHeaders: a proxy that believes strangers' headers is found out, and one that does not is not accused.
func TestForgedHeaders(t *testing.T) {
	admin, err := shared.weak.Authorities.Client.Issue(pki.Client("proxy", "system:masters"))
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(shared.weak.URL)
	if err != nil {
		t.Fatal(err)
	}
	forward := func(certificates ...tls.Certificate) http.Handler {
		return &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: shared.weak.Authorities.Serving.Pool(), Certificates: certificates, MinVersion: tls.VersionTLS12}},
		}
	}
	plain, asAdmin := forward(), forward(admin.TLS())
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"one that believes them", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Remote-User") == "system:admin" {
				asAdmin.ServeHTTP(w, r)
				return
			}
			plain.ServeHTTP(w, r)
		}, "fail"},
		{"one that hands on", plain.ServeHTTP, "pass"},
	} {
		t.Run(row.name, func(t *testing.T) {
			proxy := httptest.NewTLSServer(row.handler)
			t.Cleanup(proxy.Close)
			ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw})
			file := filepath.Join(t.TempDir(), "kubeconfig")
			if err := shared.weak.Access().WithServer(proxy.URL, ca).WithToken(weakStaticToken).Write(file); err != nil {
				t.Fatal(err)
			}
			through := command(shared.weak)
			through.Kubeconfig = file
			result, err := through.Run(t.Context(), "ostiary", "audit", "--output", "json", "--check", "AP-06", "--incomplete-ok")
			if err != nil {
				t.Fatal(err)
			}
			if all := findings(t, result.Stdout); state(all, "AP-06") != row.want {
				t.Errorf("want %s:\n%s", row.want, explain(all, "AP-06"))
			}
		})
	}
}

// TestSnapshotIsJudgedAlike: what was written down is judged as the cluster was, and holds no secret.
func TestSnapshotIsJudgedAlike(t *testing.T) {
	for _, w := range []*world{shared.weak, shared.odd, shared.sound} {
		file := filepath.Join(t.TempDir(), "facts.json")
		args := slices.DeleteFunc(slices.Clone(w.args), func(arg string) bool { return arg == "--approver" || arg == "nobody" })
		flags := manifest(t, w)
		w.run(t, 0, slices.Concat([]string{"snapshot", "--incomplete-ok", "--output-file", file, "--manifest", flags}, args)...)
		written, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w.noSecrets(t, string(written))
		offline := findings(t, w.run(t, 1, "audit", "--output", "json", "--from-snapshot", file, "--severity", "info"))
		live := findings(t, w.run(t, 1, slices.Concat([]string{"audit", "--output", "json", "--manifest", flags, "--severity", "info"}, args)...))
		if diff := cmp.Diff(names(live), names(offline)); diff != "" {
			t.Errorf("judged live and from the snapshot (-live +offline):\n%s", diff)
		}
	}
}

// names are findings without what grows while the tests run: the audit log.
func names(all []finding) []string {
	var names []string
	for _, f := range all {
		names = append(names, f.Rule+" "+f.State+" "+f.Subject)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

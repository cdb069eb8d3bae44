package login_test

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
)

// whoAmI is what kubectl auth whoami says.
func (p *person) whoAmI(cluster string) string {
	p.t.Helper()
	return p.kubectl(cluster, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}")
}

// TestBrowser signs in on the provider's own page in a browser, once, and works in both clusters; and then looks for what should
// be nowhere.
func TestBrowser(t *testing.T) {
	t.Parallel()
	p := settle(t, open(t, nil))
	out := p.signIn()
	for _, want := range []string{"jane", "[platform", "prod@", "test@"} {
		if !strings.Contains(out, want) {
			t.Errorf("login does not say %q:\n%s", want, out)
		}
	}
	for _, cluster := range []string{"prod", "test"} {
		if got := p.whoAmI(cluster); !strings.HasPrefix(got, "jane ") || !strings.Contains(got, "platform") {
			t.Errorf("%s: %s", cluster, got)
		}
		p.kubectl(cluster, "create", "configmap", "of-"+cluster+"-"+filepath.Base(p.home))
	}
	if out := p.kubectl("test", "get", "configmaps"); !strings.Contains(out, "of-test") || strings.Contains(out, "of-prod") {
		t.Errorf("the contexts do not name two clusters:\n%s", out)
	}
	var who struct {
		CredentialID string `json:"credentialID"`
		Session      string `json:"session"`
		Gate         struct {
			Caller struct {
				Mechanism string `json:"mechanism"`
			} `json:"caller"`
		} `json:"gate"`
	}
	if err := json.Unmarshal([]byte(p.must(binaries.Kubectl, "ostiary", "whoami", "--context", p.contextOf("prod"), "-o", "json")), &who); err != nil {
		t.Fatal(err)
	}
	if who.CredentialID == "" || who.Gate.Caller.Mechanism == "" {
		t.Errorf("whoami: %+v", who)
	}
	t.Logf("whoami: %+v", who)
	p.searchForSecrets(p.handed())
	if !p.hasAgent() {
		t.Error("no agent runs")
	}
}

// TestDevicePage signs in by a code that is typed in on the provider's page.
func TestDevicePage(t *testing.T) {
	t.Parallel()
	p := settle(t, open(t, nil))
	p.login(func(text *said) {
		code := text.wait(t, `type in the code\s+(\S+)`)
		p.browse(text.wait(t, `(https://\S+/device)\s`), code, "The machine is let in")
	}, "--flow", "device")
	if got := p.whoAmI("prod"); !strings.HasPrefix(got, "jane ") {
		t.Error(got)
	}
}

// plugin is how kubectl calls the exec plugin in the first cluster: its arguments, and a variable of its environment.
func (p *person) plugin() (args []string, info string) {
	p.t.Helper()
	config, err := clientcmd.LoadFromFile(p.kubeconfig())
	if err != nil {
		p.t.Fatal(err)
	}
	entry := config.Contexts[p.contextOf("prod")]
	plugin := config.AuthInfos[entry.AuthInfo].Exec
	if plugin.Command != "kubectl-ostiary" {
		p.t.Errorf("the plugin is called as %q although it is on the PATH", plugin.Command)
	}
	said, err := json.Marshal(map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "spec": map[string]any{
		"interactive": false,
		"cluster":     map[string]any{"server": config.Clusters[entry.Cluster].Server, "certificate-authority-data": config.Clusters[entry.Cluster].CertificateAuthorityData},
	}})
	if err != nil {
		p.t.Fatal(err)
	}
	return plugin.Args, "KUBERNETES_EXEC_INFO=" + string(said)
}

// handed is what the exec plugin hands to kubectl: the certificate and the key in PEM, and the token if there is one.
type handed struct {
	Certificate string `json:"clientCertificateData"`
	Key         string `json:"clientKeyData"`
	Token       string `json:"token"`
}

// handed asks the plugin as kubectl does in the first cluster.
func (p *person) handed() handed {
	p.t.Helper()
	args, info := p.plugin()
	command := p.command(p.t.Context(), binaries.KubectlOstiary, args...)
	command.Env = append(command.Env, info)
	out, err := command.Output()
	if err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
	var credential struct {
		Status handed `json:"status"`
	}
	if err := json.Unmarshal(out, &credential); err != nil || credential.Status.Key == "" {
		p.t.Fatalf("%v\n%s", err, out)
	}
	return credential.Status
}

// searchForSecrets looks for the key, the token and the provider's refresh tokens in the whole home, in the runtime directory, in what kubectl
// and the agent wrote, and in the environment and the arguments of every process.
func (p *person) searchForSecrets(handed handed) {
	p.t.Helper()
	key := strings.Split(strings.TrimSpace(handed.Key), "\n")
	secrets := append(p.at.provider.RefreshTokens(), key[1:len(key)-1]...)
	if handed.Token != "" {
		secrets = append(secrets, handed.Token, strings.Split(handed.Token, ".")[2])
	}
	if len(secrets) < 3 {
		p.t.Fatalf("too few secrets to look for: %d", len(secrets))
	}
	p.searchFor(append(secrets, "PRIVATE KEY-----")...)
}

// searchFor looks for texts in the same places, and for any JWT in the files.
func (p *person) searchFor(secrets ...string) {
	p.t.Helper()
	look := func(where string, data []byte) {
		for _, secret := range secrets {
			if strings.Contains(string(data), secret) {
				p.t.Errorf("a secret is in %s", where)
			}
		}
	}
	// ID tokens of the provider, and any other: header and payload begin with {" in base64url.
	anyJWT := regexp.MustCompile(`eyJ[\w-]+\.eyJ[\w-]+\.`)
	if part := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://idp.example"}`)); !anyJWT.MatchString("token: " + part + "." + part + ".x") {
		p.t.Fatal("the search would find no JWT")
	}
	files := 0
	for _, folder := range []string{p.home, p.runtime} {
		if err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			files++
			look(path, data)
			if anyJWT.Match(data) {
				p.t.Errorf("a JWT is in %s", path)
			}
			return err
		}); err != nil {
			p.t.Fatal(err)
		}
	}
	processes := 0
	for _, pattern := range []string{"/proc/[0-9]*/environ", "/proc/[0-9]*/cmdline"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, file := range found {
			if strings.HasPrefix(file, "/proc/self") {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				continue // it has ended, or is another user's
			}
			processes++
			look(file, data)
		}
	}
	p.t.Logf("searched %d files and %d process entries for %d secrets", files, processes, len(secrets))
	if files < 2 || processes < 2 {
		p.t.Errorf("the search saw %d files and %d processes: it would find nothing", files, processes)
	}
}

// hasAgent reports whether an agent of the person runs.
func (p *person) hasAgent() bool {
	_, err := os.Lstat(filepath.Join(p.runtime, "ostiary", "agent.sock"))
	return err == nil
}

// TestPaste signs in with a browser on another machine: the person copies the address at which it ended.
func TestPaste(t *testing.T) {
	t.Parallel()
	p := settle(t, open(t, nil))
	reader, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = reader.Close(), typed.Close() }()
	p.stdin = reader
	p.login(func(text *said) {
		ended := p.browse(text.wait(t, `(https://\S+/authorize\S+)`), "", "")
		if !strings.HasPrefix(ended, "http://127.0.0.1:") {
			t.Errorf("the browser ended at %s", ended)
		}
		if _, err := typed.WriteString(ended + "\n"); err != nil {
			t.Error(err)
		}
	}, "--flow", "paste", "--port", freePort(t))
	if got := p.whoAmI("prod"); !strings.HasPrefix(got, "jane ") {
		t.Error(got)
	}
}

// TestEncryptedFile signs in without an agent: what is on the disk is of no use without the passphrase, and no process stays.
func TestEncryptedFile(t *testing.T) {
	t.Parallel()
	p := settle(t, open(t, nil))
	passphrase := filepath.Join(p.runtime, "passphrase")
	if err := os.WriteFile(passphrase, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	p.more = []string{"OSTIARY_PASSPHRASE_FILE=" + passphrase}
	p.login(func(text *said) { p.browse(text.wait(t, `(https://\S+/authorize\S+)`), "", "You are signed in") }, "--flow", "code", "--no-browser", "--store", "file")
	if got := p.whoAmI("test"); !strings.HasPrefix(got, "jane ") {
		t.Error(got)
	}
	p.searchForSecrets(p.handed())
	if p.hasAgent() {
		t.Error("an agent runs")
	}
	copied := p.handed()
	p.must(binaries.KubectlOstiary, "logout")
	if got := p.status(copied); got != http.StatusUnauthorized {
		t.Errorf("after logout a copy of the certificate gets status %d", got)
	}
}

// freePort is one on which nobody listens now, as on the machine of a browser elsewhere.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

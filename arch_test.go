// Package ostiary_test applies the house rules to the repository. The rules, and the tests that show that each can
// fail, are in internal/housetest; rules about single imports are in .golangci.yml.
package ostiary_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/config/configtest"
	"github.com/ostiary/ostiary/internal/housetest"
)

// exampleConfiguration is the configuration that the README shows.
const exampleConfiguration = "docs/examples/ostiary.yaml"

func TestHouse(t *testing.T) {
	t.Parallel()

	tree, err := housetest.Read(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	rules := []struct {
		name  string
		apply func(*housetest.Tree) []string
	}{
		{"package names say what a package provides", housetest.PackageNames},
		{"every package has a comment", housetest.PackageComments},
		{"no file is too long to be read", housetest.FileLengths},
		{"no path of one machine", housetest.MachinePaths},
		{"nothing is put off", housetest.Promises},
		{"tlspolicy makes every tls.Config", housetest.TLSConfigs},
		{"packages for tests are imported by tests", housetest.TestPackages},
		{"the main module replaces nothing", housetest.Replacements},
		{"the licence is there", housetest.Licence},
		{"every mechanism is complete", housetest.Mechanisms},
		{"links lead somewhere", housetest.Links},
		{"every dependency has a reason", func(tree *housetest.Tree) []string {
			return housetest.Dependencies(tree, "docs/dependencies.md")
		}},
		{"every difference from Kubernetes has a test", func(tree *housetest.Tree) []string {
			return housetest.NamedTests(tree, "docs/differences.md")
		}},
		{"the README shows the example", func(tree *housetest.Tree) []string {
			return housetest.Quoted(tree, "README.md", exampleConfiguration)
		}},
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			for _, finding := range rule.apply(tree) {
				t.Error(finding)
			}
		})
	}
}

// TestClientLinksNoServer holds for every system that the plugin is built for, as imports differ between them.
func TestClientLinksNoServer(t *testing.T) {
	t.Parallel()

	bans := []housetest.Ban{
		{Prefix: "go.etcd.io", Reason: "a client keeps no state of the server's"},
		{Prefix: "k8s.io/apiserver", Reason: "a client serves nothing"},
		{Prefix: "github.com/prometheus", Reason: "a client is not scraped"},
		{Prefix: "google.golang.org/grpc", Reason: "a client speaks HTTP and JSON"},
	}
	own := []string{
		"cmd/kubectl-ostiary", "internal/adminapi", "internal/cli/kubectl", "internal/identity", "internal/version",
		// What an audit and an inventory read, and how they judge and report it: they work on clusters without a gate.
		"internal/apiserverflags", "internal/auditlog", "internal/facts", "internal/facts/collect", "internal/hardening", "internal/inventory",
		"internal/power", "internal/report", "internal/review", "internal/tlspolicy", "internal/tokenstrength",
		// The client's half of signing in.
		"internal/secret", "internal/signin", "internal/signin/agent", "internal/signin/keyring", "internal/signin/oidclogin", "internal/signin/sealed", "internal/signin/session",
	}
	for _, system := range []string{"linux", "darwin", "windows"} {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/kubectl-ostiary")
			list.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
			output, err := list.Output()
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				t.Fatalf("%v\n%s", err, exit.Stderr)
			} else if err != nil {
				t.Fatal(err)
			}
			for _, finding := range housetest.Linked("kubectl-ostiary", strings.Fields(string(output)), bans, own) {
				t.Error(finding)
			}
		})
	}
}

// TestServerLinksNoClient keeps what signs people in on their machines out of the server.
func TestServerLinksNoClient(t *testing.T) {
	t.Parallel()

	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/ostiary").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(output))
	if !slices.Contains(deps, "github.com/ostiary/ostiary/internal/server") {
		t.Fatal("the list of the server's packages was not made")
	}
	for _, dep := range deps {
		for _, ban := range []string{"github.com/ostiary/ostiary/internal/signin", "github.com/zalando/go-keyring", "github.com/godbus", "k8s.io/cli-runtime"} {
			if dep == ban || strings.HasPrefix(dep, ban+"/") {
				t.Errorf("ostiary: links %s, which is the client's", dep)
			}
		}
	}
}

// TestExampleLoads shows that the configuration in the README is accepted once its files are there.
func TestExampleLoads(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()
	if err := configtest.WriteAll(folder); err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(exampleConfiguration)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "ostiary.yaml")
	if err := os.WriteFile(file, example, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(file); err != nil {
		t.Error(err)
	}
}

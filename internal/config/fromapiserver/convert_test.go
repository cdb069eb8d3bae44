package fromapiserver_test

import (
	"bytes"
	"crypto/x509"
	"flag"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/config/configtest"
	"github.com/ostiary/ostiary/internal/config/fromapiserver"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// controlPlane returns a folder with the files that kubeadm makes for an API server at 10.0.0.1, and some more.
func controlPlane(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string][]byte{
		"tokens.csv":  []byte("0123456789abcdef0123456789abcdef,alice,u1\n"),
		"config.yaml": []byte(configtest.AuthenticationConfiguration + "anonymous: {enabled: true, conditions: [{path: /livez}, {path: /readyz}, {path: /livez}]}\n"),
		"plain.yaml":  []byte(configtest.AuthenticationConfiguration),
		"off.yaml":    []byte(configtest.AuthenticationConfiguration + "anonymous: {enabled: false}\n"),
	}
	server := configtest.Server()
	server.DNSNames = []string{"kubernetes", "cluster.example"}
	server.IPAddresses = append(server.IPAddresses, net.ParseIP("10.0.0.1"), net.ParseIP("fd00::1"))
	for _, issue := range []struct {
		ca, name string
		template *x509.Certificate
	}{
		{"ca", "apiserver", server},
		{"front-proxy-ca", "front-proxy-client", configtest.Client("front-proxy-client")},
		{"idp-ca", "idp", configtest.Server()},
	} {
		authority, err := configtest.NewAuthority(issue.ca)
		if err != nil {
			t.Fatal(err)
		}
		files[issue.ca+".crt"] = authority.PEM()
		if files[issue.name+".crt"], files[issue.name+".key"], err = authority.Issue(issue.template); err != nil {
			t.Fatal(err)
		}
	}
	files["idp-ca.crt"] = append([]byte("a comment that must not be taken over\n"), files["idp-ca.crt"]...)
	if err := configtest.Write(dir, files); err != nil {
		t.Fatal(err)
	}
	return dir
}

var pemBlock = regexp.MustCompile(`(?s)-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----`)

// TestConvert compares the result for every testdata/<name>.in with testdata/<name>.golden, and loads it with real files.
// DIR stands for the folder that they are in.
func TestConvert(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	dir := controlPlane(t)
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".in")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			result, err := fromapiserver.Convert(bytes.ReplaceAll(text, []byte("DIR"), []byte(dir)), os.ReadFile)
			if err != nil {
				t.Fatal(err)
			}
			got := string(result.YAML) + "--- warnings\n" + strings.Join(result.Warnings, "\n") + "\n"
			got = pemBlock.ReplaceAllString(strings.ReplaceAll(got, dir, "DIR"), "<PEM>")
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("result (-want +got); rewrite with -update after reading it:\n%s", diff)
			}
			// Placeholders are the one thing that a reader has to mend before the file loads.
			loadable := strings.NewReplacer(": front-proxy-client.", ": "+dir+"/front-proxy-client.").Replace(string(result.YAML))
			file := filepath.Join(t.TempDir(), "ostiary.yaml")
			if err := os.WriteFile(file, []byte(loadable), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(file); err != nil {
				t.Errorf("the result does not load:\n%s", err)
			}
		})
	}
}

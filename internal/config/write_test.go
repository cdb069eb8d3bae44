package config_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/config/configtest"
)

// same compares two configurations as they are written.
func same(t *testing.T, want, got *config.Configuration) {
	t.Helper()
	a, err := json.MarshalIndent(want, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(got, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(a), string(b)); diff != "" {
		t.Errorf("configurations differ (-want +got):\n%s", diff)
	}
}

func TestYAMLRoundTrips(t *testing.T) {
	for _, row := range []struct {
		name  string
		edits []string
	}{
		{name: "example"},
		{name: "inline object", edits: []string{
			"file: authentication-configuration.yaml",
			"configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: AuthenticationConfiguration, jwt: [{issuer: {url: 'https://a', audiences: ['no', '0x1', '~']}, big: 9007199254740993, small: 0.1, n: null}]}",
		}},
		{name: "words that YAML 1.1 takes for something else", edits: []string{"audiences: [api]", `audiences: ["no", "on", "Y", "1", "1:20", "0o7", "1e3", "~", "null", "2001-01-01", "=", "<<", "a: b", "# c", "- d", "é", "\U0001F600"]`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := folder(t, row.edits...)
			first := load(t, dir)
			printed, err := first.Configuration().YAML(nil)
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "ostiary.yaml", string(printed))
			second := load(t, dir)
			same(t, first.Configuration(), second.Configuration())
			again, err := second.Configuration().YAML(nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(printed), string(again)); diff != "" {
				t.Errorf("printing again changed the text (-first +second):\n%s", diff)
			}
		})
	}
}

func TestYAMLFillsDefaultsInOrder(t *testing.T) {
	printed, err := load(t, folder(t)).Configuration().YAML(map[string]string{"": "About the whole.", "clusters[0].server": "About the\nserver."})
	if err != nil {
		t.Fatal(err)
	}
	want := `# About the whole.

apiVersion: ostiary.dev/v1alpha1
kind: Configuration
listen:
  address: 127.0.0.1:6443
  tls:
    certFile: tls.crt
    keyFile: tls.key
  limits:
    connectionsPerSource: 1000
    streamsPerConnection: 250
    headerBytes: 1048576
  drainTimeout: 30s
admin:
  address: 127.0.0.1:8080
clusters:
  - name: prod
    # About the
    # server.
    server: https://10.0.0.1:6443
`
	if got := string(printed)[:min(len(printed), len(want))]; got != want {
		t.Errorf("printed (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func TestYAMLRefusesLostComments(t *testing.T) {
	written := &config.Configuration{}
	if _, err := written.YAML(map[string]string{"clusters[0]": "lost"}); err == nil {
		t.Error("a comment on a field that is not there was dropped silently")
	}
}

func TestDuration(t *testing.T) {
	for _, row := range []struct {
		name, text, want string
	}{
		{"number", `5`, ""},
		{"days", `"1d"`, ""},
		{"empty", `""`, ""},
		{"hours", `"24h0m0s"`, `"24h"`},
		{"minutes", `"90m"`, `"1h30m"`},
		{"seconds", `"10s"`, `"10s"`},
		{"all", `"1h0m5s"`, `"1h0m5s"`},
		{"nothing", `"0"`, `"0s"`},
		{"null", `null`, `"0s"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			var duration config.Duration
			if err := json.Unmarshal([]byte(row.text), &duration); err != nil {
				if row.want != "" {
					t.Fatal(err)
				}
				return
			}
			got, err := json.Marshal(duration)
			if err != nil || string(got) != row.want {
				t.Errorf("got %s, %v; want %s", got, err, row.want)
			}
		})
	}
}

func TestRawObjectRefusesOtherThanObjects(t *testing.T) {
	for _, value := range []any{nil, 1, "text", []string{"list"}, json.RawMessage("{")} {
		if _, err := config.NewRawObject(value); err == nil {
			t.Errorf("%#v was accepted", value)
		}
	}
}

// FuzzParse holds Parse to three promises: it never panics, a refusal lists mistakes of one line each, and what it
// accepts it also accepts when printed.
func FuzzParse(f *testing.F) {
	dir := f.TempDir()
	if err := configtest.WriteAll(dir); err != nil {
		f.Fatal(err)
	}
	f.Add(configtest.Example())
	f.Add("apiVersion: ostiary.dev/v1alpha1\nkind: Configuration\nlisten: {address: ':1', tls: {certFile: tls.crt, keyFile: tls.key}}\n" +
		"clusters: [{name: a, server: 'https://a', certificateAuthorityFile: cluster-ca.crt, identity: {impersonation: {kubeconfig: gate.kubeconfig}}}]\n" +
		"authentication: {anonymous: {}}\n")
	f.Add("a: &a [*a]\n")
	f.Add("? {a: b}\n: c\n")
	f.Add("groupRules: [{name: a, rename: {\"a\\nb\": ''}}]\n")
	f.Add("<<: {a: 1}\n'': \nkind: [[[[]]]]\n")
	f.Fuzz(func(t *testing.T, text string) {
		checked, err := config.Parse([]byte(text), "fuzz.yaml", dir, time.Now())
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "fuzz.yaml:") {
					t.Fatalf("a line of the error does not start with the file name: %q", line)
				}
			}
			return
		}
		printed, err := checked.Configuration().YAML(nil)
		if err != nil {
			t.Fatalf("an accepted configuration cannot be printed: %v", err)
		}
		again, err := config.Parse(printed, "printed.yaml", dir, time.Now())
		if err != nil {
			t.Fatalf("what was printed is refused: %v\n%s", err, printed)
		}
		same(t, checked.Configuration(), again.Configuration())
	})
}

func TestRelativeNamesFollowTheConfiguration(t *testing.T) {
	dir := folder(t)
	t.Chdir(t.TempDir())
	if got := load(t, dir).StaticToken.File; got != filepath.Join(dir, "tokens.csv") {
		t.Errorf("the token file is %s", got)
	}
}

package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/testca"
)

// TestCallersAreNobodyElse: a CA that signed another one's, or was signed by it, is as good as the same (attacks 39, 44).
func TestCallersAreNobodyElse(t *testing.T) {
	t.Parallel()
	root := testca.New(t, "root")
	below, other := root.Intermediate(t, "below"), testca.New(t, "other")
	const second = "mechanisms: [jwt, webhook]}\n  - {name: other, caFiles: [second-ca.crt], allowedNames: [NAME], mechanisms: [jwt]}"
	for _, tt := range []struct {
		name                   string
		users, callers, second *testca.CA
		secondName             string
		want                   string
	}{
		{"all apart", root, other, testca.New(t, "third"), "apiserver", ""},
		{"users below the callers", below, root, other, "apiserver", "tokenReview.callers[0].caFiles: Invalid"},
		{"callers below the users", root, below, other, "apiserver", "tokenReview.callers[0].caFiles: Invalid"},
		{"callers below each other, same name", other, root, below, "apiserver", "tokenReview.callers[1]: Invalid"},
		{"callers above each other, same name", other, below, root, "apiserver", "tokenReview.callers[1]: Invalid"},
		{"callers below each other, other name", other, root, below, "second", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := everything(t, "mechanisms: [jwt, webhook]}", strings.Replace(second, "NAME", tt.secondName, 1))
			for name, authority := range map[string]*testca.CA{"users-ca": tt.users, "callers-ca": tt.callers, "second-ca": tt.second} {
				if err := os.WriteFile(filepath.Join(filepath.Dir(file), name+".crt"), authority.PEM(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := config.Load(file)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v\nwant %q", err, tt.want)
			}
		})
	}
}

func TestTokenReviewRefuses(t *testing.T) {
	t.Parallel()
	rule := func(cluster string) []string {
		return []string{"groupRules:\n", "groupRules:\n- {name: rule-of-caller, match: {clusters: [" + cluster + "]}, add: [x]}\n"}
	}
	for _, tt := range []struct {
		name  string
		edits []string
		want  string // empty: not refused
	}{
		{"the gate's own address", []string{"tokenReview:\n  address: 127.0.0.1:0", "tokenReview:\n  address: :6443"}, "tokenReview.address: Invalid"},
		{"the admin listener's", []string{"tokenReview:\n  address: 127.0.0.1:0", "tokenReview:\n  address: 127.0.0.1:8080"}, "tokenReview.address: Invalid"},
		{"an address of its own", []string{"tokenReview:\n  address: 127.0.0.1:0", "tokenReview:\n  address: 127.0.0.1:9443"}, ""},
		{"no callers", []string{"callers:\n  - {name: prod, caFiles: [callers-ca.crt], allowedNames: [apiserver], mechanisms: [jwt, webhook]}", "callers: []"}, "tokenReview.callers: Required"},
		{"no mechanisms", []string{", mechanisms: [jwt, webhook]", ""}, "tokenReview.callers[0].mechanisms: Required"},
		{"anonymous", []string{"mechanisms: [jwt, webhook]", "mechanisms: [anonymous]"}, "tokenReview.callers[0].mechanisms[0]: Unsupported"},
		{"the cluster's own tokens", []string{"mechanisms: [jwt, webhook]", "mechanisms: [tokenRequest]"}, "tokenReview.callers[0].mechanisms[0]: Unsupported"},
		{"blank name", []string{"allowedNames: [apiserver]", `allowedNames: [" "]`}, "tokenReview.callers[0].allowedNames[0]: Invalid"},
		{"group rule of a caller", rule("asking"), "there is no such cluster"},
		{"group rule of a caller that is there", append(rule("asking"), "{name: prod, caFiles: [callers-ca.crt]", "{name: asking, caFiles: [callers-ca.crt]"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(everything(t, tt.edits...))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v\nwant %q", err, tt.want)
			}
		})
	}
}

// TestNetworksAndReviews: where tokens come from is not known in a review, so that such a mechanism refuses all.
func TestNetworksAndReviews(t *testing.T) {
	t.Parallel()
	warned := func(edits ...string) bool {
		t.Helper()
		checked, err := config.Load(everything(t, edits...))
		if err != nil {
			t.Fatal(err)
		}
		for _, warning := range checked.Warnings {
			if warning.Path == "tokenReview.callers[0].mechanisms[1]" && strings.Contains(warning.Message, "authentication.webhook.allowedNetworks") {
				return true
			}
		}
		return false
	}
	if !warned("version: v1}", "version: v1, allowedNetworks: [10.0.0.0/8]}") {
		t.Error("no warning")
	}
	if warned() {
		t.Error("the twin is warned of")
	}
}

// TestDocumentedReviews: the section that the documentation shows is a good one.
func TestDocumentedReviews(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "webhook-server.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	section, _, found := strings.Cut(rest, "```")
	if !found || !strings.HasPrefix(section, "tokenReview:\n") {
		t.Fatalf("no section is shown: %q", section)
	}
	at := strings.Index(otherSections, "tokenReview:")
	file := everything(t, otherSections[at:], section)
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "prod-callers-ca.crt"), testca.New(t, "callers").PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(file); err != nil {
		t.Error(err)
	}
}

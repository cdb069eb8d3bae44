package hardening_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/hardening"
	"github.com/ostiary/ostiary/internal/report"
)

// TestNeeds holds what each check cannot do without to what a reader saw and approved: with one source unread, and all else
// as in a sound cluster with a token file, a webhook and join tokens, it is unknown. A check that forgets to say that it
// needs a source would pass without it.
func TestNeeds(t *testing.T) {
	t.Parallel()

	options := hardening.Options{Approvers: []string{"admin"}}
	world := func() *facts.Facts {
		f := sound()
		both(withTokenFile, withWebhook, joinable)(f)
		return f
	}
	passes := map[string]bool{}
	for _, found := range hardening.Run(world(), options, nil) {
		passes[found.Rule] = found.State == report.Pass || found.State == report.NotApplicable
	}
	needs := map[string][]string{}
	for _, source := range allSources() {
		f := world()
		f.Note(facts.SourceStatus{Source: source, State: facts.Unreadable})
		for _, found := range hardening.Run(f, options, nil) {
			if passes[found.Rule] && found.State == report.Unknown {
				needs[found.Rule] = append(needs[found.Rule], string(source))
			}
		}
	}
	var text strings.Builder
	for _, check := range hardening.All() {
		if !passes[check.ID] {
			continue // it has something to say of this world
		}
		_, _ = fmt.Fprintf(&text, "%s: %s\n", check.ID, strings.Join(needs[check.ID], "; ")) // never fails (strings.Builder)
	}
	golden := filepath.Join("testdata", "needs.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

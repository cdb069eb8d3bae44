package hardening_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/hardening"
	"github.com/ostiary/ostiary/internal/report"
)

// judge runs one check.
func judge(f *facts.Facts, id string, options hardening.Options) []report.Finding {
	return hardening.Run(f, options, func(c *hardening.Check) bool { return c.ID == id })
}

func shown(findings []report.Finding) string {
	var text strings.Builder
	for i := range findings {
		fmt.Fprintf(&text, "%s %s: %s\n", findings[i].State, findings[i].Subject, findings[i].Message)
	}
	return text.String()
}

func bad(found report.Finding) bool { return found.State == report.Fail || found.State == report.Warn }

// TestChecks is the house's rule that a check without both cases is none.
func TestChecks(t *testing.T) {
	t.Parallel()

	all := cases()
	maps.Copy(all, overviewCases())
	maps.Copy(all, certificateCases())
	maps.Copy(all, tokenCases())
	maps.Copy(all, outsideCases())
	for _, check := range hardening.All() {
		row, ok := all[check.ID]
		if !ok || row.fires == nil {
			t.Errorf("%s has no case that fires", check.ID)
			continue
		}
		t.Run(check.ID, func(t *testing.T) {
			t.Parallel()
			quiet := sound()
			if row.quiet != nil {
				row.quiet(quiet)
			}
			got := judge(quiet, check.ID, row.options)
			if len(got) != 1 || got[0].State != report.Pass && (got[0].State != report.NotApplicable || row.quiet != nil) && check.ID != "OV-15" {
				t.Errorf("where all is well:\n%swant one pass", shown(got))
			}
			for i, plant := range append([]func(*facts.Facts){row.fires}, row.also...) {
				f := sound()
				plant(f)
				got := judge(f, check.ID, row.options)
				if !slices.ContainsFunc(got, bad) {
					t.Errorf("fault %d:\n%swant a failure or a warning", i, shown(got))
				}
				for j := range got {
					if bad(got[j]) && (got[j].Remedy == "" || got[j].Severity < report.Info || got[j].Evidence == "") {
						t.Errorf("fault %d: the finding %+v has no remedy, severity or evidence", i, got[j])
					}
				}
			}
		})
		delete(all, check.ID)
	}
	for id := range all {
		t.Errorf("there is a case for %s, and no such check", id)
	}
}

// TestSoundIsSound: sound facts have no finding at all, so that each fault shows by itself.
func TestSoundIsSound(t *testing.T) {
	t.Parallel()

	for _, found := range hardening.Run(sound(), hardening.Options{}, nil) {
		if found.State != report.Pass && found.State != report.NotApplicable {
			t.Errorf("%s is %s: %s: %s", found.Rule, found.State, found.Subject, found.Message)
		}
	}
}

// TestNoEvidenceNeverPasses: nothing known is unknown, for every check.
func TestNoEvidenceNeverPasses(t *testing.T) {
	t.Parallel()

	got := hardening.Run(&facts.Facts{CollectedAt: now}, hardening.Options{}, nil)
	if len(got) != len(hardening.All()) {
		t.Errorf("%d findings of %d checks", len(got), len(hardening.All()))
	}
	for _, found := range got {
		if found.State != report.Unknown || found.Message == "" {
			t.Errorf("%s is %s (%q) of no evidence, want unknown with a reason", found.Rule, found.State, found.Message)
		}
	}
}

// TestUnreadNeverPasses: facts without word of whether they are all are not believed to be all. The fault may be in the
// part that was not read.
func TestUnreadNeverPasses(t *testing.T) {
	t.Parallel()

	for _, state := range []facts.State{facts.NotAsked, facts.Partial, facts.Unreadable} {
		f := sound()
		for _, source := range allSources() {
			f.Note(facts.SourceStatus{Source: source, State: state})
		}
		for _, found := range hardening.Run(f, hardening.Options{}, nil) {
			if found.State == report.Pass || found.State == report.NotApplicable {
				t.Errorf("sources %q: %s is %s: %s", state, found.Rule, found.State, found.Message)
			}
		}
	}
}

// TestChecksAreComplete holds the list to its form.
func TestChecksAreComplete(t *testing.T) {
	t.Parallel()

	id := regexp.MustCompile(`^(OV|AN|XC|ST|BT|SA|TR|OI|WH|AP|TL|KC)-\d\d$`)
	seen := map[string]bool{}
	for _, check := range hardening.All() {
		switch {
		case !id.MatchString(check.ID) || seen[check.ID]:
			t.Errorf("%s is no id, or is there twice", check.ID)
		case check.Title == "" || check.Mechanism == "" || check.Severity == 0 || check.Remedy == "" || len(check.Evidence) == 0:
			t.Errorf("%s lacks something: %+v", check.ID, check)
		case len(check.Points) == 0:
			t.Errorf("%s names no point of the guide", check.ID)
		}
		seen[check.ID] = true
		name := strings.ToLower(strings.ReplaceAll(check.ID, "-", "")) + ".go"
		if _, err := os.Stat(name); err != nil {
			t.Errorf("%s is not in a file of its own, %s", check.ID, name)
		}
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if m := regexp.MustCompile(`^([a-z]{2})(\d\d)\.go$`).FindStringSubmatch(file.Name()); m != nil && !seen[strings.ToUpper(m[1])+"-"+m[2]] {
			t.Errorf("the check in %s is not in the list", file.Name())
		}
	}
}

package hardening_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/hardening"
)

var update = flag.Bool("update", false, "rewrite the table of checks in docs/hardening.md, and golden files")

const (
	page   = "../../docs/hardening.md"
	marker = "<!-- From here on written by: go test ./internal/hardening -run TestPage -update -->\n"
)

// TestPage keeps the table of checks true.
func TestPage(t *testing.T) {
	t.Parallel()

	read, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(read), marker)
	if !ok {
		t.Fatalf("%s has no line %q", page, marker)
	}
	want := head + marker + tables()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(read) != want {
		t.Errorf("%s does not show the checks as they are; run: go test ./internal/hardening -run TestPage -update", page)
	}
}

// tables are the checks, a table for each mechanism.
func tables() string {
	var text strings.Builder
	var last hardening.Mechanism
	all := hardening.All()
	fmt.Fprintf(&text, "\n%d checks.\n", len(all))
	for i := range all {
		c := &all[i]
		if c.Mechanism != last {
			last = c.Mechanism
			fmt.Fprintf(&text, "\n## %s%s\n\n| Check | Severity | What must hold | Seen in | Points; elsewhere | Remedy |\n| --- | --- | --- | --- | --- | --- |\n",
				strings.ToUpper(string(last[:1])), last[1:])
		}
		elsewhere := strings.Join(slices.Concat(c.Points, c.References), "; ")
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %s |\n", c.ID, c.Severity, c.Title, seenIn(c.Evidence), elsewhere, cell(c.Remedy))
	}
	return text.String()
}

func seenIn(levels []facts.Evidence) string {
	words := make([]string, len(levels))
	for i, level := range levels {
		words[i] = string(level)
	}
	return strings.Join(words, ", ")
}

// cell is text that Markdown shows as it is.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;").Replace(text)
}

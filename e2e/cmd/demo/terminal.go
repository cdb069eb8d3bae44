package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The colours, as terminals take them.
const (
	bold  = "1"
	dim   = "2"
	red   = "1;31"
	green = "1;32"
	blue  = "1;36"
)

// labelWidth is how wide the names in a table are.
const labelWidth = 16

// terminal writes what a person reads. A lost line is nobody's loss, so that errors of writing are not handed on.
type terminal struct {
	out    io.Writer
	colour bool
}

func newTerminal(out io.Writer, colour bool) *terminal { return &terminal{out: out, colour: colour} }

func (t *terminal) paint(colour, text string) string {
	if !t.colour || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (t *terminal) line(text string) { _, _ = fmt.Fprintln(t.out, text) }

// title is the first line of all.
func (t *terminal) title(text string) {
	rule := strings.Repeat("━", utf8.RuneCountInString(text)+4)
	t.line("\n" + t.paint(blue, rule) + "\n  " + t.paint(bold, text) + "\n" + t.paint(blue, rule))
}

// heading starts a chapter.
func (t *terminal) heading(number int, text string) {
	t.line(fmt.Sprintf("\n%s %s", t.paint(blue, fmt.Sprintf("%d.", number)), t.paint(bold, text)))
}

// text explains.
func (t *terminal) text(text string) { t.line("   " + text) }

// note is a remark about what goes on.
func (t *terminal) note(text string) { t.line(t.paint(dim, "   "+text)) }

// command shows what is run, as it would be typed.
func (t *terminal) command(text string) { t.line("\n   " + t.paint(blue, "$ ") + t.paint(bold, text)) }

// output shows what a command or a file said.
func (t *terminal) output(text string) {
	for line := range strings.Lines(text) {
		t.line("   " + t.paint(dim, "│ ") + strings.TrimRight(line, "\n"))
	}
}

// row is one line of a table.
func (t *terminal) row(name, value string) {
	padding := strings.Repeat(" ", max(1, labelWidth-utf8.RuneCountInString(name)))
	t.line("   " + t.paint(dim, "│ "+name) + padding + value)
}

// good and bad are the two ends of a check.
func (t *terminal) good(text string) { t.line("   " + t.paint(green, "✓ ") + text) }

func (t *terminal) bad(text string) { t.line("   " + t.paint(red, "✗ ") + text) }

// Write takes lines of progress from elsewhere and shows them as notes.
func (t *terminal) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		t.note(strings.TrimRight(line, "\n"))
	}
	return len(p), nil
}

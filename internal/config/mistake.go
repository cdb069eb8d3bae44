package config

import (
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong in a configuration.
type Mistake struct {
	// Path is where in the configuration, for example "clusters[0].server"; empty for the file as a whole.
	Path string `json:"path"`
	// Line is the line of the file, counted from 1, as near as it is known; 0 where it is not.
	Line int `json:"line,omitempty"`
	// Message says what is wrong and what to do. It never holds a secret.
	Message string `json:"message"`
}

// In writes the mistake as one line that starts with the name of the file it is in: "file:line: path: message".
func (m Mistake) In(file string) string {
	var b strings.Builder
	b.WriteString(file)
	if m.Line > 0 {
		fmt.Fprintf(&b, ":%d", m.Line)
	}
	b.WriteString(": ")
	if m.Path != "" {
		b.WriteString(oneLine(m.Path) + ": ")
	}
	b.WriteString(oneLine(m.Message))
	return b.String()
}

// oneLine keeps text that quotes what was written from looking like several lines.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// InvalidError says that a configuration was refused, and lists every mistake in it. Find it with errors.AsType.
type InvalidError struct {
	// File is the configuration's name, as it was given.
	File string
	// Mistakes is never empty. They are in the order of the file.
	Mistakes []Mistake

	files []string
}

// Error lists the mistakes, one a line: "file:line: path: what is wrong, what to do".
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, mistake := range e.Mistakes {
		lines[i] = mistake.In(e.File)
	}
	return strings.Join(lines, "\n")
}

// Files returns the absolute names of all files that the refused configuration names, itself included and missing ones
// too: whoever waits for the mistakes to be mended watches these.
func (e *InvalidError) Files() []string { return slices.Clone(e.files) }

var _ error = (*InvalidError)(nil)

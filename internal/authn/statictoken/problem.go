package statictoken

import (
	"errors"
	"fmt"
	"slices"
)

// ErrNoEntries says that a file names nobody. It is refused, because a file that was truncated while it was being
// written must not replace a good one.
var ErrNoEntries = errors.New("the token file has no entries: to accept no static tokens, leave the mechanism out of the configuration")

// maxProblems bounds how many lines one error names. A file of the wrong kind is wrong in every line; a hundred are
// more than anyone reads.
const maxProblems = 100

// LineError is a mistake in one line of a token file. It never holds a token.
type LineError struct {
	// Line counts from 1; 0 means the file as a whole.
	Line int
	// User is the line's user name, where the line was complete enough to have one.
	User string
	// Text says what is wrong and what to do.
	Text string
}

// Error implements error.
func (e *LineError) Error() string {
	switch {
	case e.Line == 0:
		return e.Text
	case e.User == "":
		return fmt.Sprintf("line %d: %s", e.Line, e.Text)
	default:
		return fmt.Sprintf("line %d, user %q: %s", e.Line, e.User, e.Text)
	}
}

// Warning is something about one line that does not stop the file from being used. It never holds a token.
type Warning struct {
	// Line counts from 1; 0 means the file as a whole.
	Line int
	// Text says what was found and, where there is something to do, what.
	Text string
}

// String gives the form for logs and terminals.
func (w Warning) String() string {
	if w.Line == 0 {
		return w.Text
	}
	return fmt.Sprintf("line %d: %s", w.Line, w.Text)
}

// findings collects what is wrong with a file, so that all of it is told at once.
type findings struct {
	warnings []Warning
	problems []*LineError
	unnamed  int // problems beyond maxProblems
}

func (f *findings) warnf(line int, format string, args ...any) {
	f.warnings = append(f.warnings, Warning{Line: line, Text: fmt.Sprintf(format, args...)})
}

func (f *findings) problem(line int, user, text string) {
	if len(f.problems) == maxProblems {
		f.unnamed++
		return
	}
	f.problems = append(f.problems, &LineError{Line: line, User: user, Text: text})
}

// err gives all problems as one error in the order of their lines, or nil.
func (f *findings) err() error {
	slices.SortStableFunc(f.problems, func(a, b *LineError) int { return a.Line - b.Line })
	var all []error
	for _, problem := range f.problems {
		all = append(all, problem)
	}
	if f.unnamed > 0 {
		all = append(all, fmt.Errorf("%d more lines are wrong", f.unnamed))
	}
	return errors.Join(all...)
}

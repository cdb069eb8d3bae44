package report

import (
	"encoding/xml"
	"io"
	"strings"
	"unicode/utf8"
)

// The parts of JUnit's XML that all readers know.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitOutcome `xml:"failure,omitempty"`
		Error   *junitOutcome `xml:"error,omitempty"`
		Skipped *junitOutcome `xml:"skipped,omitempty"`
	}
	junitOutcome struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes a test for each finding and for each source: a source that is missing is an error, so that a
// pipeline that shows nothing else shows that.
func (r *Report) writeJUnit(out io.Writer) error {
	suites := junitSuites{Name: xmlText(r.Tool + ": " + r.Title)}
	sources := junitSuite{Name: "sources", Timestamp: day(r.Generated)}
	for i := range r.Sources {
		source := &r.Sources[i]
		one := junitCase{Class: "sources", Name: xmlText(source.Name)}
		switch {
		case !source.complete():
			one.Error = &junitOutcome{Message: xmlText(source.Access.String() + ": " + source.Why), Type: "incomplete"}
		case source.Access == Unread || source.Access == Partial:
			one.Skipped = &junitOutcome{Message: xmlText("optional, " + source.Access.String() + ": " + source.Why)}
		}
		sources.add(one)
	}
	suites.add(sources)

	checks := junitSuite{Name: "findings", Timestamp: day(r.Generated)}
	for i := range r.Findings {
		f := &r.Findings[i]
		one := junitCase{Class: xmlText(f.Rule), Name: xmlText(orElse(f.Subject, f.Title, f.Rule))}
		text := strings.Join([]string{f.Message, f.Evidence, f.Remedy}, "\n")
		switch {
		case f.State.isBad():
			one.Failure = &junitOutcome{Message: xmlText(f.Severity.String() + ": " + f.Message), Type: f.State.String(), Text: xmlText(text)}
		case f.State != Pass:
			one.Skipped = &junitOutcome{Message: xmlText(f.State.String() + ": " + f.Message)}
		}
		checks.add(one)
	}
	suites.add(checks)

	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(out)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(out, "\n")
	return err
}

func (s *junitSuite) add(one junitCase) {
	s.Tests++
	switch {
	case one.Failure != nil:
		s.Failures++
	case one.Error != nil:
		s.Errors++
	case one.Skipped != nil:
		s.Skipped++
	}
	s.Cases = append(s.Cases, one)
}

func (s *junitSuites) add(suite junitSuite) {
	s.Tests, s.Failures, s.Errors, s.Skipped = s.Tests+suite.Tests, s.Failures+suite.Failures, s.Errors+suite.Errors, s.Skipped+suite.Skipped
	s.Suites = append(s.Suites, suite)
}

// xmlText replaces what XML 1.0 cannot hold, escaped or not (section 2.2).
func xmlText(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r', r >= 0x20 && r <= 0xD7FF, r >= 0xE000 && r <= 0xFFFD, r >= 0x10000:
			return r
		default:
			return utf8.RuneError
		}
	}, text)
}

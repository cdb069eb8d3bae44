package report

import (
	"strconv"
	"strings"
	"time"
)

// Printable quotes text that would move the cursor, colour the screen, reverse the reading direction or forge a second
// line, so that a name chosen by an attacker cannot rewrite what the reader sees. All other text stays as it is.
func Printable(text string) string {
	for _, r := range text {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			return strconv.QuoteToASCII(text)
		}
	}
	return text
}

// number writes an integer with its digits in groups, as in 90 000.
func number(n int) string {
	digits := strconv.Itoa(n)
	const group = 3
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%group == 0 && digits[i-1] != '-' {
			b.WriteByte(' ')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// plural counts things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return number(n) + " " + thing + "s"
}

// day writes a time for people; empty for none.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// window says which time a source tells of.
func (s *Source) window() string {
	switch {
	case s.From.IsZero() && s.Until.IsZero():
		return ""
	case s.From.IsZero():
		return "until " + day(s.Until)
	case s.Until.IsZero():
		return "since " + day(s.From)
	default:
		return day(s.From) + " to " + day(s.Until)
	}
}
